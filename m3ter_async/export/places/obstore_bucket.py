"""A bucket of S3, Google Cloud Storage or Azure, by obstore.

Its options (region, endpoint, credentials) come from the environment, as obstore reads them. What it says of a failure
is never shown as it is: signatures, keys and URLs with tokens may be in it.
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from .bucket import NO_CONDITIONS, MissingObject, StoreError
from .obstore_import import exceptions, obstore, stores

# For a first look: what is misspelt or not permitted is told soon. And for the run: an outage of minutes is outlasted.
_QUICK = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}
_PATIENT = {"max_retries": 12, "retry_timeout": timedelta(seconds=180)}
_WAITS = {"connect_timeout": "10s", "timeout": "300s"}  # a part may be large, and the way to the store slow
_NAMES = {"s3": "aws", "gs": "google", "az": "azure"}
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


class ObstoreBucket:
    """The objects below a prefix of a bucket.

    Args:
        scheme: ``s3``, ``gs`` or ``az``.
        bucket: Its name; of Azure, that of the container.
        prefix: Without slashes at its ends; empty is the whole bucket.

    Raises:
        StoreError: An option in the environment cannot be used, or one is missing.
    """

    def __init__(self, scheme: str, bucket: str, prefix: str) -> None:
        self._scheme = scheme
        self._url = f"{scheme}://{bucket}"
        self._prefix = prefix
        if scheme == "s3" and not _endpoint_is_usable():
            raise StoreError("the endpoint is not a URL: look at AWS_ENDPOINT_URL", self._url)
        kind = {"s3": stores.S3Store, "gs": stores.GCSStore, "az": stores.AzureStore}[scheme]
        with self._failures(""):
            waits = {
                name: wait for name, wait in _WAITS.items() if f"{_NAMES[scheme]}_{name}".upper() not in os.environ
            }
            self._store: Any = kind(bucket, prefix=prefix or None, config=waits, retry_config=_QUICK)
            self._patient: Any = kind(bucket, prefix=prefix or None, config=waits, retry_config=_PATIENT)

    def be_patient(self) -> None:
        """From now on, outlast an outage of some minutes."""
        self._store = self._patient

    def create(self, key: str, body: bytes) -> bool:
        """Put an object if there is none of that key; False where there is one. Blocking."""
        try:
            with self._failures(key):
                obstore.put(self._store, key, body, mode="create")
        except _Exists:
            return False
        return True

    def put(self, key: str, source: Path) -> int:
        """Put a file whole, and give its size. Blocking."""
        with source.open("rb") as file, self._failures(key):
            size = source.stat().st_size
            # mapped, so that it takes no memory of its own; one request, so that nothing is left of a killed upload
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
            obstore.put(self._store, key, content, use_multipart=False)
        return size

    def get(self, key: str) -> bytes:
        """All of an object. Blocking."""
        with self._failures(key):
            return bytes(obstore.get(self._store, key).bytes())

    def get_range(self, key: str, start: int, size: int) -> bytes:
        """Some bytes of an object. Blocking."""
        with self._failures(key):
            return bytes(obstore.get_range(self._store, key, start=start, length=size))

    def fetch(self, key: str, target: Path) -> None:
        """Write all of an object to a file. Blocking."""
        with target.open("wb") as file, self._failures(key):
            for some in obstore.get(self._store, key).stream():
                file.write(some)

    def sizes(self, folder: str) -> dict[str, int]:
        """The keys below a folder, with the sizes of the objects. Blocking."""
        with self._failures(folder):
            pages = obstore.list(self._store, folder, chunk_size=1000)
            return {each["path"]: each["size"] for page in pages for each in page}

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are not there are passed over. Blocking."""
        names = list(keys)
        for start in range(0, len(names), 1000):
            some = names[start : start + 1000]
            try:
                with self._failures(some[0]):
                    obstore.delete(self._store, some)
            except MissingObject:  # not all stores say nothing of one that is not there, and then the rest may be there
                for name in some:
                    with suppress(MissingObject), self._failures(name):
                        obstore.delete(self._store, name)

    @contextmanager
    def _failures(self, key: str) -> Generator[None]:
        """Tell what obstore raises as what it is, without its text."""
        where = "/".join(filter(None, (self._url, self._prefix, key)))
        try:
            yield
        except exceptions.AlreadyExistsError:
            raise _Exists from None
        except (exceptions.NotFoundError, FileNotFoundError) as error:
            raise MissingObject(reason(self._scheme, error), where) from None
        except (exceptions.BaseError, NotImplementedError, ValueError) as error:
            raise StoreError(reason(self._scheme, error), where) from None


class _Exists(Exception):
    """There is such an object already."""


def reason(scheme: str, error: Exception) -> str:
    """What a failure is, in words that hold nothing of what obstore says but the name that the store gives it."""
    text = str(error)
    code = _CODE.search(text)
    status = _STATUS.search(text)
    said = ": ".join(each[1] for each in (status, code) if each is not None)
    if "169.254." in text or "metadata.google.internal" in text:
        return f"there are no credentials: set {_CREDENTIALS[scheme]}"
    if isinstance(error, NotImplementedError):
        return NO_CONDITIONS
    if isinstance(error, (exceptions.NotFoundError, FileNotFoundError)) or (status is not None and status[1] == "404"):
        return f"there is no such bucket or object ({said})" if said else "there is no such bucket or object"
    refused = isinstance(error, (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError))
    if refused or (status is not None and status[1] in ("401", "403")):
        return f"the store refuses: the credentials do not allow it ({said})" if said else "the store refuses"
    if status is not None:
        return f"the store answers {said}"
    if "edirect" in text:
        return "the bucket is in another region: set AWS_REGION"
    if "builder error" in text and scheme == "s3":
        return "the endpoint cannot be used: one that begins with http:// needs AWS_ALLOW_HTTP=true"
    if "ccount must be specified" in text:
        return f"the account is not known: set {_CREDENTIALS[scheme]}"
    if "error sending request" in text or "timed out" in text:
        return "the store cannot be reached"
    if isinstance(error, (exceptions.UnknownConfigurationKeyError, ValueError)) or "Config" in text:
        return "an option of the store in the environment cannot be used"
    return "the store failed"


def _endpoint_is_usable() -> bool:
    """Whether the endpoint of S3 is a URL; obstore would end the process's thread with a dump where it is none."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        value = os.environ.get(name)
        if value and not re.fullmatch(r"https?://[\w.\[\]:-]+(/[^\s?#]*)?", value):
            return False
    return True
