"""Credentials, bearer tokens and the request limit."""

from __future__ import annotations

import secrets
from base64 import b64decode
from hmac import compare_digest
from time import monotonic

from m3ter_async.sandbox.data import Row
from m3ter_async.sandbox.draw import draw
from m3ter_async.sandbox.problem import Problem

CREDENTIALS_PLACE = 100


class Access:
    """Who may call: one key with its secret, one organization, and the tokens handed out so far."""

    def __init__(self, seed: int, org_id: str, token_seconds: float) -> None:
        chance = draw(seed, CREDENTIALS_PLACE)
        self.api_key: str = f"sandbox{chance.getrandbits(64):016x}"
        self.api_secret: str = f"{chance.getrandbits(256):064x}"
        self._org_id = org_id
        self._token_seconds = token_seconds
        self._ends: dict[str, float] = {}

    def issue(self, authorization: str | None) -> Row:
        """A new token for Basic credentials; wrong or missing ones are a 401."""
        kind, _, encoded = (authorization or "").partition(" ")
        try:
            given = b64decode(encoded, validate=True)
        except ValueError:
            given = b""
        if kind.lower() != "basic" or not compare_digest(given, f"{self.api_key}:{self.api_secret}".encode()):
            raise Problem(401, "Authorization: not the Basic credentials of an access key")
        token = secrets.token_urlsafe(48)
        self._ends[token] = monotonic() + self._token_seconds
        return {"access_token": token, "token_type": "Bearer", "expires_in": int(self._token_seconds), "scope": None}

    def check(self, authorization: str | None, org_id: str) -> None:
        """Let a call through: a token that ended is a 403, an unknown one a 401, another organization a 403."""
        kind, _, token = (authorization or "").partition(" ")
        end = self._ends.get(token)
        if kind.lower() != "bearer" or end is None:
            raise Problem(401, "Authorization: no bearer token of this service")
        if monotonic() >= end:
            raise Problem(403, "Unauthorized")
        if org_id != self._org_id:
            raise Problem(403, "orgId: this organization is not open to the token")

    def expire_all(self) -> None:
        """End every token handed out so far."""
        now = monotonic()
        self._ends = {token: min(end, now) for token, end in list(self._ends.items())}


class RateLimit:
    """So many requests in each second, and none for the rest of it."""

    def __init__(self, per_second: int | None) -> None:
        self._per_second = per_second
        self._second = -1
        self._count = 0

    def admit(self) -> None:
        """Count one request; 429 when it is one too many."""
        if self._per_second is None:
            return
        second = int(monotonic())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count > self._per_second:
            raise Problem(429, f"more than {self._per_second} requests in this second")
