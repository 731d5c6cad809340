"""A connection travels with tasks, so it says where to connect, and holds nothing that anybody could log in with."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import msgspec
import pytest

from m3ter_async import ConfigurationError
from m3ter_async.blocking import Connection
from m3ter_async.sandbox import Sandbox


def test_it_goes_wherever_a_task_goes_and_stays_what_it_is() -> None:
    connection = Connection(org_id="org-1", base_url="https://api.example.com", share=8)
    assert pickle.loads(pickle.dumps(connection)) == connection
    assert msgspec.json.decode(msgspec.json.encode(connection), type=Connection) == connection
    assert len({connection, pickle.loads(pickle.dumps(connection))}) == 1


def test_it_finds_key_and_secret_where_the_worker_runs(sandbox: Sandbox) -> None:
    connection = Connection(org_id="org-1")
    assert connection.client().org_id == "org-1"
    for written in (repr(connection), str(pickle.dumps(connection)), str(msgspec.json.encode(connection))):
        assert sandbox.api_secret not in written


def test_a_worker_without_credentials_is_told_which_variables_to_set() -> None:
    with pytest.raises(ConfigurationError, match="M3TER_API_KEY, M3TER_API_SECRET and M3TER_ORG_ID"):
        Connection().client()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"base_url": "https://someone:hunter2@api.example.com"}, "base_url="),
        ({"base_url": "https://hunter2@api.example.com"}, "base_url="),
        ({"limiter": "redis://:hunter2@redis.example.com"}, "limiter="),
        ({"limiter": "redis://redis.example.com?password=hunter2"}, "limiter="),
        ({"limiter": ""}, "limiter="),
        ({"share": 0}, "share="),
        ({"share": True}, "share="),
        ({"rate_limit": -1.0}, "rate_limit="),
        ({"timeout": float("inf")}, "timeout="),
        ({"max_connections": 2.5}, "max_connections="),
    ],
)
def test_what_cannot_be_used_is_refused_when_it_is_made_and_no_secret_is_repeated(
    wrong: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named) as caught:
        Connection(**wrong)
    assert "hunter2" not in str(caught.value)


def test_there_is_no_place_for_a_secret_in_it() -> None:
    with pytest.raises(TypeError, match="api_secret"):
        Connection(api_secret="hunter2")  # type: ignore[call-arg]
    with pytest.raises(msgspec.ValidationError, match="api_secret"):
        msgspec.json.decode(b'{"api_secret": "hunter2"}', type=Connection)


def test_processes_that_keep_no_limit_together_keep_a_share_of_it_each(sandbox: Sandbox) -> None:
    assert repr(Connection(share=8)._limiter()) == "ShareLimiter(1, 8)"
    assert repr(Connection()._limiter()) == "ShareLimiter(1, 1)"


def test_processes_of_a_host_share_a_file_that_is_named_here_or_in_the_environment(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "limit")
    assert repr(Connection(limiter=path)._limiter()) == f"HostLimiter({path!r})"
    monkeypatch.setenv("M3TER_LIMITER", path)
    assert repr(Connection()._limiter()) == f"HostLimiter({path!r})"
    with pytest.raises(ConfigurationError, match="share= and the file of a limiter exclude each other"):
        Connection(share=2).client()


def test_a_file_that_cannot_be_made_is_named_before_anything_is_sent(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        Connection(limiter=str(tmp_path / "nowhere" / "limit")).client()
    assert sandbox.requests.total() == 0


def test_a_worker_finds_key_and_secret_in_the_profile_that_is_named(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m3ter.toml"
    login = f'api_key = "{sandbox.api_key}"\napi_secret = "{sandbox.api_secret}"\norg_id = "{sandbox.org_id}"\n'
    path.write_text(f"[acme]\n{login}rate_limit = 9\n")
    path.chmod(0o600)
    for variable in ("M3TER_API_KEY", "M3TER_API_SECRET", "M3TER_ORG_ID"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("M3TER_CONFIG", str(path))
    connection = Connection(profile="acme", base_url=sandbox.url)
    assert connection.client().org_id == sandbox.org_id
    assert sandbox.api_secret not in repr(connection)
