"""Who calls, and for whom: from arguments first, then from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ConfigurationError
from .redaction import Secret, fits_a_header

_ORGANIZATION = re.compile(r"[\w.~:@;,+=()!*'$-]+", re.ASCII)
_BLANKS = " \t\n\v\f\r\x85\xa0\u2028\u2029\ufeff"  # the last is what some editors begin a file with
_WHAT = {"api_key": "API key", "api_secret": "API secret", "org_id": "organization"}


def secret(value: str | None) -> Secret | None:
    """Mask a value as early as possible: a traceback may show local variables."""
    return Secret(value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Text:
    """A text that was set, and by what.

    Attributes:
        value: The text; where it is a secret, it stays masked.
        name: ``api_key=`` for an argument, ``M3TER_API_KEY`` for a variable.
    """

    value: str
    name: str


def passed(argument: str, value: object) -> Text | None:
    """What an argument says: it is taken as it is, or refused; None says nothing.

    Raises:
        ConfigurationError: It cannot be used; its value is not shown, since any may be a secret.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise ConfigurationError(f"{argument}= must be a str, not {type(value).__name__}")
    if not value:
        raise ConfigurationError(
            f"{argument}= is an empty text: pass a value, or leave it out and set {_variable(argument)}"
        )
    if value[0] in _BLANKS or value[-1] in _BLANKS:
        raise ConfigurationError(f"{argument}= begins or ends with a blank or line end: take it off, as strip() does")
    return _checked(Text(value, f"{argument}="))


def exported(argument: str) -> Text | None:
    """What the environment says in place of an argument: the ends are trimmed, since many variables are filled from
    files, and one that is empty then is not set.

    Raises:
        ConfigurationError: As in `passed`.
    """
    value = Secret(Secret(os.environ.get(_variable(argument), "")).strip(_BLANKS))
    return _checked(Text(value, _variable(argument))) if value else None


def _variable(argument: str) -> str:
    return "M3TER_API_TOKEN" if argument == "token" else f"M3TER_{argument.upper()}"


def _checked(given: Text) -> Text:
    value = given.value
    if not value.isprintable():
        raise ConfigurationError(f"{given.name} holds a line end, or another character that cannot be shown")
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        raise ConfigurationError(f"{given.name} stands in quotation marks: set it without them")
    return given


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls, and for whom.

    Attributes:
        login: Key and secret.
        token: The token to start with.
        org_id: The organization that is called.
    """

    login: tuple[Secret, Secret] | None
    token: Secret | None
    org_id: str


def identity(api_key: Secret | None, api_secret: Secret | None, token: Secret | None, org_id: object) -> Identity:
    """What to log in with and whom to call; a token that is passed is not mixed with another's key.

    Raises:
        ConfigurationError: Something is missing, and the text names all that is; or something cannot be used.
    """
    start, key, shared = passed("token", token), passed("api_key", api_key), passed("api_secret", api_secret)
    if start is None:
        if key is None and shared is None:
            start = exported("token")
        key, shared = key or exported("api_key"), shared or exported("api_secret")
    named = passed("org_id", org_id) or exported("org_id")
    missing: list[str] = []
    if key is None and (shared is not None or start is None):
        missing.append("api_key")
    if shared is None and (key is not None or start is None):
        missing.append("api_secret")
    if named is None:
        missing.append("org_id")
    if missing or named is None:
        raise _missing(missing)
    if start is not None and not fits_a_header(start.value):
        raise ConfigurationError(f"{start.name} holds a space, or another character that no token has")
    if key is not None and ":" in key.value:
        raise ConfigurationError(f"{key.name} holds a colon, which HTTP Basic cannot carry")
    return Identity(
        None if key is None or shared is None else (Secret(key.value), Secret(shared.value)),
        None if start is None else Secret(start.value),
        _organization(named),
    )


def organization(org_id: object) -> str:
    """The organization of a view."""
    named = passed("org_id", org_id) or exported("org_id")
    if named is None:
        raise _missing(["org_id"])
    return _organization(named)


def _organization(named: Text) -> str:
    if named.value in (".", "..") or not _ORGANIZATION.fullmatch(named.value):
        # not shown: who mixed up the order of arguments has passed a secret here
        raise ConfigurationError(f"{named.name} is no id of an organization: it holds characters that no id has")
    return str(named.value)


def _missing(arguments: Sequence[str]) -> ConfigurationError:
    what = _listed([f"no {_WHAT[each]}" for each in arguments])
    passed = _listed([f"{each}=" for each in arguments])
    variables = _listed([_variable(each) for each in arguments])
    comma, plural = (",", "s") if len(arguments) > 1 else ("", "")
    return ConfigurationError(f"{what}: pass {passed}{comma} or set the environment variable{plural} {variables}")


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
