"""Engines and sessions, for threads and scripts."""

from __future__ import annotations

import atexit
import contextlib
import os
import weakref
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from . import _logs, _native, _providers
from ._areas import Areas
from ._calls import Given, actor_of, config, half, no_hurry, opened
from ._ports import CloudProvider, StorageProvider
from ._sync import Job
from ._values import Secret, dumps, loads, to_json
from .exceptions import NeverStopError
from .model import Actor, Connection, Login

if TYPE_CHECKING:
    from .sim import World

__all__ = ["Engine", "Session", "connect"]

CLOSE_LIMIT = 10.0
"""How long closing an engine may take, in seconds. What it does not end until then, the next engine on the store goes on with."""


class Engine:
    """The engine: it runs jobs, watches over clusters, keeps schedules.

    Close it, or use it with ``with``: what runs is stopped at the next safe place, and the next engine on the same store goes on with it.
    """

    __slots__ = ("__weakref__", "_native", "closed")

    def __init__(self, native: _native.Engine) -> None:
        self._native = native
        self.closed: bool = False
        """Whether it was closed."""
        OPEN.add(self)

    def start(self) -> tuple[str, ...]:
        """Continues every job that has not finished and that no other engine runs; from then on does all that is due. Gives the ids of the
        jobs that run here now."""
        answer: tuple[str, ...] = loads(self._native.call("engine.start", b"{}"), tuple[str, ...])
        return answer

    def reconnect(self) -> None:
        """Connects every cluster whose connection the engine keeps, as ``start`` does: for an engine that is only looked into."""
        self._native.call("engine.reconnect", b"{}")

    def close(self, timeout: float = CLOSE_LIMIT) -> None:
        """Stops at the next safe place, and waits for that ``timeout`` seconds at most."""
        if not self.closed:
            self.closed = True
            with contextlib.suppress(TimeoutError):
                self._native.call("engine.shutdown", b"{}", no_hurry(timeout))

    def session(self, actor: Actor | str | None = None) -> Session:
        """The engine as somebody sees it whom the program vouches for; a name alone is an Admin's."""
        return Session(self, self._native.session(dumps_actor(actor)))

    def install_admin(self, id: str, mail: str) -> Secret:
        """Makes the first account, once, when the product is installed; gives its first password.

        Raises:
            ``RefusedError`` when there is an account already.
        """
        answer: Secret = loads(self._native.call("engine.install_admin", dumps({"id": id, "mail": mail})), Secret)
        return answer

    def log_in(self, id: str, password: Secret | str, origin: str) -> Login:
        """Logs somebody in; ``origin`` is where the attempt comes from, e.g. an address.

        Raises:
            ``UnauthenticatedError`` for a wrong id or password, and while the id is locked for this origin.
        """
        arguments = dumps({"id": id, "password": password, "origin": origin})
        answer: Login = loads(self._native.call("engine.log_in", arguments), Login)
        return answer

    def authenticate(self, token: Secret | str) -> Session:
        """The session of a login, for one request: rights are read anew each time.

        Raises:
            ``UnauthenticatedError`` for a token that is not, or no longer, good.
        """
        return Session(self, self._native.call("engine.authenticate", dumps({"token": token})))

    def providers(self, connection: Connection) -> _native.Providers:
        """Providers by a connection that the engine does not keep, for ``clusters.register`` and ``attach``."""
        return self._native.providers(half(connection.cloud), half(connection.storage))

    def attach(self, cluster: str, providers: _native.Providers) -> None:
        """Gives the providers of a registered cluster to an engine that was made anew and does not keep them."""
        self._native.attach(cluster, providers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Engine, {'closed' if self.closed else 'open'}>"


def dumps_actor(actor: Actor | str | None) -> bytes:
    """The actor as the native half takes it."""
    given: dict[str, object] = to_json(actor_of(actor))
    return dumps(given)


class Session(Areas):
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

    def close(self, timeout: float = CLOSE_LIMIT) -> None:
        """Closes the engine."""
        self.engine.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Session of {self.actor.name}>"


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
) -> Session:
    """Makes an engine, starts it, and gives a session of it. Closing the session closes the engine.

    >>> with connect() as dr:
    ...     dr.health.report().worst is None
    True

    Args:
        store: ``sqlite:///folder/file.db`` (four slashes for an absolute path), ``postgresql://user@host/database`` for several engines, or
            ``memory:``, which is gone with the process.
        actor: who acts; a name alone, or nobody, is an Admin.
        keys: the file with the keys that secrets of connections are sealed with; made when there is none. Beside an SQLite store when not
            given. Keep a copy elsewhere: without it the stored connections cannot be opened.
        node: the name under which this engine owns jobs; different for engines that share a store.
        support_contact: whom to ask for help, as health reports tell it.
        reach_fixed_ips: whether readiness checks of plans also go to the addresses in tenants' networks. Only where this machine's network leads
            there: elsewhere another machine may have the same address, and answer.
        settings: other defaults of the settings, by name.
        world: simulated clouds to reach.
        clouds: your own kinds of clouds, beside those that the package has; an engine on a store that knows clusters of them needs them too.
        storages: your own kinds of storage, likewise.
        start: whether the engine connects its clusters, runs jobs, watches and does what is due; without, it is only looked into
            (``engine.reconnect()`` connects the clusters).

    Raises:
        ``InvalidError`` for what cannot be used, naming the argument; ``UnavailableError``, ``DeniedError``, ``CorruptError`` of the store.
    """
    given = config(store, None if keys is None else os.fspath(keys), node, support_contact, reach_fixed_ips, settings)
    engine = Engine(opened(given, world, brought(clouds, storages)))
    try:
        session = engine.session(actor)
        if start:
            engine.start()
    except BaseException:
        engine.close()
        raise
    return session


def brought(clouds: Iterable[type[CloudProvider]], storages: Iterable[type[StorageProvider]]) -> tuple[Given, Given]:
    """Classes of providers as the native half takes them."""
    connectors = _providers.connectors
    return connectors(clouds, CloudProvider, "clouds"), connectors(storages, StorageProvider, "storages")


OPEN: weakref.WeakSet[Engine] = weakref.WeakSet()
"""Engines that are to be closed before the interpreter goes."""


def _close_all() -> None:
    for engine in list(OPEN):
        with contextlib.suppress(NeverStopError):
            engine.close(1.0)
    _logs.stop()
    _native.stop()
    _providers.stop()


atexit.register(_close_all)
