"""What every model is made of."""

from __future__ import annotations

import datetime
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypeAlias, TypeVar

import msgspec

from ._values import Values, shown

__all__ = ["NULL", "Model", "Promised", "Scalar", "dt", "masked"]

_T = TypeVar("_T")
_PACKAGE = __name__.rpartition(".")[0]

if TYPE_CHECKING:
    import datetime as dt

    # The contract promises the field, so type checkers see it as never None.
    Promised: TypeAlias = Annotated[_T, "promised by the contract"]
    Scalar: TypeAlias = str | int | Decimal
else:

    class dt:  # noqa: N801  stands where the module would
        """The types of `datetime` themselves.

        A library that freezes time puts others into that module, and into every module that holds them. A model that
        is loaded meanwhile would be made of those, and could decode nothing for the rest of the process.
        """

        date, datetime = (
            next(kind for kind in each.__mro__ if kind.__module__ == "datetime")
            for each in (datetime.date, datetime.datetime)
        )

    Promised = Optional
    Scalar = Any  # decoded with float_hook=Decimal: exact as well

NULL: Any = None
"""The default of a promised field.

The service sometimes leaves out a promised field, or sends null. Such an answer still decodes. Computing with the
missing amount raises a TypeError, instead of counting it as zero.
"""


class Model(Values, msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """An answer of the service, or a part of one: unknown fields are ignored, missing ones are None."""

    def __init_subclass__(cls) -> None:
        if cls.__module__.startswith(f"{_PACKAGE}."):  # users import it from the package, so it is named after that
            cls.__module__ = _PACKAGE
            setattr(sys.modules[_PACKAGE], cls.__name__, cls)

    if not TYPE_CHECKING:
        # A list in a model is the caller's: whoever changes it would change the hash.
        __hash__ = None


Model.__module__ = _PACKAGE


def masked(model: Model, *secrets: str) -> str:
    """The repr of a model that holds secrets."""
    return shown(model, secrets)
