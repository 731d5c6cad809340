"""What an export can end with that is not the service's doing."""

from ..errors import ExportError

__all__ = ["ExportError"]
