"""Made-up answers for `respx`, by the names that the contract gives its operations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from .._core.auth import LOGIN
from .._core.encoding import encode_body

if TYPE_CHECKING:
    import httpx
    import respx

    from ..sandbox.contract import Route
    from ..transports import HttpxTransport

_GRANT = {"access_token": "token", "token_type": "Bearer", "expires_in": 18_000}
_ANY = "[^/]+"


class Routes:
    """Adds routes to a respx router: one for logins at once, and one for each operation that is to be answered.

    An operation goes by its name in the contract, such as ``GetBill`` or ``CreateCharge``, which events and the
    sandbox show as well. What is handed back is the route of respx, whose ``calls`` tell what was asked.

    Args:
        router: One that ``respx.mock`` gave, which stands in for all of httpx; or a ``respx.MockRouter()`` of its
            own, which answers only what is sent through `transport`.
    """

    def __init__(self, router: respx.Router) -> None:
        self._router = router
        router.route(method="POST", path=LOGIN.path).respond(json=_GRANT)

    def answer(
        self,
        operation: str,
        value: Any = UNSET,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **path: str,
    ) -> respx.Route:
        """Answer an operation in the same way each time, instead of how it was answered before.

        Args:
            operation: Its name in the contract.
            value: The body: a model of `m3ter_async.models`, or anything else that becomes JSON; amounts stay exact.
                By default there is none. An error of the service is ``{"message": ...}``.
            status: The HTTP status.
            headers: Headers beside the content type.
            path: Path parameters (in snake_case) that have to be so; the others may be anything.

        Raises:
            ValueError: There is no such operation, or it has no such path parameter.
        """
        content = b"" if value is UNSET else encode_body(value)
        return self._route(_find(operation), path).respond(
            status, headers=dict(headers or {}), content=content, content_type="application/json"
        )

    def pages(self, operation: str, *pages: Sequence[Any], **path: str) -> respx.Route:
        """Answer a listing with these pages of records, whichever of them is asked for.

        Raises:
            ValueError: As in `answer`.
        """
        import httpx

        route = _find(operation)
        search = "fromDocument" in route.query
        rows = [row for page in pages for row in page]
        ends = [sum(map(len, pages[: place + 1])) for place in range(len(pages))]

        def found(start: int) -> list[Any]:
            # a search asks from the last row of the page before, to see whether rows came or went
            first = start + 1 if start + 1 in ends else start
            return rows[start : next((end for end in ends if end > first), len(rows))]

        def page(request: httpx.Request) -> httpx.Response:
            asked = int(request.url.params.get("fromDocument" if search else "nextToken") or "0")
            body: dict[str, Any] = {"data": found(asked) if search else list(pages[asked]) if pages else []}
            if asked + 1 < len(pages) and not search:
                body["nextToken"] = str(asked + 1)
            return httpx.Response(200, content=encode_body(body), headers={"Content-Type": "application/json"})

        return self._route(route, path).mock(side_effect=page)

    def transport(self) -> HttpxTransport:
        """A transport for ``AsyncM3ter(transport=...)`` that is answered by the router, without any patching."""
        import httpx

        from ..transports import HttpxTransport

        async def unread(request: httpx.Request) -> httpx.Response:
            answer = await self._router.async_handler(request)
            return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))

        return HttpxTransport(httpx.AsyncClient(transport=httpx.MockTransport(unread), trust_env=False))

    def _route(self, route: Route, path: Mapping[str, str]) -> respx.Route:
        return self._router.route(method=route.method, path__regex=_pattern(route, path))


def _find(operation: str) -> Route:
    from ..sandbox.contract import ROUTES

    known = {route.operation: route for route in ROUTES}
    if operation not in known:
        near = get_close_matches(operation, known, 1)
        raise ValueError(f"there is no operation {operation!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return known[operation]


def _pattern(route: Route, arguments: Mapping[str, str]) -> str:
    """What the paths of an operation look like and those of others do not."""
    from ..sandbox.contract import ROUTES

    wanted = {name.replace("_", "").lower(): name for name in arguments}
    segments = route.path.split("/")
    for place, part in enumerate(given := segments[:]):
        if part[:1] == "{":
            name = wanted.pop(part[1:-1].lower(), None)
            given[place] = _ANY if name is None else re.escape(arguments[name])
    if wanted:
        raise ValueError(f"the path of {route.operation}, {route.path}, has no parameter {next(iter(wanted.values()))}")
    # bills/search is no bills/{id}, although it looks like one
    others = [other.path.split("/") for other in ROUTES if other.method == route.method and other is not route]
    closer = [other for other in others if _is_closer(other, segments)]
    literal = "|".join("/".join(_ANY if part[:1] == "{" else part for part in other) for other in closer)
    found = "/".join(given)
    return f"^(?!(?:{literal})$){found}$" if literal else f"^{found}$"


def _is_closer(path: list[str], other: list[str]) -> bool:
    """Whether all that fits `path` fits `other` as well."""
    return len(path) == len(other) and all(a == b or b[:1] == "{" for a, b in zip(path, other, strict=True))
