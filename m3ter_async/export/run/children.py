"""The child processes of an export, seen from their parent: started when they are needed, and again when they died."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup

from ...client import AsyncM3ter
from ...transports.network import Described, Network
from ...transports.protocol import Request, Response
from ..errors import ExportError
from .child_messages import Answer, Fetch, Start
from .child_process import TO_ANSWER, Child, ChildDied
from .memory_budget import Room

_BOOT = """import json, sys
sys.path[:] = json.loads(sys.argv[1])
from m3ter_async.export.run.child import main
main()"""
_DEATHS = 20  # in a row, without anything brought between them


class Post:
    """The place of one child process, which another one takes when it died.

    Args:
        number: Among the places.
        children: All of them.

    Attributes:
        room: For the pages that it has in memory.
    """

    def __init__(self, number: int, children: Children) -> None:
        self.number = number
        self.room: Room = Room()
        self._children = children
        self._child: Child | None = None
        self._turn = anyio.Lock()

    async def child(self) -> Child:
        """The process, which is started if it is not there.

        Raises:
            ExportError: It cannot be started, or it dies all the time.
        """
        async with self._turn:
            if self._child is not None and not self._child.alive:
                self._child = None
                self._children.died()
            while self._child is None:
                self._child = await self._children.start()
                if self._child is None:
                    self._children.died()
            return self._child

    def brought(self) -> None:
        """The process has brought something."""
        self._children.brought()

    async def end(self) -> None:
        """Let it end."""
        if self._child is not None:
            await self._child.end()


def network_of(client: AsyncM3ter) -> Described:
    """By what child processes reach the service as a client does.

    Raises:
        ValueError: They cannot.
    """
    alike: Network | None = getattr(client._pipeline.parts.transport, "alike", None)
    described = None if alike is None else alike.described()
    if described is None:
        raise ValueError(
            "processes above 1 need a client without a session, a transport or an ssl_context of your own, which no "
            "other process can use: give certificates by SSL_CERT_FILE and a proxy by proxy=, or leave processes at 1"
        )
    if not sys.executable or getattr(sys, "frozen", False):
        raise ValueError("processes above 1 need a Python that can be started: this program has none of its own")
    return described


class Children:
    """The child processes of an export.

    Args:
        start: What they work for.
        processes: How many there are.
        group: Where their answers are waited for.

    Attributes:
        posts: Their places.
    """

    def __init__(self, start: Start, processes: int, group: TaskGroup) -> None:
        self._start = start
        self._group = group
        self._deaths = 0
        self.posts: list[Post] = [Post(number, self) for number in range(processes)]

    async def start(self) -> Child | None:
        """Start one; None where it is killed meanwhile.

        Raises:
            ExportError: It cannot be started.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith("M3TER_")}
        options: dict[str, Any] = {"start_new_session": True}  # Ctrl-C on a terminal is the parent's to take
        if sys.platform == "win32":
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        words = [sys.executable, "-c", _BOOT, json.dumps(sys.path)]
        child: Child | None = None
        try:
            # not interrupted: a process that nobody knows of would be left
            with anyio.CancelScope(shield=True):
                child = Child(await anyio.open_process(words, stderr=None, env=environment, **options))
        except OSError as error:
            raise ExportError(f"cannot start a process of this export: {error.strerror or error}") from error
        assert child is not None
        self._group.start_soon(self._listen, child)
        try:
            await child.start(self._start)
        except ChildDied as error:
            if child.killed:
                return None
            raise ExportError(f"a process of this export could not begin, and ended ({child.why})") from error
        except BaseException:
            child.kill()
            raise
        return child

    async def _listen(self, child: Child) -> None:
        with anyio.CancelScope(shield=True):  # whoever is stopped still finishes what it has read
            await child.listen()

    def died(self) -> None:
        """One died.

        Raises:
            ExportError: So many in a row that it is no matter of what they read.
        """
        self._deaths += 1
        if self._deaths > _DEATHS:
            raise ExportError(
                f"{self._deaths} processes of this export died one after the other: is there too little memory? "
                "Go on with fewer processes"
            )

    def brought(self) -> None:
        """One of them brought something."""
        self._deaths = 0

    async def end(self) -> None:
        """Let all of them end."""
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as ending:
                for post in self.posts:
                    ending.start_soon(post.end)


class ChildTransport:
    """Sends requests for pages through a child, in which their records stay.

    Args:
        desk: Which no other reader has.
        child: Gives the process.

    Attributes:
        page: What kind of pages is read, as `Operation.page`.
    """

    keeps_time: bool = True

    def __init__(self, desk: int, child: Callable[[], Child]) -> None:
        self._desk = desk
        self._child = child
        self.page: str = ""

    async def send(self, request: Request) -> Response:
        """Send one request; a page comes back with stubs in place of its records."""
        fetch = Fetch(
            self._desk,
            self.page,
            request.method,
            request.url,
            {name: str(value) for name, value in request.headers.items()},
            request.timeout,
            request.max_bytes,
        )
        seconds = request.timeout + TO_ANSWER
        answer = await self._child().call(fetch, Answer, seconds=seconds, droppable=True)
        return Response(answer.status, answer.headers, answer.content, answer.size)

    async def aclose(self) -> None:
        """Nothing is open here."""
