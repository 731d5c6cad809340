"""What everything is called in Python, by rule."""

from __future__ import annotations

import re

from m3ter_async._core.arguments import snake as snake

from .read_contract import Call


def camel(name: str) -> str:
    """What ``rename="camel"`` makes of a field's name."""
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def pascal(name: str) -> str:
    """``Set_String_`` -> ``SetString``, ``v2.PricingRequest`` -> ``V2PricingRequest``."""
    return "".join(word[0].upper() + word[1:] for word in re.split(r"[^0-9A-Za-z]+", name) if word)


def words(name: str) -> str:
    """``BillLineItem`` -> ``bill line item``."""
    return snake(name).rstrip("_").replace("_", " ")


def singular(word: str) -> str:
    """``currencies`` -> ``currency``."""
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def class_name(resource: str) -> str:
    """``bills.line_items`` -> ``BillLineItems``: the parent's name goes first unless it is there already."""
    *above, last = resource.split(".")
    if not above or last.startswith(singular(above[-1])):
        return pascal(last)
    parent = class_name(".".join(above))
    return singular(parent) + pascal(last)


def constant(call: Call) -> str:
    """``ListBills`` -> ``_LIST_BILLS``."""
    return f"_{snake(call.id).upper()}"
