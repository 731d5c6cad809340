"""The processes that an engine has started, as Linux tells them."""

from __future__ import annotations

from pathlib import Path


def below(pid: int, words: bytes) -> dict[int, int]:
    """The processes below one whose command line has these words, each with its parent."""
    parents: dict[int, int] = {}
    found: set[int] = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if words in (process / "cmdline").read_bytes():
                found.add(int(process.name))
        except OSError:
            continue  # it has ended

    def descends(each: int) -> bool:
        while each in parents and each != pid:
            each = parents[each]
        return each == pid

    return {each: parents[each] for each in found if each != pid and descends(each)}
