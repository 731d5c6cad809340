"""Who may call: credentials and bearer tokens."""

from __future__ import annotations

import secrets
from base64 import b64decode
from hmac import compare_digest
from time import monotonic

from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.refusal import Refusal
from m3ter_async.sandbox.seed_data.seeded_random import draw

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
            raise Refusal(401, "Authorization: not the Basic credentials of an access key")
        token = secrets.token_urlsafe(48)
        self._ends[token] = monotonic() + self._token_seconds
        return {"access_token": token, "token_type": "Bearer", "expires_in": int(self._token_seconds), "scope": None}

    def check(self, authorization: str | None, org_id: str) -> None:
        """Let a call through: a token that ended is a 403, an unknown one a 401, another organization a 403."""
        kind, _, token = (authorization or "").partition(" ")
        end = self._ends.get(token)
        if kind.lower() != "bearer" or end is None:
            raise Refusal(401, "Authorization: no bearer token of this service")
        if monotonic() >= end:
            raise Refusal(403, "Unauthorized")
        if org_id != self._org_id:
            raise Refusal(403, "orgId: this organization is not open to the token")

    def expire_all(self) -> None:
        """End every token handed out so far."""
        now = monotonic()
        self._ends = {token: min(end, now) for token, end in list(self._ends.items())}
