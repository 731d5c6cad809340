"""A bucket in memory, for exports into a store: it can die in any step, lose answers, and let a rival in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from m3ter_async.export import ExportReport
from m3ter_async.export.places.bucket import MissingObject, StoreError
from m3ter_async.export.places.store import StorePlace

URL = "s3://bucket/prefix"
T = TypeVar("T")


class MemoryBucket:
    """The objects below a prefix, reached by one process.

    Args:
        objects: By key; shared by all processes.
        die_at: The step that the process dies in, counted from 0: every second one is done before it does. No step
            after it has any effect.
        before: Called before each step, with its number.
        lose: Whether the answer of each `create` is lost, so that it is tried again.
        conditions: Whether `create` leaves an object that is there as it is.
    """

    def __init__(
        self,
        objects: dict[str, bytes],
        *,
        die_at: int | None = None,
        before: Callable[[int], None] | None = None,
        lose: bool = False,
        conditions: bool = True,
    ) -> None:
        self.objects = objects
        self.steps: list[str] = []
        self.patient = False
        self._die_at = die_at
        self._before = before
        self._lose = lose
        self._conditions = conditions
        self._dead = False
        self._turn = threading.RLock()

    def _step(self, name: str, key: str, call: Callable[[], T]) -> T:
        with self._turn:
            number = len(self.steps)
            self.steps.append(f"{name} {key}")
            if self._before is not None:
                self._before(number)
            if number == self._die_at:
                if number % 2:
                    call()
                self._dead = True
            if self._dead:
                raise StoreError("it is dead", key)
            return call()

    def create(self, key: str, body: bytes) -> bool:
        def create() -> bool:
            if key in self.objects and self._conditions:
                return False
            self.objects[key] = body
            return True

        if self._lose:
            self._step("create", key, create)
        return self._step("create", key, create)

    def put(self, key: str, source: Path) -> int:
        content = source.read_bytes()
        self._step("put", key, lambda: self.objects.update({key: content}))
        return len(content)

    def get(self, key: str) -> bytes:
        return self._step("get", key, lambda: self._read(key))

    def get_range(self, key: str, start: int, size: int) -> bytes:
        return self._step("get_range", key, lambda: self._read(key)[start : start + size])

    def fetch(self, key: str, target: Path) -> None:
        target.write_bytes(self._step("fetch", key, lambda: self._read(key)))

    def sizes(self, folder: str) -> dict[str, int]:
        def sizes() -> dict[str, int]:
            return {key: len(body) for key, body in sorted(self.objects.items()) if key.startswith(f"{folder}/")}

        return self._step("list", folder, sizes)

    def delete(self, keys: Iterable[str]) -> None:
        for key in list(keys):
            self._step("delete", key, lambda key=key: self.objects.pop(key, None))  # type: ignore[misc]

    def be_patient(self) -> None:
        self.patient = True

    def _read(self, key: str) -> bytes:
        if key not in self.objects:
            raise MissingObject("there is no such object", key)
        return self.objects[key]


def place(bucket: MemoryBucket) -> Any:
    """Where to export to, on a machine that knows nothing of what was exported before."""
    return StorePlace(URL, "prefix", bucket)


def downloaded(report: ExportReport, objects: Mapping[str, bytes], folder: Path, url: str = URL) -> ExportReport:
    """The report of an export into a store, of copies of its files; keys are relative to `url`."""
    files = []
    for file in report.files:
        assert file.url is not None
        assert file.url.partition("://")[2] == f"bucket/{file.path.as_posix()}"
        body = objects[file.url.removeprefix(f"{url}/")]
        assert len(body) == file.bytes
        path = folder / "copies" / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        files.append(replace(file, path=path))
    return replace(report, files=tuple(files))


def kept(objects: Mapping[str, bytes]) -> list[str]:
    """The keys of all objects but those of the manifest, of the schema and of what is set aside."""
    return sorted(key for key in objects if key.partition("/")[0] not in ("manifest", "aside", "schema.json"))


def named(report: ExportReport) -> list[str]:
    """The keys that a report names, below the prefix."""
    return sorted(str(file.url).removeprefix(f"{URL}/") for file in report.files)
