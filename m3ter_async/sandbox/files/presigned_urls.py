"""Presigned URLs like those of S3: whoever holds one may fetch or upload that one file, without a token."""

from __future__ import annotations

from hashlib import blake2b
from hmac import compare_digest
from time import monotonic
from typing import Final
from urllib.parse import quote, urlencode

from m3ter_async.sandbox.call_context import World
from m3ter_async.sandbox.refusal import Refusal

DOWNLOADS: Final = "/downloads/"
UPLOADS: Final = "/uploads/"
SIGNATURE: Final = "X-Amz-Signature"
MOST_UPLOAD_BYTES: Final = 1 << 30


def _sign(world: World, resource: str) -> str:
    # Like S3's: a key that only the service knows, over everything the URL asks for.
    return blake2b(resource.encode(), key=f"downloads {world.seed}".encode()[:64], digest_size=32).hexdigest()


def _url(world: World, resource: str, query: dict[str, str]) -> str:
    resource = quote(resource) + "?" + urlencode({"X-Amz-Algorithm": "AWS4-HMAC-SHA256", **query})
    return f"{world.url}{resource}&{SIGNATURE}={_sign(world, resource)}"


def download_url(world: World, file: str, **query: str) -> str:
    """The URL to fetch a file from."""
    return _url(world, DOWNLOADS + file, query)


def file_url(world: World, file: str, content_type: str, content: bytes) -> str:
    """Keep a file, and give the URL to fetch it from."""
    world.store.files[file] = content_type, content
    return download_url(world, "files/" + file)


def upload_url(world: World, file: str, content_type: str) -> str:
    """The URL to put a file to, for a while."""
    world.store.uploads[file] = content_type, monotonic() + world.upload_seconds
    return _url(world, UPLOADS + file, {})


def verify(world: World, target: str, authorized: bool) -> str:
    """The path and query of a presigned URL, without the signature that vouches for them.

    Like S3, it takes no Authorization header besides the signature (400), and no other signature (403).
    """
    if authorized:
        raise Refusal(400, "Authorization: a presigned URL is used without this header")
    resource, _, signature = target.partition(f"&{SIGNATURE}=")
    if not compare_digest(signature.encode(), _sign(world, resource).encode()):
        raise Refusal(403, f"{SIGNATURE}: does not match the request")
    return resource
