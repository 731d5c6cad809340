"""A profile sets up a client for an organization; the environment counts first, and no secret is shown."""

from __future__ import annotations

import base64
import os
import stat
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from m3ter_async import AsyncM3ter, ConfigurationError
from m3ter_async._core.profiles import config_path

from ..fakes import FakeTransport, answer, grant

SECRET = "hidden-secret"
FILE = """
[acme]
api_key = "acme-key"
api_secret = "hidden-secret"
org_id = "acme-org"
timeout = 3
rate_limit = "none"

["beta.eu"]
token = "hidden-token"
org_id = "beta-org"
base_url = "https://eu.example.com"

[ids]
api_key = "ids-key"
org_id = "ids-org"
"""
Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    for variable in list(os.environ):
        if variable.startswith("M3TER_"):
            monkeypatch.delenv(variable)
    path = tmp_path / "m3ter.toml"
    monkeypatch.setenv("M3TER_CONFIG", str(path))

    def write(text: str) -> Path:
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    write(FILE)
    return write


async def used(name: str | None = None, **options: Any) -> tuple[str, str, str]:
    """The key, the secret and the organization of a call; the token in place of both where there was no login."""
    transport = FakeTransport(lambda _: answer({"id": "b"}), login=lambda _: grant("granted"))
    async with AsyncM3ter.from_profile(name, transport=transport, **options) as m3ter:
        await m3ter.bills.retrieve("b")
    (request,) = transport.requests
    organization = request.url.split("/organizations/")[1].split("/")[0]
    if not transport.logins:
        return "", request.headers["Authorization"].removeprefix("Bearer "), organization
    key, _, shared = base64.b64decode(transport.logins[0].headers["Authorization"].split()[1]).decode().partition(":")
    return key, shared, organization


async def test_a_profile_sets_up_a_client() -> None:
    assert await used("acme") == ("acme-key", SECRET, "acme-org")
    assert await used("beta.eu") == ("", "hidden-token", "beta-org")
    m3ter = AsyncM3ter.from_profile("acme")
    assert m3ter._pipeline.settings.timeout == 3
    assert "eu.example.com" in repr(AsyncM3ter.from_profile("beta.eu"))


async def test_arguments_count_before_the_environment_and_that_before_the_file(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("M3TER_ORG_ID", "org-of-the-environment")
    monkeypatch.setenv("M3TER_API_SECRET", "rotated")
    assert await used("acme") == ("acme-key", "rotated", "org-of-the-environment")
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text.partition(" takes")[0] for text in said] == ["M3TER_API_SECRET", "M3TER_ORG_ID"]
    assert "'acme'" in said[0]
    assert SECRET not in caplog.text
    assert "rotated" not in caplog.text
    assert await used("acme", org_id="passed") == ("acme-key", "rotated", "passed")
    assert await used("ids") == ("ids-key", "rotated", "org-of-the-environment")


async def test_one_login_is_never_put_together_from_two(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="no API secret"):
        AsyncM3ter.from_profile("acme", api_key="another")
    assert await used("acme", token="passed") == ("", "passed", "acme-org")
    monkeypatch.setenv("M3TER_API_KEY", "another")
    with pytest.raises(ConfigurationError, match="no API secret"):
        AsyncM3ter.from_profile("acme")
    monkeypatch.setenv("M3TER_API_SECRET", "another-secret")
    assert await used("acme") == ("another", "another-secret", "acme-org")
    assert await used("acme", api_key="acme-key") == ("acme-key", SECRET, "acme-org")
    monkeypatch.delenv("M3TER_API_KEY")
    monkeypatch.delenv("M3TER_API_SECRET")
    monkeypatch.setenv("M3TER_API_TOKEN", "token")
    assert await used("acme") == ("", "token", "acme-org")


async def test_the_name_comes_from_the_environment_or_is_default(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="no profile 'default'"):
        AsyncM3ter.from_profile()
    monkeypatch.setenv("M3TER_PROFILE", "beta.eu")
    assert (await used())[2] == "beta-org"
    assert (await used("acme"))[2] == "acme-org"


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        (FILE, "acm", r"no profile 'acm' in .*m3ter\.toml: it has 'acme', 'beta\.eu', 'ids'"),
        ("", "acme", "no profile 'acme' in .*it has none"),
        ("acme = 1", "acme", "no profile 'acme'"),
        (
            "[acme]\napi_secert = 'hidden-secret'",
            "acme",
            "has 'api_secert', .*; did you mean 'api_secret'",
        ),
        ("[acme]\nhost = 'hidden-secret'", "acme", "has 'host', which is no setting"),
        ("[acme]\napi_secret = 'hidden-secret'\norg_id = x\n", "acme", r"m3ter\.toml is not TOML: .*line 3"),
        ("[acme]\norg_id = 7", "acme", "profile 'acme' in .*: org_id must be a text"),
        ("[acme]\norg_id = ''", "acme", "org_id must be a text that is not empty"),
        ("[acme]\ntimeout = 'hidden-secret'", "acme", "timeout must be a number, not a text"),
        ("[acme]\nmax_retries = -1", "acme", "profile 'acme' in .*: max_retries=-1 is not"),
        (
            "[acme]\napi_secret = 'hidden-secret '\norg_id = 'o'",
            "acme",
            "profile 'acme' .*: api_secret= begins",
        ),
        ("[acme]\norg_id = 'o'", "acme", "profile 'acme' in .*: no API key and no API secret"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_file_and_without_its_value(
    text: str, name: str, says: str, write: Write
) -> None:
    write(text)
    with pytest.raises(ConfigurationError, match=says) as caught:
        AsyncM3ter.from_profile(name)
    assert SECRET not in str(caught.value)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert caught.value.__cause__ is caught.value.__context__ is None or SECRET not in "".join(shown.format(chain=True))


def test_a_file_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M3TER_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigurationError, match=r"none\.toml .*M3TER_CONFIG"):
        AsyncM3ter.from_profile("acme")


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such bits")
@pytest.mark.parametrize(("mode", "told"), [(0o600, False), (0o400, False), (0o640, True), (0o644, True)])
def test_a_file_with_secrets_that_others_can_read_is_warned_about(mode: int, told: bool, write: Write) -> None:
    path = write(FILE)
    path.chmod(mode)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        AsyncM3ter.from_profile("acme")
    assert [f"{path} holds secrets" in str(each.message) for each in caught] == [True] * told
    assert all(each.filename == __file__ for each in caught)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such bits")
def test_a_file_without_secrets_may_be_read_by_all(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("[acme]\norg_id = 'o'").chmod(0o644)
    monkeypatch.setenv("M3TER_API_TOKEN", "t")
    AsyncM3ter.from_profile("acme")


@pytest.mark.parametrize(
    ("system", "variables", "place"),
    [
        ("linux", {"XDG_CONFIG_HOME": "/x"}, "/x/m3ter/config.toml"),
        ("linux", {"HOME": "/h"}, "/h/.config/m3ter/config.toml"),
        ("darwin", {"HOME": "/h"}, "/h/Library/Application Support/m3ter/config.toml"),
        ("win32", {"APPDATA": "/a"}, "/a/m3ter/config.toml"),
        ("linux", {"M3TER_CONFIG": "~/mine.toml", "HOME": "/h"}, "/h/mine.toml"),
    ],
)
def test_the_file_is_where_each_system_keeps_settings(
    system: str, variables: dict[str, str], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("XDG_CONFIG_HOME", "APPDATA", "M3TER_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(sys, "platform", system)
    assert config_path().as_posix() == place
