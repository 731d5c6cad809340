"""The folder of an export: what is no folder is refused, what a file system lacks is done without and told once."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from m3ter_async.export import ExportError, export
from m3ter_async.export.places.choice import local_folder
from m3ter_async.export.places.folder import Folder
from m3ter_async.export.places.local import LocalPlace
from m3ter_async.export.run.manifest import Manifest

from .support import FORMS, Form, Shelf, bill, files


def shelf() -> Shelf:
    return Shelf({"bills": [bill(number) for number in range(25)]})


# What is meant


@pytest.mark.parametrize(
    "out",
    [
        "s3://key:hush@bucket/x",
        "s3://",
        "S3://?",
        "gs:///x",
        "s3:/bucket/x",
        "az://bucket/x?sig=hush",
        "s3://bucket/a//b",
        "s3://bucket/../b",
        "abfss://c@account.dfs.core.windows.net/x",
        "dbfs:/tmp/x",
        "file:///tmp/x",
        "HTTPS://user:hush@host/x",
        Path("s3://bucket/x"),
        "~/x",
        "~somebody/x",
        "",
        "  ",
        "a\0b",
        b"/tmp/x",
    ],
)
async def test_what_is_no_local_folder_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    source = shelf()
    with pytest.raises(ValueError, match=r"^out ") as caught:
        await export(source.client(), ["bills"], out)
    assert "hush" not in str(caught.value)
    assert os.listdir(tmp_path) == []
    assert not source.asked


@pytest.mark.parametrize("out", ["x", "./s3:x", "a:b", "C:\\bills", "C:/bills", ".", "/tmp/s3://x", "a~", "s3:"])
def test_what_only_looks_like_a_url_is_a_folder(out: str) -> None:
    assert local_folder(out) == Path(out)


# What a file system lacks

Failing = Callable[[pytest.MonkeyPatch, int], None]


def no_locks(patch: pytest.MonkeyPatch, number: int) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    patch.setattr(fcntl, "flock", flock)


def syncs(patch: pytest.MonkeyPatch, number: int, which: Callable[[int], bool]) -> None:
    real = os.fsync

    def fsync(handle: int) -> None:
        if which(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        real(handle)

    patch.setattr(os, "fsync", fsync)


def no_sync_of_folders(patch: pytest.MonkeyPatch, number: int) -> None:
    syncs(patch, number, stat.S_ISDIR)


def no_sync_of_files(patch: pytest.MonkeyPatch, number: int) -> None:
    syncs(patch, number, stat.S_ISREG)


def folders_that_cannot_be_opened(patch: pytest.MonkeyPatch, number: int) -> None:
    real = os.open

    def opened(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if not options and os.path.isdir(path):  # rmtree opens folders too, by dir_fd=
            raise OSError(number, os.strerror(number), str(path))
        return real(path, flags, *more, **options)

    patch.setattr(os, "open", opened)


LACKS = [
    *[(no_locks, number, "has no locks") for number in ("ENOLCK", "ENOTSUP", "EOPNOTSUPP", "EINVAL", "ENOSYS")],
    *[(no_sync_of_folders, number, "cannot be synced") for number in ("EINVAL", "ENOTSUP", "EBADF", "ENOSYS")],
    *[(no_sync_of_files, number, "cannot be synced") for number in ("EINVAL", "ENOTSUP", "ENOSYS")],
    *[(folders_that_cannot_be_opened, number, "cannot be synced") for number in ("EACCES", "EISDIR", "EPERM")],
]


@pytest.mark.parametrize(("lack", "name", "told"), LACKS, ids=lambda each: getattr(each, "__name__", each))
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_a_file_system_lacks_is_done_without_and_told_once(
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    lack: Failing,
    name: str,
    told: str,
) -> None:
    with monkeypatch.context() as patch:
        lack(patch, getattr(errno, name))
        report = await export(shelf().client(), ["bills"], out, compression="zstd")
    assert report.records == {"bills": 25}
    assert files(out)
    texts = [each.getMessage() for each in caplog.records if each.name.startswith("m3ter_async")]
    assert [text for text in texts if told in text] == texts
    assert len(texts) == 1
    assert str(out) in texts[0]


@pytest.mark.parametrize("name", ["EIO", "ENOSPC", "EDQUOT"])
@pytest.mark.parametrize("fail", [no_sync_of_folders, no_sync_of_files])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_disk_that_fails_is_told_as_that(
    out: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fail: Failing, name: str
) -> None:
    number = getattr(errno, name)
    with monkeypatch.context() as patch:
        fail(patch, number)
        with pytest.raises((ExportError, ValueError), match=rf"^cannot write to {out.parent}.*{os.strerror(number)}"):
            await export(shelf().client(), ["bills"], out)
    assert not [each for each in caplog.records if "cannot be synced" in each.getMessage()]
    assert (await export(shelf().client(), ["bills"], out, overwrite=True)).records == {"bills": 25}


@pytest.mark.parametrize("name", ["EIO", "EACCES", "EAGAIN"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_lock_that_fails_is_not_taken_for_one_that_is_missing(
    out: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    told = "cannot write to .*Input/output error" if name == "EIO" else "another export is writing to"
    with monkeypatch.context() as patch:
        no_locks(patch, getattr(errno, name))
        with pytest.raises((ExportError, ValueError), match=told):
            await export(shelf().client(), ["bills"], out)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_folder_that_somebody_writes_to_is_told_as_that(out: Path) -> None:
    other = Manifest(LocalPlace(out))
    try:
        with pytest.raises(ExportError, match="another export is writing to"):
            await export(shelf().client(), ["bills"], out)
    finally:
        other.close()
    assert (await export(shelf().client(), ["bills"], out)).records == {"bills": 25}


@pytest.mark.parametrize("form", list(FORMS.values()), ids=list(FORMS))
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_folder_that_a_folder_is_made_in_is_synced(
    folder: Path, monkeypatch: pytest.MonkeyPatch, form: Form
) -> None:
    """Else a power cut takes the folder, with all that was seen on the disk within it."""
    synced: set[str] = set()
    made: list[Path] = []
    real, mkdir = os.fsync, Path.mkdir

    def fsync(handle: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{handle}"))
        real(handle)

    def watched(path: Path, *arguments: Any, **options: Any) -> None:
        made.append(path)
        mkdir(path, *arguments, **options)

    if not os.path.isdir("/proc/self/fd"):  # noqa: ASYNC240
        pytest.skip("nothing tells here which file a descriptor is of")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        patch.setattr(Path, "mkdir", watched)
        await export(shelf().client(), ["bills"], folder / "a" / "b" / "c", **form.options)
    kept = [path for path in made if path.exists()]
    assert folder / "a" / "b" in kept
    assert folder / "a" / "b" / "c" / "bills" in kept
    assert {str(path.parent) for path in kept} <= synced


def test_a_folder_is_made_once_and_what_is_no_folder_is_told(tmp_path: Path) -> None:
    place = Folder(tmp_path / "a")
    for _ in range(2):
        place.make(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "x"):
        with pytest.raises(OSError, match=str(path)):
            place.make(path)
