"""What is wrong with a query is said in one line, before anything is read, and no secret stands in a query's plan."""

from __future__ import annotations

from datetime import date

import pytest

from m3ter_async import ConfigurationError
from m3ter_async.blocking import Connection

pytest.importorskip("pyarrow")

from m3ter_async._spark.filters import narrowed
from m3ter_async._spark.options import PARTITIONS, read_options

BILLS = {"resource": "bills"}


def test_the_name_of_the_listing_is_enough() -> None:
    options = read_options(BILLS)
    assert (options.connections, options.method) == ((Connection(),), "bills.list")
    assert (options.table, options.where, options.partitions, options.pushdown) == (None, {}, PARTITIONS, False)
    assert "line_items" in options.schema.names


def test_names_are_known_in_the_style_of_python_and_of_spark() -> None:
    # Spark hands over the names in lower case
    for base_url, partitions in (("base_url", "partitions"), ("baseUrl", "Partitions"), ("baseurl", "partitions")):
        options = read_options({**BILLS, base_url: "https://api.example.com", partitions: "8"})
        assert (options.connections[0].base_url, options.partitions) == ("https://api.example.com", 8)


def test_all_else_is_an_argument_of_the_listing() -> None:
    options = read_options({**BILLS, "account_id": "a1", "locked": "false", "since": "2025-01-01"})
    assert (options.where, options.since) == ({"account_id": "a1", "locked": "false"}, "2025-01-01")


def test_without_days_bills_are_divided_by_their_ids() -> None:
    assert read_options(BILLS).by == "ids"
    assert read_options({**BILLS, "since": "2025-01-01"}).by == "days"
    assert read_options({**BILLS, "since": "2025-01-01", "by": "ids"}).by == "ids"
    assert read_options({**BILLS, "by": "days"}).by == "days"
    assert read_options({"resource": "balances.transactions"}).by == "days"


def test_each_organization_has_a_connection_with_the_same_settings() -> None:
    options = read_options({**BILLS, "organizations": "one, two", "limiter": "1/8", "timeout": "5.5"})
    assert options.connections == tuple(Connection(org_id=name, limiter="1/8", timeout=5.5) for name in ("one", "two"))
    named = read_options({**BILLS, "profiles": "acme,beta"})
    assert named.connections == (Connection(profile="acme"), Connection(profile="beta"))


def test_a_table_has_its_own_schema() -> None:
    assert "bill_id" in read_options({**BILLS, "table": "line_items"}).schema.names
    assert read_options({**BILLS, "keep_bad": "true"}).schema.names[-1] == "_bad_record"
    assert "balance_id" in read_options({"resource": "balances.transactions"}).schema.names


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, 'the option resource is missing: .option("resource", "bills")'),
        ({"resurce": "bills"}, "the option resurce is not known; did you mean resource?"),
        ({"resource": ""}, "the option resource must be a text, not empty, not ''"),
        ({"resource": "bils"}, "'bils' is no listing of this API; near to it: bills"),
        ({**BILLS, "partition": "8"}, "the option partition is not known; did you mean partitions?"),
        ({**BILLS, "organisations": "a"}, "the option organisations is not known; did you mean organizations?"),
        ({**BILLS, "acount_id": "a"}, "bills cannot be selected by acount_id; did you mean account_id?"),
        ({**BILLS, "path": "/x"}, "bills cannot be selected by path"),
        ({**BILLS, "partitions": "many"}, "the option partitions must be a whole number from 1, not 'many'"),
        ({**BILLS, "partitions": "0"}, "the option partitions must be a whole number from 1, not '0'"),
        ({**BILLS, "max_connections": "1.5"}, "the option max_connections must be a whole number from 1, not '1.5'"),
        ({**BILLS, "timeout": "nan"}, "the option timeout must be a number above 0, not 'nan'"),
        ({**BILLS, "pushdown": "yes"}, "the option pushdown must be true or false, not 'yes'"),
        ({**BILLS, "since": "soon"}, "since must be a day such as 2024-01-31, not soon"),
        ({**BILLS, "since": "2025-02-01", "until": "2025-01-01"}, "since must be before until"),
        ({**BILLS, "locked": "maybe"}, "locked must be true or false, not 'maybe'"),
        ({**BILLS, "table": "lines"}, "bills.list has no table 'lines': it has bills, line_items, pricing_bands"),
        ({**BILLS, "table": "line_items", "keep_bad": "true"}, "bad records are kept with"),
        ({**BILLS, "by": "weeks"}, "the option by must be days or ids, not 'weeks'"),
        ({"resource": "balances.transactions", "by": "ids"}, "cannot be asked for ids"),
        ({**BILLS, "organizations": "a,,b"}, "the option organizations must be ids of organizations"),
        ({**BILLS, "organizations": "a,a"}, "each once"),
        ({**BILLS, "organizations": "a", "org_id": "b"}, "org_id and organizations exclude each other"),
        ({**BILLS, "profiles": "a", "organizations": "b"}, "organizations and profiles exclude each other"),
        ({**BILLS, "baseUrl": "https://a.example", "base_url": "https://b.example"}, "base_url is given twice"),
        ({"resource": "accounts", "since": "2025-01-01"}, "accounts cannot be selected by since and until"),
    ],
)
def test_one_line_says_what_is_wrong(given: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is looked at below
        read_options(given)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["api_secret", "apisecret", "apiKey", "token"])
