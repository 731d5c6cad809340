"""The options that set up the client, the same on every command that calls the service."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._core.settings import positive
from .console import CommandFailed

if TYPE_CHECKING:
    from ..client import AsyncM3ter
    from ..limits import Limiter


@dataclass(frozen=True)
class ClientOption:
    """An option and the argument of the client that it is.

    Attributes:
        argument: Its name in Python.
        metavar: What stands for its value in a help text; None of a flag.
        help: What it does.
        words: What its value must be.
        read: Makes the value of the text, or raises ValueError.
    """

    argument: str
    metavar: str | None
    help: str
    words: str = "a text, not empty"
    read: Callable[[str], Any] = str

    @property
    def name(self) -> str:
        """As it is written on a command line."""
        return "--" + self.argument.replace("_", "-")

    def value(self, text: str) -> Any:
        """What the client is handed.

        Raises:
            CommandFailed: The text stands for no such value; it is not shown.
        """
        try:
            return self.read(text)
        except ValueError:
            raise CommandFailed(f"{self.name} must be {self.words}") from None


def whole(text: str) -> int:
    """A whole number in digits; the client says from where on it is taken."""
    if not re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
        raise ValueError
    return int(text)


def seconds(text: str) -> float:
    """A number in digits, with decimals or without."""
    if not re.fullmatch(r"-?\d{1,18}(\.\d{1,18})?", text, re.ASCII):
        raise ValueError
    return float(text)


def _rate(text: str) -> float | None:
    return None if text == "none" else seconds(text)


_NUMBER, _WHOLE = "a number above 0", "a whole number"

OPTIONS = (
    ClientOption("profile", "NAME", "a table of the file of profiles, in place of M3TER_PROFILE"),
    ClientOption("base_url", "URL", "in place of M3TER_BASE_URL"),
    ClientOption("org_id", "ID", "in place of M3TER_ORG_ID"),
    ClientOption("timeout", "SECONDS", "for one attempt, from connecting to the last byte (60)", _NUMBER, seconds),
    ClientOption("total_timeout", "SECONDS", "for a call as a whole, with every wait and repeat", _NUMBER, seconds),
    ClientOption("max_retries", "N", "the most repeats of a call (5)", _WHOLE, whole),
    ClientOption("max_retry_time", "SECONDS", "in which a call must end (120 for its repeats)", _NUMBER, seconds),
    ClientOption("rate_limit", "N", "requests per second, or none for no limit (50)", f"{_NUMBER}, or none", _rate),
    ClientOption("limiter", "WHERE", "a file, redis:// URL or share (1/8) in place of M3TER_LIMITER"),
    ClientOption("max_connections", "N", "the most requests in flight at once (100)", _WHOLE, whole),
    ClientOption("max_response_bytes", "N", "a larger answer is refused while it is read (1 GiB)", _WHOLE, whole),
    ClientOption("proxy", "URL", "an HTTP proxy for every request"),
    ClientOption("bulk", None, "repeat calls as long as there is time, as an export does by itself"),
    ClientOption("allow_insecure_http", None, "let key and secret travel in the clear to a base URL of plain http"),
)
BY_NAME: Mapping[str, ClientOption] = {each.name: each for each in OPTIONS}


def add_to(parser: argparse.ArgumentParser) -> None:
    """Let a parser take all of them, as texts."""
    group = parser.add_argument_group("the client")
    for each in OPTIONS:
        if each.metavar is None:
            group.add_argument(each.name, action="store_true", help=each.help)
        else:
            group.add_argument(each.name, metavar=each.metavar, help=each.help)


def given_to(namespace: argparse.Namespace) -> dict[str, str | bool]:
    """What a parser that takes all of them was given, by option."""
    found = {each.name: getattr(namespace, each.argument) for each in OPTIONS}
    return {name: value for name, value in found.items() if value not in (None, False)}


def help_lines() -> Iterable[str]:
    """A line for each of them."""
    for each in OPTIONS:
        name = f"{each.name} {each.metavar}" if each.metavar else each.name
        yield f"  {name:<32}  {each.help}"


def connect(given: Mapping[str, str | bool], **more: Any) -> AsyncM3ter:
    """A client with the credentials of the environment, or of a profile.

    Args:
        given: Options of this place, and the texts that they have.
        more: Other arguments of the client.

    Raises:
        CommandFailed: Credentials are missing, or something cannot be used.
    """
    from ..client import AsyncM3ter
    from ..errors import ConfigurationError

    options = {BY_NAME[name].argument: _value(BY_NAME[name], text) for name, text in given.items()}
    named = options.pop("profile", None) or os.environ.get("M3TER_PROFILE", "").strip()
    try:
        if "limiter" in options:
            options["limiter"] = _limiter(options["limiter"], options.pop("rate_limit", 50.0))
        if named:
            return AsyncM3ter.from_profile(named, **options, **more)
        return AsyncM3ter(**options, **more)
    except ConfigurationError as error:
        raise CommandFailed(_in_options(str(error))) from None


def _limiter(where: str, rate: float | None) -> Limiter:
    from ..limits import limiter_at

    if rate is None:
        raise CommandFailed("--limiter keeps a limit: leave --rate-limit none away")
    return limiter_at(where, rate=positive("rate_limit", rate))


def _value(option: ClientOption, text: str | bool) -> Any:
    return option.value(text) if isinstance(text, str) else text


def _in_options(text: str) -> str:
    """A text that speaks of arguments of the client, in options; key and secret are no options, everybody saw them."""
    text = re.sub(r"pass [\w=, ]*\bapi_\w+=[\w=, ]*? or set", "set", text)
    text = re.sub(r"; pass api_.*", "", text)
    names = "|".join(each.argument for each in OPTIONS)
    text = re.sub(rf"\b({names})=True", lambda found: BY_NAME[_option(found[1])].name, text)
    return re.sub(rf"\b({names})= ?", lambda found: f"{_option(found[1])} ", text)


def _option(argument: str) -> str:
    return "--" + argument.replace("_", "-")
