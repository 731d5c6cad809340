"""Look for an answer that the client cannot take, led by the coverage of its code: ``nox -s fuzz -- --seconds 600``.

It ends with the number of inputs that were tried. One that breaks a promise is kept as a file, and the process fails.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["m3ter_async"]):
    import m3ter_async.models.balances
    import m3ter_async.models.bills
    import m3ter_async.resources.balances
    import m3ter_async.resources.bills  # noqa: F401

    from .answers import check, parse

CORPUS = Path(__file__).parent / "corpus"


def main() -> None:
    """Fuzz; it does not return."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: %(default)s)")
    seconds = parser.parse_args().seconds
    loop = asyncio.new_event_loop()

    def one(data: bytes) -> None:
        loop.run_until_complete(check(parse(data)))

    options = [
        f"-max_total_time={seconds}",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-max_len=4096",
        "-print_final_stats=1",
        f"-dict={CORPUS.parent / 'words.dict'}",
        f"-artifact_prefix={CORPUS.parent}/found-",
    ]
    atheris.Setup([sys.argv[0], *options, tempfile.mkdtemp(), str(CORPUS)], one)
    atheris.Fuzz()


main()
