"""What the tests in memory stand on: the bucket in memory does what those of S3, Google and Azure do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from m3ter_async.export import ExportError
from m3ter_async.export.places.bucket import Bucket, MissingObject
from m3ter_async.export.places.obstore_bucket import ObstoreBucket
from m3ter_async.sandbox import Sandbox

from ...export.buckets import MemoryBucket, downloaded
from ...export.support import content
from .other_stores import other_store
from .s3 import DAYS, SECRET, exported


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Google and Azure, which this process may write to."""
    with other_store() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield


def real(scheme: str, url: str) -> Bucket:
    return ObstoreBucket(scheme, "bucket", url.removeprefix("s3://bucket/"))


def buckets() -> dict[str, Callable[[str], Bucket]]:
    return {
        "memory": lambda _: MemoryBucket({}),
        **{scheme: partial(real, scheme) for scheme in ("s3", "gs", "az")},
    }


@pytest.mark.parametrize("kind", list(buckets()))
@pytest.mark.usefixtures("others")
def test_a_bucket_does_what_is_asked_of_it(kind: str, s3: str, tmp_path: Path) -> None:
    bucket = buckets()[kind](s3)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"some bytes")
    assert bucket.create("manifest/1", b"one")
    assert not bucket.create("manifest/1", b"two")
    assert bucket.get("manifest/1") == b"one"
    assert bucket.put("a/b=1/c", source) == 10
    source.write_bytes(b"others")
    assert bucket.put("a/b=1/c", source) == 6
    assert bucket.get_range("a/b=1/c", 2, 3) == b"her"
    bucket.fetch("a/b=1/c", target)
    assert target.read_bytes() == b"others"
    source.write_bytes(b"")
    assert bucket.put("a/empty", source) == 0
    assert bucket.put("ab/other", source) == 0
    assert bucket.sizes("a") == {"a/b=1/c": 6, "a/empty": 0}
    assert bucket.sizes("nothing") == {}
    bucket.delete(["a/b=1/c", "a/never", "a/empty"])
    bucket.delete([])
    assert bucket.sizes("a") == {}
    for call in (lambda: bucket.get("a/never"), lambda: bucket.fetch("a/never", target)):
        with pytest.raises(MissingObject):
            call()


@pytest.mark.parametrize("scheme", ["gs", "az"])
@pytest.mark.usefixtures("others")
def test_google_and_azure_get_the_rows_that_a_folder_gets(sandbox: Sandbox, tmp_path: Path, scheme: str) -> None:
    expected = content(exported(sandbox, tmp_path / "plain", **DAYS))
    url = f"{scheme}://bucket/a/b"
    for options in (DAYS, {"resume": True}, {"overwrite": True, **DAYS}):
        report = exported(sandbox, url, **options)
        bucket = ObstoreBucket(scheme, "bucket", "")
        objects = {str(file.path): bucket.get(str(file.path)) for file in report.files}
        assert content(downloaded(report, objects, tmp_path, f"{scheme}://bucket")) == expected
        assert sorted(objects) == sorted(f"a/b/{key}" for key in ObstoreBucket(scheme, "bucket", "a/b").sizes("bills"))


@pytest.mark.parametrize("scheme", ["gs", "az"])
@pytest.mark.usefixtures("others")
def test_a_bucket_of_google_or_azure_that_is_not_there(sandbox: Sandbox, scheme: str) -> None:
    with pytest.raises((ValueError, ExportError)) as caught:
        exported(sandbox, f"{scheme}://never-made/x")
    assert f"cannot write to {scheme}://never-made/x/manifest: there is no such bucket" in str(caught.value)
    assert SECRET not in str(caught.value)
