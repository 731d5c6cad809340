"""A page is split by its brackets and quotes, whatever is in the texts and numbers of its records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from m3ter_async import APIResponseValidationError, RecordError
from m3ter_async._core.decoding import Unreadable
from m3ter_async._paging.page_splitting import _Scanner, split

from ..fakes import FakeTransport, answer, client

# what makes msgspec refuse a whole page
ODD = {
    "half a surrogate": rb'{"a":"cut \ud83d"}',
    "the other half": rb'"\ude00"',
    "NaN": b'{"a":NaN}',
    "Infinity": b"[-Infinity]",
    "a raw line end": b'{"a":"x\ny"}',
    "an escape that is none": rb'{"a":"\x"}',
    "a comma too many": b'{"a":1,}',
    "a number with a zero before it": b"01",
    "deep": b"[" * 5_000 + b"]" * 5_000,
    "not UTF-8": b'"\xff\\ud800"',
    "brackets in a text": rb'{"]}":"[{\"\\","b":NaN}',
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_what_one_record_holds_is_no_matter_of_the_others(odd: bytes) -> None:
    body = b' {"data" : [ {"id":1},%b , 7 ] ,"more":NaN, "nextToken":"x"} ' % odd
    records, token = split(body)
    assert isinstance(records, list)
    assert ([bytes(record) for record in records], token) == ([b'{"id":1}', odd, b"7"], "x")


NOT_PAGES = [
    b"",
    b"NaN",
    b'{"data":[NaN',
    b'{"data":[NaN}',
    b'{"data":[NaN]',
    b'{"data":[NaN]}}',
    b'{"data":[NaN]},',
    b'{"data":[NaN 1]}',
    b'{"data":[NaN,]}',
    b'{"data":[,NaN]}',
    b'{"data":[{"a":NaN]]}',
    b'{"data":[{"a":NaN}}}',
    b'{"data":["NaN\\"]}',
    b'{"data":NaN}',
    b'{"data":[NaN],"nextToken":5}',
    b'{"data":[NaN],"nextToken":"\xff"}',
    rb'{"data":[],"nextToken":"\ud83d"}',
    b'{"date":[NaN]}',
    b'{,"data":[NaN]}',
    b'{"data":[NaN],}',
    b"{data:[NaN]}",
    b'{"data"[NaN]}',
    b'{"data":}',
    b"<html>[NaN]</html>",
]


@pytest.mark.parametrize("body", NOT_PAGES)
def test_what_is_cut_or_not_a_page_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable):
        split(body)


def test_the_last_of_two_fields_of_one_name_counts_and_an_escaped_name_is_the_same_name() -> None:
    for more in (b"1", b"NaN"):
        body = rb'{"data":[0],"d\u0061ta":[%b],"nextToken":"a","nextT\u006fken":null}' % more
        records, token = split(body)
        assert isinstance(records, list)
        assert ([bytes(record) for record in records], token) == ([more], None)


def test_a_record_that_is_no_page_stays_whole() -> None:
    assert split(b'{"id":NaN}', either=True) == (UNSET, None)
    with pytest.raises(Unreadable):
        split(b'{"id":NaN', either=True)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def scanned(body: bytes, either: bool = False) -> tuple[list[bytes], str | None]:
    records, token = _Scanner(body).page(either)
    assert isinstance(records, list)
    return [bytes(record) for record in records], token


@given(
    st.lists(VALUES, max_size=6),
    st.none() | st.text(),
    st.dictionaries(st.text(max_size=5), VALUES, max_size=3),
    st.sampled_from([None, 1, "\t"]),
    st.booleans(),
)
def test_the_scanner_finds_the_records_that_json_finds(
    data: list[Any], token: str | None, more: dict[str, Any], indent: Any, plain: bool
) -> None:
    page = {**more, "data": data, "nextToken": token}
    text = json.dumps(page, indent=indent, ensure_ascii=plain)
    found, next_token = scanned(text.encode(errors="surrogatepass"))
    expected = json.loads(text)
    assert repr([json.loads(record) for record in found]) == repr(expected["data"])  # repr, since NaN is not NaN
    assert next_token == expected["nextToken"]


@given(st.binary() | st.text('{}[]",:\\ naN1').map(str.encode))
def test_the_scanner_and_msgspec_agree_wherever_msgspec_has_a_page(noise: bytes) -> None:
    for body in (noise, b'{"data":[' + noise + b"]}", b'{"data":[1],"x":' + noise + b"}"):
        try:
            records, token = split(body)
        except Unreadable:
            continue
        assert isinstance(records, list)
        assert scanned(body) == ([bytes(record) for record in records], token)


@given(VALUES, st.integers(0, 10_000))
def test_a_page_that_was_cut_anywhere_is_never_taken_for_a_whole_one(value: Any, cut: int) -> None:
    body = json.dumps({"data": [value, float("nan")], "nextToken": None}).encode()
    with pytest.raises(Unreadable):
        split(body[: cut % len(body)])


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
async def test_raw_does_not_depend_on_what_is_in_the_texts(odd: bytes) -> None:
    body = b'{"data":[{"id":"a"},%b,{"id":"c"}]}' % odd
    async with client(FakeTransport(lambda _: answer(body))) as m3ter:
        assert await m3ter.bills.list().raw().collect() == [b'{"id":"a"}', odd, b'{"id":"c"}']
        bad: list[RecordError] = []
        bills = await m3ter.bills.list().tolerant(bad.append).collect()
    assert [bill.id for bill in bills] == ["a", "c"]
    assert [(error.record, error.index) for error in bad] == [(odd, 1)]
    assert isinstance(bad[0], APIResponseValidationError)


def test_a_raw_record_owns_its_bytes() -> None:
    body = bytearray(b'{"data":[NaN]}')
    records, _ = split(body)
    body[:] = b" " * len(body)
    assert isinstance(records, list)
    assert [bytes(record) for record in records] == [b"NaN"]
    assert isinstance(records[0], Raw)
