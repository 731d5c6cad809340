"""Secrets that cannot be shown by accident."""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Iterable

MASK = "[redacted]"

codecs.lookup("utf-16-le")  # loaded now: a failure is told also when no file can be opened any more


class Secret(str):
    """Text that goes over the wire as it is and shows itself nowhere else.

    A plain ``str`` would stand in every dump of a dict of headers or of a frame's local variables; this one is
    masked there, and refuses to be pickled.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret of m3ter_async cannot be pickled")


def basic(api_key: str, api_secret: str) -> Secret:
    """The value of an HTTP Basic ``Authorization`` header."""
    return Secret("Basic " + base64.b64encode(f"{api_key}:{api_secret}".encode()).decode())


def fits_a_header(token: str) -> bool:
    """Whether `token` can stand in an ``Authorization`` header: printable ASCII without spaces."""
    return token.isascii() and token.isprintable() and " " not in token and token != ""


class Redactor:
    """Masks secrets in what servers send back, since they may echo what they were sent.

    Args:
        secrets: What to mask, as it is and as it looks inside URLs, JSON and HTML, also where those are nested. One of
            fewer than eight characters is left out: it would mask parts of ordinary words.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        known = sorted((each for each in secrets if len(each) >= _SHORTEST), key=len, reverse=True)
        self._reach = len(known[0]) * _WIDEST if known else 0
        self._pattern = re.compile("|".join(map(_any_form, known)).encode()) if known else None

    def clean(self, data: bytes | bytearray, most: int) -> bytes:
        """The first `most` bytes of `data`, masked; of a secret that the cut goes through nothing is left."""
        kept = bytes(data[: most + self._reach])
        if self._pattern is not None:
            kept = self._pattern.sub(MASK.encode(), kept)
        if len(data) > most + self._reach:
            kept = kept[: max(0, len(kept) - self._reach)]  # here the beginning of one may stand
        return kept[:most]

    def text(self, value: str) -> str:
        """`value`, masked."""
        data = value.encode(errors="replace")
        return self.clean(data, len(data) * len(MASK)).decode(errors="replace")


_SHORTEST = 8  # characters
_WIDEST = 40  # bytes that one character of a secret may take


def _any_form(secret: str) -> str:
    """A pattern for a secret, in which each character may be escaped or encoded by itself, a few times over."""
    return "".join(map(_any_character, secret))


def _any_character(character: str) -> str:
    if character.isascii() and character.isalnum():
        return character
    plain = "".join(f"\\x{byte:02x}" for byte in character.encode())
    in_url = "".join(f"%(?:25){{0,2}}(?i:{byte:02x})" for byte in character.encode())
    in_json = "".join(rf"\\{{1,8}}u(?i:{unit:04x})" for unit in _utf_16(ord(character)))
    in_html = "|".join(f"&(?:amp;)?{name};" for name in _ENTITIES.get(character, (f"#{ord(character)}",)))
    return rf"(?:\\{{0,8}}{plain}|{in_url}|{in_json}|{in_html})"


def _utf_16(code: int) -> tuple[int, ...]:
    """The units of a character, without a codec: Python would load it from disk, where no descriptor may be left."""
    return (code,) if code < 0x10000 else (0xD800 + (code - 0x10000 >> 10), 0xDC00 + (code - 0x10000 & 0x3FF))


_ENTITIES = {"&": ("amp",), "<": ("lt",), ">": ("gt",), '"': ("quot", "#34"), "'": ("#39", "#x27", "apos")}
