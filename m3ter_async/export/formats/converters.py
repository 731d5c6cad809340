"""What makes Arrow record batches of the records of a listing, or of a slice of it."""

from __future__ import annotations

from typing import Any

from ..._core.operation import Operation
from ..._tabular.batches import RecordBatches
from ...client import AsyncM3ter
from ..slices.listings import Listing, paginator
from ..slices.parent_names import parent_column
from ..slices.slice import Slice


def of_listing(listing: Listing, *, nested: bool = False) -> RecordBatches:
    """The converter for a listing."""
    return RecordBatches(listing.operation.answer, listing.table, parent_column(listing), nested=nested)


def of_slice(client: AsyncM3ter, slice: Slice, *, nested: bool = False) -> tuple[Operation[Any], RecordBatches]:
    """The operation that a slice is read by, and its converter: that of the listing it was cut from."""
    # a paginator asks for nothing before it is iterated, so any id will do
    parent = {} if slice.parent_argument is None else {slice.parent_argument: "any"}
    operation = paginator(client, slice.method, {**slice.arguments, **parent}, None).operation
    named = slice.parent_key in getattr(operation.answer, "__struct_encode_fields__", ())
    table = slice.method.split(".")[-2]
    return operation, RecordBatches(operation.answer, table, None if named else slice.parent_key, nested=nested)
