"""The words in which `contract.py` (generated) tells the sandbox what the service's contract says."""

from __future__ import annotations

from typing import Any, NamedTuple

Row = dict[str, Any]
"""An entity, or another JSON object, as it is stored and answered."""


class Field(NamedTuple):
    """One parameter, body field or answer field, as the contract declares it.

    `type` is ``string``, ``date``, ``date-time``, ``integer``, ``number``, ``boolean``, ``array``, ``map`` (an object
    with free keys), ``object`` (then `ref` names the schema), ``any`` or ``union`` (then `any_of` holds the choices).
    """

    type: str
    required: bool = False
    enum: tuple[str, ...] = ()
    minimum: float | None = None
    exclusive_minimum: bool = False
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    item: Field | None = None
    ref: str | None = None
    any_of: tuple[Field, ...] = ()


class Route(NamedTuple):
    """One operation: how it is called and what it answers.

    `body` is None where it takes no body, `answer` is None where the answer is empty.
    """

    operation: str
    method: str
    path: str
    query: dict[str, Field]
    body: Field | None
    answer: Field | None
