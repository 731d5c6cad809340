"""The records that were set aside, in a store: for each part that has some, an object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..errors import ExportError
from .bucket import Bucket

FOLDER = "aside"
_SUFFIX = ".ndjson"


class AsideObjects:
    """The objects of one resource.

    Args:
        bucket: Where they are.
        shown: Where that is, for messages.
        resource: The resource.
        draft: Gives a path to write one at.
        is_left_over: Whether one that the journal does not name is of a run that is over.
    """

    def __init__(
        self,
        bucket: Bucket,
        shown: str,
        resource: str,
        draft: Callable[[str], Path],
        is_left_over: Callable[[str], bool],
    ) -> None:
        self._bucket = bucket
        self._where = shown
        self._folder = f"{FOLDER}/{resource}"
        self._draft = draft
        self._is_left_over = is_left_over

    @property
    def shown(self) -> str:
        """Where they are, for messages."""
        return f"{self._where}/{self._folder}/*{_SUFFIX}"

    def key(self, stem: str) -> str:
        """The key of the object of a part."""
        return f"{self._folder}/{stem}{_SUFFIX}"

    def append(self, stem: str, lines: Sequence[bytes]) -> None:
        """Put the lines of a part. Blocking."""
        if lines:
            draft = self._draft(self.key(stem))
            try:
                draft.write_bytes(b"".join(lines))
                self._bucket.put(self.key(stem), draft)
            finally:
                draft.unlink(missing_ok=True)

    def of_part(self, stem: str) -> list[bytes]:
        """The lines of a part. Blocking."""
        return [line + b"\n" for line in self._bucket.get(self.key(stem)).split(b"\n")[:-1]]

    def tidy(self, counts: Mapping[str, int]) -> None:
        """Remove the objects of all parts but these, and see that theirs are there. Blocking.

        Raises:
            ExportError: They are not.
        """
        there = self._bucket.sizes(self._folder)
        kept = {self.key(stem) for stem in counts}
        for key in sorted(kept):
            if not there.get(key):
                why = "is not as it was finished: export anew with overwrite"
                raise ExportError(f"{self._where}/{key} {why}", resumable=False)
        self._bucket.delete([key for key in there if key not in kept and self._is_left_over(key)])

    def remove(self) -> None:
        """Remove all of them. Blocking."""
        self.tidy({})
