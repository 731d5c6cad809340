"""The client: settings, life cycle and views; the operations come from the generated namespaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from msgspec import UNSET, UnsetType

from ._core.any_path import AnyPath
from ._core.clock import Clock, new_clock
from ._core.forgotten import caller
from ._core.identity import identity, secret
from ._core.instrumentation import Hook, hooks
from ._core.local_limits import chosen
from ._core.pipeline import Pipeline
from ._core.rate_limits import Gates, Limiter
from ._core.retry import RetryPolicy
from ._core.settings import Settings, base_urls, flag, positive, whole
from ._jobs.client_methods import Toolbox
from ._measurements.client_methods import Measuring
from .errors import ConfigurationError
from .stats import Stats
from .transports.late import LateTransport

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from ssl import SSLContext
    from typing import Self

    from .events import Answer
    from .transports.protocol import Transport

__all__ = ["AsyncM3ter"]

T = TypeVar("T")


class AsyncM3ter(Toolbox, Measuring, AnyPath):
    """A client of the m3ter API.

    Use it as ``async with AsyncM3ter() as m3ter: ...``, or without and call ``await m3ter.aclose()`` at the end. One
    client serves any number of tasks of an event loop; make it once, not per call. What is not passed is read from
    the environment: ``M3TER_API_KEY``, ``M3TER_API_SECRET``, ``M3TER_ORG_ID``, ``M3TER_API_TOKEN``,
    ``M3TER_BASE_URL``, ``M3TER_INGEST_BASE_URL``, ``M3TER_LIMITER``.

    Args:
        api_key: The access key id of a service user.
        api_secret: Its secret.
        org_id: The organization that is called.
        token: An access token from elsewhere, in place of key and secret, or to start with.
        base_url: Where the API is, ``https://api.m3ter.com`` by default. Plain http is only taken for loopback.
        ingest_base_url: Where measurements go: ``https://ingest.m3ter.com``, or `base_url` if that is another.
        timeout: Seconds for one attempt, from connecting to the last byte.
        total_timeout: Seconds for a call as a whole: from its start to its last byte, with every wait and repeat. By
            default nothing bounds it but `timeout` and the two below.
        max_retries: The most repeats of a call after failures that may have taken effect, such as a 503. A certain
            refusal (a 429, a connection that is refused) is repeated as long as there is time; 0 repeats nothing.
        max_retry_time: As `total_timeout`: the lesser of both counts. Left out, a call is repeated for 120 seconds from
            the moment that it is first sent, however long it waited for its first turn.
        bulk: Whether calls let all others go first, and are repeated as long as there is time whatever
            `max_retries` is. ``map()`` and ``export()`` do so by themselves.
        rate_limit: Requests per second and organization: 50, as the service allows. None holds nothing back.
        limiter: One of `m3ter_async.limits`, to share the limits with other clients, processes or machines; it has a
            rate of its own. Without both, ``M3TER_LIMITER`` names one (see `limiter_at`).
        max_connections: The most requests in flight at once.
        max_response_bytes: An answer larger than this is refused while it is read.
        transport: ``AiohttpTransport(session)`` or ``HttpxTransport(client)``; on trio it has to be the latter.
        proxy: The URL of an HTTP proxy for every request; "" for none. By default ``HTTPS_PROXY``, ``HTTP_PROXY``,
            ``ALL_PROXY`` and ``NO_PROXY`` decide, as they are when the client is made.
        ssl_context: How certificates are checked. By default ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` decide, else
            ``REQUESTS_CA_BUNDLE``, else the system. Both go to the transport's own constructor where you pass one.
        headers: What goes with every request to the service, and to no other host, besides its own: tracing, for one.
        on_event: What is called with each of `m3ter_async.events`: a function, or several.
        allow_insecure_http: Take a plain-http `base_url` that is not loopback: key and secret travel in the clear.

    Raises:
        ConfigurationError: Credentials are missing, or an argument cannot be used; the text says which.
    """

    def __init__(
        self,
        api_key: str | None = None,
        api_secret: str | None = None,
        org_id: str | None = None,
        *,
        token: str | None = None,
        base_url: str | None = None,
        ingest_base_url: str | None = None,
        timeout: float = 60.0,
        max_retries: int = 5,
        max_retry_time: float | None = None,
        total_timeout: float | None = None,
        bulk: bool = False,
        rate_limit: float | UnsetType | None = UNSET,
        limiter: Limiter | None = None,
        max_connections: int = 100,
        max_response_bytes: int = 2**30,
        transport: Transport | None = None,
        proxy: str | None = None,
        ssl_context: SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
        on_event: Hook | Sequence[Hook] = (),
        allow_insecure_http: bool = False,
        _clock: Clock | None = None,
    ) -> None:
        # masked before anything can raise: a traceback may show local variables
        api_key, api_secret, token = secret(api_key), secret(api_secret), secret(token)
        who = identity(api_key, api_secret, token, org_id)
        allow_insecure = flag("allow_insecure_http", allow_insecure_http)
        self._hosts = base_urls(base_url, ingest_base_url, allow_insecure=allow_insecure)
        settings = Settings(
            org_id=who.org_id,
            timeout=positive("timeout", timeout),
            max_bytes=whole("max_response_bytes", max_response_bytes),
            policy=RetryPolicy(max_retries=whole("max_retries", max_retries, 0)),
            allow_insecure=allow_insecure,
            bulk=flag("bulk", bulk),
            patient=bulk,
        ).changed(max_retry_time=max_retry_time, total_timeout=total_timeout, headers=headers)
        in_flight = whole("max_connections", max_connections)
        clock = _clock or new_clock()
        if transport is None:
            transport = LateTransport(max_connections=in_flight, proxy=proxy, ssl_context=ssl_context)
            transport.network.check(self._hosts.values())
        elif proxy is not None or ssl_context is not None:
            raise ConfigurationError(
                "transport= goes by its own settings: pass proxy= and ssl_context= to the transport"
            )
        self._owner = True
        self._pipeline = Pipeline(
            transport=transport,
            hosts=self._hosts,
            credentials=who.login,
            token=who.token,
            gates=Gates(chosen(limiter, rate_limit, clock, _named), self._hosts["api"]),
            max_in_flight=in_flight,
            clock=clock,
            settings=settings,
            hooks=hooks(on_event),
            made_at=caller(),
        )

    @classmethod
    def from_profile(cls, name: str | None = None, **options: Any) -> Self:
        """A client with the settings of a profile: a table in a TOML file.

        ::

            # ~/.config/m3ter/config.toml, or where M3TER_CONFIG says
            [acme]
            api_key = "..."
            api_secret = "..."
            org_id = "..."

        An argument counts first, then the environment, then the profile. A key and its secret are never taken from two
        places. Where a variable takes the place of something else in the profile, the log says so.

        Args:
            name: The profile; by default the one that ``M3TER_PROFILE`` names, or else ``default``.
            options: Other arguments of `AsyncM3ter`, by name.

        Raises:
            ConfigurationError: There is no such file or profile, or something in it is misspelt or cannot be used.
        """
        from ._core.profiles import profile

        where, arguments = profile(name, options)
        try:
            return cls(**arguments)
        except ConfigurationError as error:
            reason = str(error)
        raise ConfigurationError(f"{where}: {reason}")

    @property
    def org_id(self) -> str:
        """The organization that is called."""
        return self._pipeline.settings.org_id

    def with_options(
        self,
        *,
        org_id: str | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        max_retry_time: float | None = None,
        total_timeout: float | None = None,
        bulk: bool | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """A view with other settings over the same connections, token, limits and retry budget.

        What is left out stays as it is; `headers` are added to those that are there. Closing a view does nothing; the
        client it was made from closes for all.
        """
        view = object.__new__(type(self))
        # as copy.copy does, so that a subclass keeps what is its own; but not the namespaces, which know a pipeline
        state: Any = object.__getstate__(self)
        parts = cast("tuple[dict[str, Any] | None, ...]", state if isinstance(state, tuple) else (state,))
        for name, value in chain.from_iterable((attributes or {}).items() for attributes in parts):
            if not isinstance(getattr(type(self), name, None), cached_property):
                object.__setattr__(view, name, value)
        view._owner = False
        view._pipeline = self._pipeline.view(
            self._pipeline.settings.changed(
                org_id=org_id,
                timeout=timeout,
                max_retries=max_retries,
                max_retry_time=max_retry_time,
                total_timeout=total_timeout,
                bulk=bulk,
                headers=headers,
            )
        )
        return view

    async def warm_up(self) -> None:
        """Load what the first call needs, in a thread, and log in: ``POST /oauth/token``.

        Without it the first call does so. Call it where a server starts, so that no request waits for it. It may be
        called again, and then does what is still to be done.

        Raises:
            APIError: The login failed.
        """
        await self._pipeline.warm_up()

    def answers(self) -> AbstractContextManager[list[Answer]]:
        """Collect what the answers to the calls of a block came with: status, headers, request id and seconds.

        ::

            with m3ter.answers() as answers:
                bill = await m3ter.bills.retrieve(id)
            print(answers[-1].status, answers[-1].request_id, answers[-1].headers["date"])

        Each page of a listing is a call, and so is each request that a download or an upload is made of; logins are
        left out. Calls of other clients are not collected, those of views of this one and of tasks that the block
        starts are. A call that fails has no answer: its error tells the same (`APIError`).
        """
        return self._pipeline.answers()

    def stats(self) -> Stats:
        """What this client and all its views have done so far; it costs next to nothing to ask."""
        return self._pipeline.stats()

    async def aclose(self) -> None:
        """Stop what is under way and close the connections that this client opened."""
        if self._owner:
            await self._pipeline.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        if "_pipeline" not in self.__dict__:
            return f"<{type(self).__name__}, not set up>"
        closed = ", closed" if self._pipeline.waits.closed else ""
        where = f"org_id={self._pipeline.settings.org_id!r} base_url={self._hosts['api']!r}"
        return f"<{type(self).__name__} {where}{closed}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client cannot be pickled or copied: make one in each process, or use with_options()")


def _named(where: str) -> Limiter:
    from .limits import limiter_at

    return limiter_at(where)


AsyncM3ter.__module__ = "m3ter_async"  # where users import it from
