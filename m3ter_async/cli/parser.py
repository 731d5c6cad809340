"""A parser whose failures are told as those of all commands are."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Any, NoReturn

from .console import PROGRAM, CommandFailed, near


class Parser(argparse.ArgumentParser):
    """A parser of one command, that fails as all commands do: in one line. No option may be shortened."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    @property
    def command(self) -> str:
        """The command that it is of."""
        return self.prog.removeprefix(PROGRAM).strip()

    @property
    def names(self) -> list[str]:
        """Of its options, as they are written."""
        return [name for action in self._actions for name in action.option_strings]

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """What a command line says; options may stand before, between and behind all else.

        Raises:
            CommandFailed: It cannot be followed. Of an option that is not known, the name is shown and nothing else:
                what comes after it may be a secret.
        """
        for word in takewhile(lambda word: word != "--", arguments):
            name = word.partition("=")[0] if word.startswith("--") else word[:2]
            if re.match(r"-\D", name) and name not in self.names:
                raise CommandFailed(f"{self.command} takes no {name}{near(name, self.names)}")
        return self.parse_intermixed_args(arguments)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong.

        Raises:
            CommandFailed: Always.
        """
        raise CommandFailed(f"{self.command}: {message}")
