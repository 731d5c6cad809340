"""The blocks of a Markdown page, and how they are run: in order, in one namespace, as somebody who copies them does.

``python`` runs as in ``python -m asyncio``, where await is taken at the top level; one with tests goes to pytest.
``console`` holds commands after ``$`` with their output, ``sh`` only commands. ``text`` is what the block before it
printed, where ``...`` stands for anything. A comment ``<!-- not run: why -->`` before a block says why it is not run,
and ``<!-- run with: duckdb, polars -->`` that it runs where these are installed, as in ``nox -s engines``.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from m3ter_async import AsyncM3ter, M3terError
from m3ter_async.cli import main

SECONDS = 60.0
RUN = ("python", "console", "sh")
SHOWN = ("text",)  # the output of the block before
OTHERS = ("toml", "json", "dockerfile", "ini", "mermaid")  # nothing to run

_BLOCK = re.compile(
    r"(?:^<!-- (?:not run: (?P<reason>[^>]+)|run with: (?P<libraries>[\w, ]+)) -->\n\n?)?"
    r"^(?P<fence>```+)(?P<language>[^\n]*)\n(?P<content>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
_alike = doctest.OutputChecker().check_output


@dataclass(frozen=True)
class Block:
    """A block of a page.

    Attributes:
        page: The page.
        line: The line of its first line.
        language: What stands behind the fence.
        content: Its text.
        reason: Why it is not run, or None.
        libraries: What it needs besides what the tests install.
    """

    page: Path
    line: int
    language: str
    content: str
    reason: str | None
    libraries: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.page.name}, line {self.line}"


def blocks_of(page: Path) -> list[Block]:
    """All blocks of a page but directives of Sphinx, in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start("content")) + 1,
            found["language"].strip(),
            found["content"],
            found["reason"],
            tuple((found["libraries"] or "").replace(",", " ").split()),
        )
        for found in _BLOCK.finditer(text)
        if not found["language"].startswith("{")
    ]


def runs(block: Block) -> bool:
    """Whether a block is to be run here."""
    return block.language in RUN and block.reason is None and all(map(find_spec, block.libraries))


class Reader:
    """Somebody who copies the blocks of a page, one after the other.

    Args:
        folder: Where they work.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._loop = asyncio.Runner()
        self._status = 0

    def copy(self, block: Block) -> str:
        """Run a block.

        Returns:
            What it printed.
        """
        if block.language == "python":
            return self._python(block)
        shown = io.StringIO()
        for command, wanted in _commands(block):
            printed = self._command(command, block)
            if block.language == "console":
                compare(wanted, printed, f"{block}: {command}")
            shown.write(printed)
        return "" if block.language == "console" else shown.getvalue()

    def close(self) -> None:
        """Close what the page left open."""
        for each in list(self._names.values()):
            if isinstance(each, AsyncM3ter):
                with contextlib.suppress(M3terError):  # it was closed in another event loop, to which it belonged
                    self._loop.run(each.aclose())
        self._loop.close()

    def _python(self, block: Block) -> str:
        if re.search(r"^ *(async )?def test_", block.content, re.MULTILINE):
            return self._tests(block)
        source = "\n" * (block.line - 1) + block.content
        code = compile(source, str(block.page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            if code.co_flags & inspect.CO_COROUTINE:
                self._loop.run(asyncio.wait_for(eval(code, self._names), SECONDS))
            else:
                exec(code, self._names)
        return printed.getvalue()

    def _tests(self, block: Block) -> str:
        module = self._folder / f"test_line_{block.line}.py"
        module.write_text(block.content, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", module.name]
        ended = subprocess.run(command, cwd=self._folder, timeout=SECONDS, text=True, capture_output=True, check=False)
        assert ended.returncode == 0, f"{block}:\n{ended.stdout}{ended.stderr}"
        return ""

    def _command(self, command: str, block: Block) -> str:
        words = shlex.split(command)
        if command == "echo $?":
            return f"{self._status}\n"
        if words[0] == "export":
            for variable, _, value in (word.partition("=") for word in words[1:]):
                os.environ[variable] = value
            return ""
        if words[0] != "m3ter-async" or {"|", ">", "<"} & set(words):
            ended = subprocess.run(
                command,
                shell=True,
                cwd=self._folder,
                timeout=SECONDS,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
                check=False,
            )
            self._status = ended.returncode
            return ended.stdout
        content = io.BytesIO()
        printed = io.TextIOWrapper(content, encoding="utf-8", write_through=True)
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            self._status = main(words[1:])
        printed.detach()
        return content.getvalue().decode()


def _commands(block: Block) -> Iterator[tuple[str, str]]:
    """The commands of a block, each with the output that stands below it."""
    joined = block.content.replace("\\\n", "")
    if block.language == "sh":
        for line in joined.splitlines():
            command = line.partition("  #")[0].strip()
            if command:
                yield command, ""
        return
    for part in str.split(f"\n{joined}", "\n$ ")[1:]:
        lines = part.split("\n", 1)
        yield lines[0].strip(), lines[-1] if len(lines) > 1 else ""


def read(page: Path, folder: Path) -> None:
    """Copy each block of a page that runs here, in a folder, and compare what it prints with what stands below it.

    The variables of the environment name a sandbox.
    """
    reader = Reader(folder)
    try:
        printed, last = "", None
        for block in blocks_of(page):
            if block.language in SHOWN:
                if last is not None:
                    compare(block.content, printed, str(last))
                printed = ""
            elif block.language in RUN:
                assert not printed, f"{last} prints what is not shown:\n{printed}"
                last = block if runs(block) else None
                printed = reader.copy(block) if last is not None else ""
        assert not printed, f"{last} prints what is not shown:\n{printed}"
    finally:
        reader.close()


def compare(wanted: str, printed: str, place: str) -> None:
    """Fail where something else was printed than stands on the page."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert _alike(wanted.strip() + "\n", printed.strip() + "\n", flags), f"{place} printed\n{printed}\nnot\n{wanted}"
