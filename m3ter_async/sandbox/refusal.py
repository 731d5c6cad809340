"""What the sandbox answers when it refuses a call."""

from __future__ import annotations


class Refusal(Exception):
    """A refusal: an HTTP status and the text of the `message` in the answer's body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
