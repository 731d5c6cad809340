"""Headers that a caller wants on every request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from ..errors import ConfigurationError

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[!-~]([ \t!-~]*[!-~])?")
# What belongs to the login, to the body, or to the connection and not to the request.
_OURS = frozenset(
    (
        *("authorization", "accept", "accept-encoding", "content-type", "content-length", "content-encoding"),
        *("host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect"),
    )
)


def more_headers(present: Mapping[str, str], given: object) -> Mapping[str, str]:
    """Headers with others added; of two by one name, whatever its case, the new one stays.

    Raises:
        ConfigurationError: What is given cannot be sent, or is for the client to send; no value is shown.
    """
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"headers= must be a mapping of names to texts, not {type(given).__name__}")
    found = dict(present)
    for name, value in cast("Mapping[object, object]", given).items():
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            raise ConfigurationError(f"headers= has the name {name!r}, which no header can have")
        if name.lower() in _OURS or name.lower().startswith("proxy-"):
            mend = "; pass api_key= and api_secret=, or token=" if name.lower() == "authorization" else ""
            raise ConfigurationError(f"headers= has {name!r}, which the client itself sets{mend}")
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            raise ConfigurationError(
                f"headers= has a value of {name!r} that cannot be sent: plain ASCII text, one line"
            )
        if name.lower() == "user-agent":
            name = "User-Agent"
        for other in [other for other in found if other.lower() == name.lower()]:
            del found[other]
        found[name] = str(value)
    return found
