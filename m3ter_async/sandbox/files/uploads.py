"""Files that come in through presigned URLs."""

from __future__ import annotations

from time import monotonic
from urllib.parse import unquote

from m3ter_async.sandbox.call_context import World
from m3ter_async.sandbox.files.presigned_urls import UPLOADS, verify
from m3ter_async.sandbox.refusal import Refusal


def accept(world: World, target: str, authorized: bool, content_type: str | None, content: bytes) -> None:
    """Keep a file that was put to a presigned URL; like S3's, the URL stands for one content type and ends."""
    resource = verify(world, target, authorized)
    name = unquote(resource.partition("?")[0])[len(UPLOADS) :]
    declared, end = world.store.uploads.get(name, (None, 0.0))
    if monotonic() >= end:
        raise Refusal(403, "Request has expired")
    if content_type != declared:
        raise Refusal(403, "Content-Type: not the one that the URL was signed for")
    world.store.files[name] = content_type or "", content
