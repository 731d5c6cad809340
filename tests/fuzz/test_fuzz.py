"""The inputs that fuzzing begins with, and those that it found: each is an answer that the client takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from .answers import CALLS, check, parse

CORPUS = {path.name: path.read_bytes() for path in sorted((Path(__file__).parent / "corpus").iterdir())}


@pytest.mark.parametrize("name", CORPUS)
async def test_an_answer_of_the_corpus_is_a_value_or_a_typed_error(name: str) -> None:
    assert await check(parse(CORPUS[name]))


def test_the_corpus_has_an_answer_for_every_call() -> None:
    assert {parse(data).call for data in CORPUS.values()} == set(CALLS)
