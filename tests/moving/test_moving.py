"""Moving over from the m3ter package: one program gives the same with either, and what is said of the package is so."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

import m3ter_async
from m3ter_async import AsyncM3ter
from m3ter_async.sandbox import Sandbox

m3ter = pytest.importorskip("m3ter")
PAGE = Path(__file__).resolve().parents[2] / "MOVING.md"
SOURCE = (Path(__file__).parent / "program.py").read_text(encoding="utf-8")
IMPORT = "from m3ter_async import"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def a_token(sandbox: Sandbox) -> str:
    """What the package cannot get by itself."""
    with httpx.Client(base_url=sandbox.url, trust_env=False) as http:
        login = {"grant_type": "client_credentials"}
        answer = http.post("/oauth/token", json=login, auth=(sandbox.api_key, sandbox.api_secret))
    token: str = answer.json()["access_token"]
    return token


def run(source: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], Sandbox]:
    """What a program gives on a sandbox that is the same each time."""
    with Sandbox(bills=120, empty_pages=False) as sandbox, monkeypatch.context() as patch:
        for name, value in {**sandbox.environ, "M3TER_API_TOKEN": a_token(sandbox)}.items():
            patch.setenv(name, value)
        program: dict[str, Any] = {}
        exec(compile(source, "program", "exec"), program)
        return asyncio.run(program["main"]()), sandbox


def rounded(value: Any) -> Any:
    """A value without what the package takes from it: exact amounts are doubles there."""
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return float(value) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else value


def test_one_program_does_the_same_with_either_package(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SOURCE.count(IMPORT) == 1
    theirs, their_sandbox = run(SOURCE.replace(IMPORT, "from m3ter import"), monkeypatch)
    ours, our_sandbox = run(SOURCE, monkeypatch)
    assert len(ours) > 300
    assert rounded(ours) == rounded(theirs)
    assert our_sandbox.applied == their_sandbox.applied
    assert our_sandbox.truth() == their_sandbox.truth()


def test_the_program_sees_amounts_the_package_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _ = run(SOURCE, monkeypatch)
    amounts = [row[3] for row in ours if isinstance(row, tuple) and len(row) == 4 and isinstance(row[3], Decimal)]
    assert any(Decimal(float(amount)) != amount and Decimal(str(float(amount))) != amount for amount in amounts)


# Names and arguments

OF_THE_PACKAGE = {"org_id", "extra_headers", "extra_query", "extra_body", "timeout"}


def methods(resource: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The methods of a client or namespace of the package, by their dotted names."""
    for name in dir(type(resource)):
        member = inspect.getattr_static(type(resource), name)
        if name.startswith(("_", "with_")):
            continue
        if inspect.isfunction(member) and path:
            yield path + name, getattr(resource, name)
        elif not inspect.isfunction(member) and ".resources." in type(value := getattr(resource, name)).__module__:
            yield from methods(value, f"{path}{name}.")


def parameters(method: Any) -> dict[str, tuple[bool, bool]]:
    """By name: whether it is positional, and whether it is required."""
    return {
        name: (each.kind is each.POSITIONAL_OR_KEYWORD, each.default is each.empty)
        for name, each in inspect.signature(method).parameters.items()
        if name not in OF_THE_PACKAGE
    }


def test_every_method_of_the_package_is_here_by_its_name_with_its_arguments() -> None:
    client = m3ter.AsyncM3ter(api_key="k", api_secret="s", org_id="o", token="t")
    ours = AsyncM3ter("k", "s", "o")
    differ: dict[str, set[str]] = {}
    count = 0
    for path, theirs in methods(client):
        if path == "usage.submit_all":
            continue
        count += 1
        resource: Any = ours
        for name in path.split("."):
            resource = getattr(resource, name)
        mine, wanted = parameters(resource), parameters(theirs)
        assert mine.items() >= wanted.items(), path
        if required := {name for name in mine.keys() - wanted.keys() if mine[name][1]}:
            differ[path] = required
    assert count == 286
    # what the contract asks for and the package cannot send
    assert differ == {
        f"data_exports.{path}": {"code", "name"}
        for path in ("destinations.create", "destinations.update", "schedules.create", "schedules.update")
    }


