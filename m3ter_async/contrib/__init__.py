"""Ways into other people's tools, a module for each, behind an extra of its name."""

__all__: list[str] = []
