"""An edit loses no field that it was not told about, and a code finds one entity or says that it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, cast

import anyio
import msgspec
import pytest

from m3ter_async import (
    APIConnectionError,
    APIResponseValidationError,
    AsyncM3ter,
    ConflictError,
    NotFoundError,
    TransportError,
)
from m3ter_async._core.encoding import encode_body
from m3ter_async.models import Account
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeClock, FakeTransport, answer, client

ACCOUNT = b"""{
    "id": "a1", "version": 7, "name": "Old", "code": "old", "currency": "USD", "billEpoch": "2024-01-01",
    "address": {"country": "NZ", "planet": {"name": "Earth"}}, "parentAccountId": null,
    "customFields": {"limit": 0.1000000000000000055511151231257827, "tier": "gold", "seats": 12},
    "dtCreated": "2024-01-01T00:00:00Z", "createdBy": "u1", "mood": "fine"
}"""
KEPT = {
    "parentAccountId": None,
    "mood": "fine",
    "code": "old",
    "currency": "USD",
    "billEpoch": "2024-01-01",
    "address": {"country": "NZ", "planet": {"name": "Earth"}},
    "customFields": {"limit": Decimal("0.1000000000000000055511151231257827"), "tier": "gold", "seats": 12},
    "version": 7,
}
CONFLICT = answer({"message": "version"}, 409)


class Store:
    """One entity that answers GET and takes PUT; `refuse` is answered to PUTs before it takes one."""

    def __init__(self, entity: bytes, *refuse: Response | TransportError) -> None:
        self.entity: dict[str, Any] = json.loads(entity, parse_float=Decimal)
        self.text = entity
        self.refuse = list(refuse)
        self.written: list[dict[str, Any]] = []
        self.reads = 0

    def __call__(self, request: Request) -> Response | TransportError:
        if request.method == "GET":
            self.reads += 1
            return answer(self.text)
        self.written.append(json.loads(request.content or b"", parse_float=Decimal))
        if self.refuse:
            return self.refuse.pop(0)
        return answer({"id": "a1", "version": 8, "name": "New"})


def serve(entity: bytes, *refuse: Response | TransportError) -> tuple[Store, FakeTransport]:
    store = Store(entity, *refuse)
    return store, FakeTransport(store)


async def test_what_is_not_changed_is_written_back_as_it_was_read() -> None:
    """To the last digit, with nulls, and with what no model knows; but not what the service sets by itself."""
    store, transport = serve(ACCOUNT)
    async with client(transport) as m3ter:
        changed = await m3ter.accounts.edit("a1", lambda account: {"name": f"{account.name}er"})
    assert changed == Account(id="a1", version=8, name="New")
    assert store.written == [{"name": "Older", **KEPT}]
    assert [(request.method, request.url.rpartition("/")[2]) for request in transport.requests] == [
        ("GET", "a1"),
        ("PUT", "a1"),
    ]


async def test_changes_are_encoded_as_in_an_update() -> None:
    store, transport = serve(ACCOUNT)
    async with client(transport) as m3ter:
        await m3ter.accounts.edit(
            "a1",
            lambda _: {"bill_epoch": date(2025, 2, 1), "currency": None, "days_before_bill_due": 30, "address": {}},
        )
        await m3ter.balances.edit("b1", lambda _: {"end_date": datetime(2025, 1, 1, tzinfo=UTC), "rollover_amount": 5})
    assert store.written[0] == {
        **{"name": "Old", **KEPT},
        **{"billEpoch": "2025-02-01", "currency": None, "daysBeforeBillDue": 30, "address": {}},
    }
    assert store.written[1]["endDate"] == "2025-01-01T00:00:00Z"
    assert store.written[1]["rolloverAmount"] == 5


@pytest.mark.parametrize("way", ["by name", "as a mapping", "by a function", "by an async function"])
async def test_changes_are_given_in_the_way_that_is_at_hand(way: str) -> None:
    store, transport = serve(ACCOUNT)

    async def later(_: Account) -> dict[str, Any]:
        return {"name": "New"}

    async with client(transport) as m3ter:
        if way == "by name":
            await m3ter.accounts.edit("a1", name="New")
        elif way == "as a mapping":
            await m3ter.accounts.edit("a1", {"name": "New"})
        else:
            await m3ter.accounts.edit("a1", later if "async" in way else lambda _: {"name": "New"})
        for bad in ({}, {"change": {"name": "a"}, "code": "b"}):
            with pytest.raises(TypeError, match="changes by name, or as one mapping"):
                await m3ter.accounts.edit("a1", **cast("Any", bad))
        with pytest.raises(TypeError, match="did you mean 'name'"):
            await m3ter.accounts.edit("a1", **cast("Any", {"nme": "New"}))
    assert store.written == [{"name": "New", **KEPT}]


ODD = b"""{"id": "a1", "version": 7, "name": "Old", "emailAddress": null, "zero": -0.00, "big": 1E+400,
  "whole": 123456789012345678901234567890, "text": "\\u00e9", "deep": {"a": [1.10, null, {"b": 1e2}]}}"""


async def test_what_is_written_back_is_what_came_byte_for_byte() -> None:
    _, transport = serve(ODD)
    async with client(transport) as m3ter:
        await m3ter.accounts.edit("a1", code="new")
    assert transport.requests[1].content == (
        b'{"name":"Old","emailAddress":null,"zero":-0.00,"big":1E+400,"whole":123456789012345678901234567890,'
        b'"text":"\\u00e9","deep":{"a": [1.10, null, {"b": 1e2}]},"code":"new","version":7}'
    )


EXACTLY: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
LOST = TransportError("cut", sent=True)


class Kept(Store):
    """Keeps what is put, as the service would: with the next version, whether its answer arrives or not."""

    def __init__(self, entity: bytes, *refuse: Response | TransportError, turn: Callable[[Any], None]) -> None:
        super().__init__(entity, *refuse)
        self.turn = turn

    def __call__(self, request: Request) -> Response | TransportError:
        if request.method == "PUT" and not self.written:
            stored = {**EXACTLY.decode(self.text), **EXACTLY.decode(request.content or b"")}
            stored["version"] += 1
            self.turn(stored)
            self.text = encode_body(stored)
        return super().__call__(request)


SAME: dict[str, Callable[[dict[str, Any]], None]] = {
    "as it was written": lambda stored: None,
    "with more from the service": lambda stored: stored.update(new=1, address={**stored["address"], "region": "x"}),
    "without its nulls": lambda stored: stored.pop("parentAccountId"),
    "with moments in another form": lambda stored: stored.update(purchaseOrderNumber="2025-02-01T00:00:00.000Z"),
    "with other zeros": lambda stored: stored.update(customFields={**stored["customFields"], "seats": 12.0}),
}
OTHER: dict[str, Callable[[dict[str, Any]], None]] = {
    "somebody else's name": lambda stored: stored.update(name="Other"),
    "two versions on": lambda stored: stored.update(version=stored["version"] + 1),
    "the old version": lambda stored: stored.update(version=stored["version"] - 1),
    "no version": lambda stored: stored.pop("version"),
    "less in the address": lambda stored: stored.update(address={}),
    "a flag for a number": lambda stored: stored.update(daysBeforeBillDue=True),
}


@pytest.mark.parametrize("turn", [*SAME, *OTHER])
@pytest.mark.parametrize("how", ["edit", "update"])
async def test_a_conflict_with_its_own_first_attempt_is_a_success_if_the_record_shows_it(how: str, turn: str) -> None:
    """The answer of the first attempt is lost, and its repeat finds the version that it made itself."""
    store = Kept(ACCOUNT, LOST, CONFLICT, turn={**SAME, **OTHER}[turn])
    moment = "2025-02-01T00:00:00Z"
    async with client(FakeTransport(store)) as m3ter:

        async def write() -> Account:
            if how == "edit":
                return await m3ter.accounts.edit("a1", name="New", purchase_order_number=moment, days_before_bill_due=1)
            return await m3ter.accounts.update(
                "a1",
                version=7,
                name="New",
                code="old",
                email_address="a@b.c",
                purchase_order_number=moment,
                days_before_bill_due=1,
                address={"country": "NZ"},
                custom_fields={"seats": 12},
                parent_account_id=None,
            )

        if turn in SAME:
            store.text = store.text.replace(b'"mood"', b'"currencyCode": 1, "mood"')
            account = await write()
            assert (account.name, account.version) == ("New", 8)
        else:
            with pytest.raises(ConflictError) as caught:
                await write()
            assert caught.value.outcome_unknown
    assert len(store.written) == 2


@pytest.mark.parametrize("how", ["edit", "update"])
async def test_all_requests_of_one_change_share_its_time(how: str) -> None:
    clock = FakeClock()
    begins = clock.now()
    read, sent = answer(ACCOUNT), list[float]()

    def respond(request: Request) -> Response | TransportError:
        sent.append(clock.now())
        clock.time += 2.0
        if request.method == "GET" and how == "edit" and len(sent) == 1:
            return read
        return CONFLICT if request.method == "PUT" and len(sent) > 2 else LOST

    async with client(FakeTransport(respond), clock) as m3ter:
        view = m3ter.with_options(total_timeout=8.0)
        accounts = view.accounts
        change = (
            partial(accounts.edit, "a1", name="New")
            if how == "edit"
            else partial(accounts.update, "a1", version=7, name="New", code="old", email_address="a@b.c")
        )
        with pytest.raises((ConflictError, APIConnectionError)) as caught:
            await change()
    assert caught.value.outcome_unknown
    assert len(sent) >= 3
    assert max(sent) < begins + 8.0


async def test_a_conflict_without_doubt_is_not_looked_at() -> None:
    store, transport = serve(ACCOUNT, CONFLICT)
    async with client(transport) as m3ter:
        with pytest.raises(ConflictError) as caught:
            await m3ter.accounts.update("a1", version=7, name="New", code="old", email_address="a@b.c")
    assert not caught.value.outcome_unknown
    assert store.reads == 0


async def test_a_look_that_fails_leaves_the_conflict_and_the_doubt() -> None:
    transport = FakeTransport([LOST, CONFLICT, answer({}, 404)])
    async with client(transport) as m3ter:
        with pytest.raises(ConflictError) as caught:
            await m3ter.accounts.update("a1", version=7, name="New", code="old", email_address="a@b.c")
    assert caught.value.outcome_unknown


@pytest.mark.parametrize("nothing", [None, {}])
async def test_nothing_to_change_writes_nothing(nothing: dict[str, Any] | None) -> None:
    store, transport = serve(ACCOUNT)
    async with client(transport) as m3ter:
        account = await m3ter.accounts.edit("a1", lambda _: nothing)
    assert (account.name, account.version, store.written, store.reads) == ("Old", 7, [], 1)


async def test_a_change_may_be_awaited() -> None:
    store, transport = serve(ACCOUNT)

    async def change(account: Account) -> dict[str, Any] | None:
        await anyio.lowlevel.checkpoint()
        return {"name": account.code}

    async with client(transport) as m3ter:
        await m3ter.accounts.edit("a1", change)
    assert store.written == [{"name": "old", **KEPT}]


async def test_after_a_conflict_the_newer_one_is_read_and_changed() -> None:
    store, transport = serve(ACCOUNT)
    seen: list[Any] = []

    def change(account: Account) -> dict[str, Any]:
        seen.append(account.version)
        if len(seen) == 1:  # someone else is faster
            store.text = ACCOUNT.replace(b'"version": 7', b'"version": 9').replace(b"gold", b"iron")
            store.refuse = [CONFLICT]
        return {"name": "New"}

    async with client(transport) as m3ter:
        await m3ter.accounts.edit("a1", change)
    assert seen == [7, 9]
    assert [body["version"] for body in store.written] == [7, 9]
    assert store.written[1]["customFields"]["tier"] == "iron"


@pytest.mark.parametrize(("attempts", "written"), [(1, 1), (3, 3), (None, 5)])
async def test_conflicts_come_to_an_end(attempts: int | None, written: int) -> None:
    store, transport = serve(ACCOUNT, *[CONFLICT] * 9)
    given: Any = {} if attempts is None else {"attempts": attempts}
    async with client(transport) as m3ter:
        with pytest.raises(ConflictError):
            await m3ter.accounts.edit("a1", lambda _: {"name": "New"}, **given)
        with pytest.raises(ValueError, match="attempts"):
            await m3ter.accounts.edit("a1", lambda _: {"name": "New"}, attempts=0)
    assert len(store.written) == written


async def test_a_conflict_with_a_change_of_its_own_is_not_changed_again() -> None:
    """The first answer is lost: the conflict of the repeat may be with what the first one wrote."""
    store, transport = serve(ACCOUNT, TransportError("cut", sent=True), CONFLICT)
    async with client(transport) as m3ter:
        with pytest.raises(ConflictError) as caught:
            await m3ter.accounts.edit("a1", lambda _: {"name": "New"})
    assert caught.value.outcome_unknown
    assert (store.reads, len(store.written)) == (2, 2)


async def test_a_write_whose_outcome_is_unknown_is_raised() -> None:
    store, transport = serve(ACCOUNT, TransportError("cut", sent=True))
    async with client(transport, max_retries=0) as m3ter:
        with pytest.raises(APIConnectionError) as caught:
            await m3ter.accounts.edit("a1", lambda _: {"name": "New"})
    assert caught.value.outcome_unknown
    assert (store.reads, len(store.written)) == (1, 1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"nme": "New"}, "'nme'.*did you mean 'name'"),
        ({"billEpoch": "2024-01-01"}, "'bill_epoch'"),
        ({"id": "other"}, "'id'"),
        ({"version": 9}, "version"),
        (["name"], "mapping"),
    ],
)
async def test_a_change_of_what_cannot_be_changed_writes_nothing(changes: Any, says: str) -> None:
    store, transport = serve(ACCOUNT)
    async with client(transport) as m3ter:
        with pytest.raises(TypeError, match=says):
            await m3ter.accounts.edit("a1", lambda _: changes)
    assert store.written == []


async def test_what_is_below_something_else_names_it() -> None:
    _, transport = serve(b'{"id": "s1", "version": 1, "amount": 0.10, "units": null}')
    async with client(transport) as m3ter:
        await m3ter.balances.charge_schedules.edit("s1", lambda _: {"name": "New"}, balance_id="b1")
    paths = {request.url.partition("/organizations/org-1")[2] for request in transport.requests}
    assert paths == {"/balances/b1/balancechargeschedules/s1"}
    assert transport.requests[1].content == b'{"amount":0.10,"units":null,"name":"New","version":1}'


async def test_what_there_is_one_of_needs_no_id() -> None:
    store, transport = serve(b'{"id": "c", "version": 3, "timezone": "UTC", "newOnTheService": 1}')
    async with client(transport) as m3ter:
        await m3ter.organization_config.edit(lambda _: {"currency": "NZD", "year_epoch": date(2024, 1, 1)})
    assert store.written == [
        {"timezone": "UTC", "newOnTheService": 1, "currency": "NZD", "yearEpoch": "2024-01-01", "version": 3}
    ]


async def test_secrets_that_are_read_masked_are_not_written_back() -> None:
    webhook = b'{"id": "w", "version": 1, "name": "n", "credentials": {"id": "c", "apiKey": "k", "secret": "****"}}'
    store, transport = serve(webhook)
    async with client(transport) as m3ter:
        with pytest.raises(TypeError, match="credentials"):
            await m3ter.webhooks.edit("w", lambda _: {"active": False})
        assert store.written == []
        given = {"type": "M3TER_SIGNED_REQUEST", "apiKey": "k", "secret": "s"}
        await m3ter.webhooks.edit("w", lambda _: {"active": False, "credentials": given})
    assert store.written == [{"name": "n", "active": False, "credentials": given, "version": 1}]


async def test_an_answer_that_cannot_be_read_is_not_changed() -> None:
    store, transport = serve(b'{"id": "b", "version": 1, "amount": {}}')
    async with client(transport) as m3ter:
        with pytest.raises(APIResponseValidationError) as caught:
            await m3ter.balances.edit("b", lambda _: {"name": "New"})
    assert caught.value.json_path == "$.amount"
    assert store.written == []


def pages(*pages: list[dict[str, Any]]) -> Callable[[Request], Response]:
    def handle(request: Request) -> Response:
        index = int(request.url.partition("nextToken=")[2][:1] or 0)
        return answer({"data": pages[index], "nextToken": str(index + 1) if index + 1 < len(pages) else None})

    return handle


async def found(m3ter: AsyncM3ter, code: str) -> Account:
    return await m3ter.accounts.get_by_code(code)


async def test_a_code_finds_its_entity() -> None:
    transport = FakeTransport(pages([], [{"id": "a1", "code": "acme"}]))
    async with client(transport) as m3ter:
        assert await found(m3ter, "acme") == Account(id="a1", code="acme")
        assert (await m3ter.currencies.get_by_code("acme", archived=False)).id == "a1"
    assert "codes=acme" in transport.requests[0].url
    assert "archived=false" in transport.requests[-1].url


@pytest.mark.parametrize("others", [[], [{"id": "a2", "code": "acme-2"}], [{"id": "a3"}]])
async def test_a_code_that_nothing_has_is_not_found(others: list[dict[str, Any]]) -> None:
    """Also where the service takes the filter more loosely than it is meant."""
    async with client(FakeTransport(pages(others))) as m3ter:
        with pytest.raises(NotFoundError, match="no account has the code 'acme'") as caught:
            await found(m3ter, "acme")
    error = caught.value
    assert (error.status, error.method, error.path) == (404, "GET", "/organizations/org-1/accounts")


async def test_a_record_that_stands_on_two_pages_is_one() -> None:
    """As one does that another moved to the next page while they were read; the later one is newer."""
    twice = [{"id": "a1", "code": "acme", "version": 1}], [{"id": "a1", "code": "acme", "version": 2}]
    async with client(FakeTransport(pages(*twice))) as m3ter:
        assert (await found(m3ter, "acme")).version == 2
    async with client(FakeTransport(pages([{"code": "acme"}], [{"code": "acme"}]))) as m3ter:
        with pytest.raises(APIResponseValidationError, match="more than one"):
            await found(m3ter, "acme")


async def test_a_code_that_two_have_is_an_error() -> None:
    transport = FakeTransport(pages([{"id": "a1", "code": "acme"}], [{"id": "a2", "code": "acme"}]))
    async with client(transport) as m3ter:
        with pytest.raises(APIResponseValidationError, match="more than one account has the code 'acme'"):
            await found(m3ter, "acme")


@pytest.mark.parametrize(("code", "error"), [("", ValueError), ("a,b", ValueError), (5, TypeError), (None, TypeError)])
async def test_what_is_no_code_is_not_asked_for(code: Any, error: type[Exception]) -> None:
    transport = FakeTransport([])
    async with client(transport) as m3ter:
        with pytest.raises(error):
            await found(m3ter, code)
    assert transport.requests == []
