"""The operations of bills that are more than create, retrieve, update and delete."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import BILLS, ORG
from m3ter_async.sandbox.contract.validation import day
from m3ter_async.sandbox.exact_numbers import total
from m3ter_async.sandbox.handlers.entity_rows import changed_row, touched
from m3ter_async.sandbox.handlers.filters import filters
from m3ter_async.sandbox.handlers.pages import page
from m3ter_async.sandbox.refusal import Refusal
from m3ter_async.sandbox.seed_data.bills import bill_row, line_rows

# Previews are drawn from positions that no bill ever has.
PREVIEW_POSITION: Final = 1 << 31


def with_lines(world: World, bill: Row) -> Row:
    """A bill as it is answered: with its line items and their total."""
    return with_total({**bill, "lineItems": world.store.lines(bill)})


def with_total(bill: Row) -> Row:
    """Add the total of the line items, in the currency of the bill."""
    bill["billTotal"] = total(row["convertedSubtotal"] for row in bill["lineItems"])
    return bill


def list_bills(world: World, call: Call) -> Row:
    """GET /bills: line items unless they are excluded, the total if it is asked for."""
    if "billingFrequency" in call.query and "billDate" not in call.query:
        raise Refusal(400, "billingFrequency: only together with billDate")

    def shape(bill: Row) -> Row:
        answer = {**bill, "lineItems": world.store.lines(bill)} if not without or with_sum else dict(bill)
        if with_sum:
            with_total(answer)
        if without:
            answer.pop("lineItems", None)
        return answer

    without, with_sum = call.query.get("excludeLineItems", False), call.query.get("includeBillTotal", False)
    return page(world, call, world.store.bills.walk, shape)


def _bills_where(test: Callable[[Row], bool], world: World, call: Call) -> Row:
    def walk(after: int | None) -> Iterable[tuple[int, Row]]:
        return ((place, bill) for place, bill in world.store.bills.walk(after) if test(bill))

    return page(world, call, walk, lambda bill: with_lines(world, bill))


def bills_of_account(world: World, call: Call) -> Row:
    """GET /bills/accountid/{accountId}."""
    account = call.path["accountId"]
    return _bills_where(lambda bill: bill["accountId"] == account, world, call)


def latest_bill(world: World, call: Call) -> Row:
    """GET /bills/latest/{accountId}: the newest bill of the account."""
    for _, bill in world.store.bills.walk():
        if bill["accountId"] == call.path["accountId"]:
            return with_lines(world, bill)
    raise Refusal(404, "accountId: this account has no bill")


def _in_period(world: World, call: Call) -> Callable[[Row], bool]:
    last, frequency = call.path["lastDateInBillingPeriod"], call.path["billingFrequency"]
    if day(last) is None:
        raise Refusal(400, "lastDateInBillingPeriod: not a date")
    allowed = world.schemas["BillResponse"]["billingFrequency"].enum
    if frequency not in allowed:
        raise Refusal(400, f"billingFrequency: not one of {', '.join(allowed)}")
    return lambda bill: bill["endDate"] == last and bill["billingFrequency"] == frequency


def bills_in_period(world: World, call: Call) -> Row:
    """GET /bills/billingperiod/{lastDateInBillingPeriod}/{billingFrequency}."""
    return _bills_where(_in_period(world, call), world, call)


def _approve(world: World, call: Call, bills: Iterable[Row]) -> Row:
    pending = [bill for bill in bills if bill["status"] == "PENDING"]
    for bill in pending:
        set_status(world, bill, "APPROVED")
    if pending:
        world.wrote(call)
    return {"message": f"{len(pending)} bills approved"}


def set_status(world: World, bill: Row, status: str, **also: Any) -> Row:
    """Store a bill as approved or pending, and with other fields changed."""
    change = touched(world, bill)
    approval = {"dtApproved": change["dtLastModified"], "approvedBy": change["lastModifiedBy"]}
    if status == "PENDING":
        approval = {"dtApproved": None, "approvedBy": None}
    return world.store.bills.put({**bill, **change, **approval, **also, "status": status})


def approve_period(world: World, call: Call) -> Row:
    """POST /bills/billingperiod/.../approve."""
    test = _in_period(world, call)
    return _approve(world, call, [bill for _, bill in world.store.bills.walk() if test(bill)])


def approve_bills(world: World, call: Call) -> Row:
    """POST /bills/approve: the bills named, as far as they pass the filters."""
    bills = [named_bill(world, bill_id) for bill_id in call.body["billIds"]]
    accounts = call.query.get("accountIds")
    if accounts is not None:
        bills = [bill for bill in bills if bill["accountId"] in accounts.split(",")]
    bill_fields = call.route._replace(answer=world.schemas["PaginatedBillResponseData"]["data"].item)
    dates = {name: value for name, value in call.query.items() if name != "accountIds"}
    tests = filters(world, Call(bill_fields, call.path, dates, {}))
    return _approve(world, call, [bill for bill in bills if all(test(bill) for test in tests)])


def named_bill(world: World, bill_id: str) -> Row:
    """The bill that a body names; 404 where there is none."""
    bill = world.store.bills.get(bill_id)
    if bill is None:
        raise Refusal(404, f"billIds: there is no bill {bill_id}")
    return bill


def update_status(world: World, call: Call) -> Row:
    """PUT /bills/{id}/status."""
    bill = world.store.row(BILLS, call.path)
    if bill["locked"]:
        raise Refusal(400, "locked: the status of a locked bill cannot be changed")
    world.wrote(call)
    return with_lines(world, set_status(world, bill, call.body["status"]))


def _lock(world: World, bill: Row) -> Row:
    change = touched(world, bill)
    locked = {"locked": True, "dtLocked": change["dtLastModified"], "lockedBy": change["lastModifiedBy"]}
    return world.store.bills.put({**bill, **change, **locked})


def _unlock(world: World, bill: Row) -> None:
    world.store.locked_by_date.discard(bill["id"])
    unlocked = {"locked": False, "dtLocked": None, "lockedBy": None}
    world.store.bills.put({**bill, **touched(world, bill), **unlocked})


def change_bill(world: World, bill_id: str, fields: Row) -> None:
    """Change a bill as the service does by itself."""
    bill = world.store.bills.get(bill_id)
    if bill is None or bill["locked"]:
        raise ValueError(f"there is no bill {bill_id} that is not locked")
    world.store.bills.put({**bill, **fields, **touched(world, bill)})


def lock_bill(world: World, call: Call) -> Row:
    """PUT /bills/{id}/lock: only an approved bill can be locked; it stays locked."""
    bill = world.store.row(BILLS, call.path)
    if bill["status"] == "PENDING":
        raise Refusal(400, "status: a PENDING bill cannot be locked")
    if not bill["locked"]:
        bill = _lock(world, bill)
        world.wrote(call)
    return with_lines(world, bill)


def _config(world: World) -> Row:
    organization = world.store.organization
    stored = world.store.table(ORG + "/billconfig", {}).get(organization.id)
    created = organization.day(1000) + "T00:00:00Z"
    return stored or {"id": organization.id, "version": 1, "dtCreated": created, "createdBy": organization.user_id}


def get_config(world: World, _call: Call) -> Row:
    """GET /billconfig."""
    return _config(world)


def update_config(world: World, call: Call) -> Row:
    """PUT /billconfig: lock every bill up to and on `billLockDate`, unless one of them is PENDING.

    Those that an earlier, later date locked are unlocked.
    """
    row = changed_row(world, call, _config(world))
    date = row.get("billLockDate")
    bills = [bill for _, bill in world.store.bills.walk() if date is not None and bill["billDate"] <= date]
    if any(bill["status"] == "PENDING" for bill in bills):
        raise Refusal(400, "billLockDate: there are PENDING bills up to this date")
    for bill in bills:
        if not bill["locked"]:
            _lock(world, bill)
            world.store.locked_by_date.add(bill["id"])
    for bill_id in sorted(world.store.locked_by_date):
        locked = world.store.bills.get(bill_id)
        if locked is not None and (date is None or locked["billDate"] > date):
            _unlock(world, locked)
    world.wrote(call)
    return world.store.table(ORG + "/billconfig", {}).put(row)


def preview_bill(world: World, call: Call) -> Row:
    """POST /bills/preview: a bill that is not stored."""
    account = job_accounts(world, call)[0]
    organization = world.store.organization
    position = PREVIEW_POSITION + organization.accounts.index(account)
    bill = {**bill_row(organization, position), **bill_fields(world, call.body, account)}
    return with_total({**bill, "lineItems": line_rows(organization, position, bill)})


def job_accounts(world: World, call: Call) -> list[Any]:
    """The accounts a bill job or preview is for: those it names, else all."""
    accounts = {account.id: account for account in world.store.organization.accounts}
    named: list[str] = call.body.get("accountIds") or list(accounts)
    for account_id in named:
        if account_id not in accounts:
            raise Refusal(404, f"accountIds: there is no account {account_id}")
    return [accounts[account_id] for account_id in named]


def bill_fields(world: World, job: Row, account: Any) -> Row:
    """What a bill takes from its account and from the job that makes it."""
    end = job.get("lastDateInBillingPeriod")
    names = ("billDate", "dueDate", "externalInvoiceDate", "billingFrequency", "timezone")
    bill: Row = {
        "accountId": account.id,
        "accountCode": account.code,
        "billingFrequency": account.frequency,
        "currency": job.get("targetCurrency") or account.currency,
        "currencyConversions": job.get("currencyConversions") or [],
        **{name: job[name] for name in names if job.get(name) is not None},
    }
    if end is not None:
        bill.update(endDate=end, endDateTimeUTC=end + "T00:00:00Z", billDate=bill.get("billDate", end))
    return bill


HANDLERS: Final[dict[str, Handler]] = {
    "ListBills": list_bills,
    "GetAllBillsForAccount": bills_of_account,
    "GetLatestBill": latest_bill,
    "GetAllBillsInBillingPeriod": bills_in_period,
    "ApproveAllBillsInBillingPeriod": approve_period,
    "ApproveBills": approve_bills,
    "UpdateBillStatus": update_status,
    "LockBill": lock_bill,
    "GetBillConfig": get_config,
    "UpdateBillConfig": update_config,
    "PreviewBill": preview_bill,
}