def test_a_secret_is_not_taken_as_an_option_and_not_repeated(name: str) -> None:
    with pytest.raises(ValueError, match="set M3TER_API_KEY and M3TER_API_SECRET") as caught:
        read_options({**BILLS, name: "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_a_url_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_options({**BILLS, "base_url": "https://someone:hunter2@api.example.com"})
    assert "hunter2" not in str(caught.value)


# Filters, as Spark writes them


class Filter:
    """Spark's filters are told apart by the names of their classes."""

    def __init__(self, *attribute: str, value: object = None) -> None:
        self.attribute = attribute
        self.value = value


class EqualTo(Filter): ...


class In(Filter): ...


class GreaterThan(Filter): ...


class GreaterThanOrEqual(Filter): ...


class LessThan(Filter): ...


class LessThanOrEqual(Filter): ...


class IsNotNull(Filter): ...


class Not:
    def __init__(self, child: Filter) -> None:
        self.child = child


MAY = date(2025, 5, 1)


@pytest.mark.parametrize(
    ("filters", "days", "where"),
    [
        ([], (None, None), {}),
        ([IsNotNull("bill_date"), GreaterThanOrEqual("bill_date", value=MAY)], (MAY, None), {}),
        ([GreaterThan("bill_date", value=MAY)], (date(2025, 5, 2), None), {}),
        ([LessThan("bill_date", value=MAY)], (None, MAY), {}),
        ([LessThanOrEqual("bill_date", value=MAY)], (None, date(2025, 5, 2)), {}),
        ([EqualTo("bill_date", value=MAY)], (MAY, date(2025, 5, 2)), {}),
        ([LessThanOrEqual("bill_date", value=date.max)], (None, None), {}),
        (
            [GreaterThanOrEqual("bill_date", value=date(2025, 4, 1)), GreaterThanOrEqual("bill_date", value=MAY)],
            (MAY, None),
            {},
        ),
        ([Not(EqualTo("locked", value=True))], (None, None), {"locked": "false"}),
        ([EqualTo("locked", value=False)], (None, None), {"locked": "false"}),
        ([EqualTo("locked", value=True)], (None, None), {}),  # it would bring the others too
        ([Not(EqualTo("locked", value=False))], (None, None), {}),
        ([EqualTo("account_id", value="a1")], (None, None), {"account_id": "a1"}),
        ([Not(EqualTo("account_id", value="a1"))], (None, None), {}),
        ([EqualTo("status", value="PENDING")], (None, None), {"status": "PENDING"}),
        ([EqualTo("id", value="b1")], (None, None), {"ids": "b1"}),
        ([In("id", value=("b1", "b2"))], (None, None), {"ids": "b1,b2"}),
        ([In("id", value=tuple(map(str, range(51))))], (None, None), {}),  # too many for a URL
        ([In("id", value=("b1", None))], (None, None), {}),
        ([EqualTo("id", value="b1,b2")], (None, None), {}),  # which would be two of them
        ([EqualTo("account", "id", value="a1")], (None, None), {}),  # of a struct in it
        ([EqualTo("currency", value="EUR")], (None, None), {}),
        ([EqualTo("account_id", value="a1"), EqualTo("account_id", value="a2")], (None, None), {"account_id": "a1"}),
    ],
)
def test_filters_become_arguments_that_never_leave_out_more(
    filters: list[object], days: tuple[date | None, date | None], where: dict[str, str]
) -> None:
    found = narrowed(filters)
    assert ((found.since, found.until), found.where) == (days, where)
    assert not found.empty


def test_filters_that_exclude_each_other_leave_nothing() -> None:
    both = [LessThan("bill_date", value=MAY), GreaterThanOrEqual("bill_date", value=MAY)]
    assert narrowed(both).empty
    assert narrowed([LessThan("bill_date", value=MAY)]).within(MAY, None).empty