def test_every_exception_of_the_package_is_here_by_its_name() -> None:
    names = {name for name in m3ter.__all__ if isinstance(getattr(m3ter, name), type) and name.endswith("Error")}
    assert len(names) > 10
    assert names <= set(m3ter_async.__all__)
    for name in names:
        bases = {base.__name__ for base in getattr(m3ter, name).__mro__} & names
        assert bases <= {base.__name__ for base in getattr(m3ter_async, name).__mro__}, name


# What the page says of the package


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(bills=120) as sandbox:
        yield sandbox


def package_client(sandbox: Sandbox, token: str | None) -> Any:
    return m3ter.AsyncM3ter(
        api_key=sandbox.api_key,
        api_secret=sandbox.api_secret,
        org_id=sandbox.org_id,
        token=token,
        base_url=sandbox.url,
    )


def our_client(sandbox: Sandbox) -> AsyncM3ter:
    return AsyncM3ter(sandbox.api_key, sandbox.api_secret, sandbox.org_id, base_url=sandbox.url)


async def test_the_package_does_not_log_in_and_fails_when_its_token_ends(sandbox: Sandbox) -> None:
    async with package_client(sandbox, None) as client:
        with pytest.raises(TypeError, match="Expected the token"):
            await client.bills.list()
    async with package_client(sandbox, a_token(sandbox)) as client:
        sandbox.expire_tokens()
        with pytest.raises(m3ter.PermissionDeniedError):
            await client.bills.list()


async def test_the_package_ends_a_listing_at_an_empty_page(sandbox: Sandbox) -> None:
    async with package_client(sandbox, a_token(sandbox)) as client:
        theirs = [bill.id async for bill in client.bills.list(page_size=5)]
    async with our_client(sandbox) as client:
        ours = [bill.id async for bill in client.bills.list(page_size=5)]
    assert len(theirs) < len(ours) == sandbox.truth().bills
    assert theirs == ours[: len(theirs)]


async def test_the_package_sends_a_write_again_that_may_have_taken_effect(sandbox: Sandbox) -> None:
    async with package_client(sandbox, a_token(sandbox)) as client:
        balance = (await client.balances.list(page_size=1)).data[0].id
        sandbox.fail_next(1, "drop", operation="PostBalanceTransaction", applied=True)
        await client.balances.transactions.create(balance, amount=1.0)
        assert sandbox.applied["PostBalanceTransaction"] == 2
        with pytest.raises(TypeError, match="Decimal is not JSON serializable"):
            await client.balances.transactions.create(balance, amount=Decimal("1.5"))
    async with our_client(sandbox) as client:
        sandbox.fail_next(1, "drop", operation="PostBalanceTransaction", applied=True)
        with pytest.raises(m3ter_async.APIConnectionError) as caught:
            await client.balances.transactions.create(balance, amount=1.0)
    assert caught.value.outcome_unknown
    assert sandbox.applied["PostBalanceTransaction"] == 3


async def test_the_package_has_the_names_that_the_page_gives_it(sandbox: Sandbox) -> None:
    assert m3ter.__version__ in PAGE.read_text(encoding="utf-8")
    assert hasattr(m3ter, "DefaultAioHttpClient")
    async with package_client(sandbox, a_token(sandbox)) as client:
        names = ("get", "copy", "with_options", "close", "with_raw_response", "with_streaming_response")
        assert [name for name in names if not hasattr(client, name)] == []
        assert client.max_retries == 2
        assert hasattr(client.usage, "submit_all")
        page = await client.bills.list(page_size=1)
        bill = page.data[0]
        assert page.has_next_page()
        assert type(await page.get_next_page()) is type(page)
        assert hasattr(page, "iter_pages")
        assert bill.to_dict()["id"] == bill.id
        assert bill.id in bill.to_json()
        assert not hasattr(await client.accounts.search(), "get_next_page")
        sandbox.fail_next(2, 409, operation="GetBill")
        await client.bills.retrieve(bill.id)
        with pytest.raises(m3ter.NotFoundError) as caught:
            await client.bills.retrieve("nonesuch")
    assert (caught.value.status_code, caught.value.response.status_code) == (404, 404)
    assert "message" in caught.value.body


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_code_on_the_page_is_code() -> None:
    assert len(blocks()) == 3
    for block in blocks():
        compile("async def main():\n" + "".join(f"    {line}\n" for line in block.splitlines()), "page", "exec")
    exec(blocks()[0], {})
