"""A parser whose failures are told as those of all commands are."""

from __future__ import annotations

import argparse
from typing import NoReturn

from .console import PROGRAM, CommandFailed


class Parser(argparse.ArgumentParser):
    """A parser of one command, that fails as all commands do: in one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong.

        Raises:
            CommandFailed: Always.
        """
        raise CommandFailed(f"{self.prog.removeprefix(PROGRAM).strip()}: {message}")
