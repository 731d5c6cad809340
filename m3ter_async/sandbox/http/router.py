"""From method and path to the operation; a literal segment goes before a parameter (`bills/search`, `bills/{id}`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from m3ter_async.sandbox.contract import ROUTES, Route
from m3ter_async.sandbox.refusal import Refusal


class _Node:
    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.routes: dict[str, Route] = {}


class Router:
    """A tree of path segments."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            node = self._root
            for segment in route.path.strip("/").split("/"):
                if segment.startswith("{"):
                    node.parameter = node = node.parameter or _Node()
                else:
                    node = node.children.setdefault(segment, _Node())
            node.routes[route.method] = route

    def match(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
        """The operation and its path parameters; 404 for an unknown path, 405 for another method."""
        # Split before decoding: a slash inside a parameter arrives as %2F.
        segments = [unquote(segment) for segment in raw_path.strip("/").split("/")]
        nodes = _walk(self._root, segments)
        for node in nodes:
            route = node.routes.get(method)
            if route is not None:
                names = route.path.strip("/").split("/")
                return route, {
                    name[1:-1]: segment for name, segment in zip(names, segments, strict=True) if name[:1] == "{"
                }
        if nodes:
            raise Refusal(405, f"method: {method} is not allowed on this path")
        raise Refusal(404, "path: there is no such operation")


def _walk(node: _Node, segments: list[str]) -> list[_Node]:
    """All nodes the segments lead to, the most literal first."""
    if not segments:
        return [node] if node.routes else []
    found: list[_Node] = []
    child = node.children.get(segments[0])
    if child is not None:
        found += _walk(child, segments[1:])
    if node.parameter is not None and segments[0]:
        found += _walk(node.parameter, segments[1:])
    return found


ROUTER: Final = Router(ROUTES)
