"""Files between being published and being entered in the manifest: where they are not entered, they are withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from ..places.place import Place, Rival
from .entries import OfResource
from .manifest import Manifest


class Publication:
    """A context in which files of parts are published, and entered at its end; all of it is blocking.

    Args:
        manifest: Where they are entered.
        resource: What they are of.
    """

    def __init__(self, manifest: Manifest, resource: str) -> None:
        self._manifest = manifest
        self._place: Place = manifest.place
        self._resource = resource
        self._made: list[tuple[str, Sequence[str]]] = []

    def publish(self, stem: str, names: Sequence[str], aside: Sequence[bytes]) -> list[int]:
        """Publish drafts and the lines that were set aside, of one part, and give the sizes of the files.

        Raises:
            OSError: They cannot be kept.
        """
        self._made.append((stem, names))
        sizes = self._place.publish(names)
        self._place.aside(self._resource).append(stem, aside)
        return sizes

    def enter(self, entry: OfResource) -> None:
        """Enter what was published.

        Raises:
            OSError: It cannot be entered, or nobody knows whether it is.
            Rival: Another export has the place by now.
        """
        try:
            self._manifest.append(entry)
        except Rival:
            raise
        except OSError:
            self._made.clear()
            raise
        self._made.clear()

    def __enter__(self) -> Publication:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for stem, names in self._made:
            for name in names:
                self._place.discard(name)
            self._place.withdraw(names, self._resource, stem)
