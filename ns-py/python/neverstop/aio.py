"""The same engine for asyncio: ``async with neverstop.aio.connect() as dr``.

Everything has the name it has in :mod:`neverstop`; what waits is awaited. Whoever is cancelled stops waiting; what was begun goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Generator, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import _native
from ._aio import AsyncJob as Job
from ._aio import soon
from ._aio_areas import AsyncAreas
from ._calls import Given, config, half, opened
from ._session import CLOSE_LIMIT, OPEN, brought, dumps_actor
from ._session import Engine as _Engine
from ._values import Secret, dumps, loads
from .model import Actor, Connection, Login

if TYPE_CHECKING:
    from ._ports import CloudProvider, StorageProvider
    from .sim import World

__all__ = ["Engine", "Job", "Session", "connect"]


class Engine:
    """The engine: it runs jobs, watches over clusters, keeps schedules. Close it, or use it with ``async with``."""

    __slots__ = ("_engine", "_native")

    def __init__(self, native: _native.Engine) -> None:
        self._native = native
        # Closed with the others when the interpreter goes.
        self._engine = _Engine(native)
        OPEN.add(self._engine)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._engine.closed

    async def _call(self, verb: str, arguments: Mapping[str, object]) -> Any:
        args = dumps(arguments)
        return await soon(lambda loop, deliver: self._native.call_soon(verb, args, loop, deliver))

    async def start(self) -> tuple[str, ...]:
        """Continues every job that has not finished and that no other engine runs; from then on does all that is due. Gives the ids of the
        jobs that run here now."""
        answer: tuple[str, ...] = loads(await self._call("engine.start", {}), tuple[str, ...])
        return answer

    async def reconnect(self) -> None:
        """Connects every cluster whose connection the engine keeps, as ``start`` does: for an engine that is only looked into."""
        await self._call("engine.reconnect", {})

    async def close(self, timeout: float = CLOSE_LIMIT) -> None:
        """Stops at the next safe place, and waits for that ``timeout`` seconds at most."""
        if not self._engine.closed:
            self._engine.closed = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._call("engine.shutdown", {})

    def session(self, actor: Actor | str | None = None) -> Session:
        """The engine as somebody sees it whom the program vouches for; a name alone is an Admin's."""
        return Session(self, self._native.session(dumps_actor(actor)))

    async def install_admin(self, id: str, mail: str) -> Secret:
        """Makes the first account, once, when the product is installed; gives its first password.

        Raises:
            ``RefusedError`` when there is an account already.
        """
        answer: Secret = loads(await self._call("engine.install_admin", {"id": id, "mail": mail}), Secret)
        return answer

    async def log_in(self, id: str, password: Secret | str, origin: str) -> Login:
        """Logs somebody in; ``origin`` is where the attempt comes from, e.g. an address.

        Raises:
            ``UnauthenticatedError`` for a wrong id or password, and while the id is locked for this origin.
        """
        answer: Login = loads(await self._call("engine.log_in", {"id": id, "password": password, "origin": origin}), Login)
        return answer

    async def authenticate(self, token: Secret | str) -> Session:
        """The session of a login, for one request: rights are read anew each time.

        Raises:
            ``UnauthenticatedError`` for a token that is not, or no longer, good.
        """
        return Session(self, await self._call("engine.authenticate", {"token": token}))

    def providers(self, connection: Connection) -> _native.Providers:
        """Providers by a connection that the engine does not keep, for ``clusters.register`` and ``attach``."""
        return self._native.providers(half(connection.cloud), half(connection.storage))

    def attach(self, cluster: str, providers: _native.Providers) -> None:
        """Gives the providers of a registered cluster to an engine that was made anew and does not keep them."""
        self._native.attach(cluster, providers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Engine, {'closed' if self.closed else 'open'}>"


class Session(AsyncAreas):
    """The engine as one actor sees it: what their groups own, and of that what their role may change."""

    def __init__(self, engine: Engine, native: _native.Session) -> None:
        self._native = native
        self.engine: Engine = engine
        """The engine."""
        self._make_areas(self)

    @property
    def actor(self) -> Actor:
        """Who acts."""
        answer: Actor = loads(self._native.actor(), Actor)
        return answer

    def job(self, id: str) -> Job:
        """A job by its id."""
        return Job(self, id)

    async def close(self, timeout: float = CLOSE_LIMIT) -> None:
        """Closes the engine."""
        await self.engine.close(timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Session of {self.actor.name}>"


class Connecting:
    """An engine that is being made: await it, or use it with ``async with``."""

    def __init__(
        self,
        given: bytes,
        world: World | None,
        providers: tuple[Given, Given],
        actor: Actor | str | None,
        start: bool,
    ) -> None:
        self._given, self._world, self._providers, self._actor, self._start = given, world, providers, actor, start
        self._made: Session | None = None

    async def _make(self) -> Session:
        engine = Engine(await asyncio.to_thread(opened, self._given, self._world, self._providers))
        try:
            session = engine.session(self._actor)
            if self._start:
                await engine.start()
        except BaseException:
            await engine.close()
            raise
        return session

    def __await__(self) -> Generator[Any, None, Session]:
        return self._make().__await__()

    async def __aenter__(self) -> Session:
        self._made = await self._make()
        return self._made

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._made is not None:
            await self._made.close()


def connect(
    store: str = "memory:",
    *,
    actor: Actor | str | None = None,
    keys: str | os.PathLike[str] | None = None,
    node: str | None = None,
    support_contact: str | None = None,
    reach_fixed_ips: bool = False,
    settings: Mapping[str, bool | int | str] | None = None,
    world: World | None = None,
    clouds: Iterable[type[CloudProvider]] = (),
    storages: Iterable[type[StorageProvider]] = (),
    start: bool = True,
) -> Connecting:
    """As :func:`neverstop.connect`: ``async with connect(...) as dr``, or ``dr = await connect(...)``."""
    given = config(store, None if keys is None else os.fspath(keys), node, support_contact, reach_fixed_ips, settings)
    return Connecting(given, world, brought(clouds, storages), actor, start)
