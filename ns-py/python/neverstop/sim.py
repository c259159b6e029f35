"""Simulated clouds: to practise on, and to test scripts with. Their time is simulated too, so that hours take moments."""

from __future__ import annotations

from . import _native
from .model import CloudId, Connection, HalfConnection

__all__ = ["World"]


class World:
    """Two simulated clouds with mirrored storage, the sites ``a`` and ``b``, in a time of their own.

    >>> world = World()
    >>> len(world.sample_group(3))
    3
    """

    def __init__(self, seed: int = 1) -> None:
        self._native = _native.SimWorld(seed)

    def sample_group(self, servers: int = 3) -> tuple[CloudId, ...]:
        """Makes running servers with networks and volumes on site ``a``; gives their ids."""
        return tuple(self._native.sample_group(servers))

    def connection(self, site: str) -> Connection:
        """How to connect to a site."""
        given = {"site": site}
        return Connection(
            cloud=HalfConnection(kind="simulated", settings=given, secrets={"password": "any"}),
            storage=HalfConnection(kind="sim-rbd", settings=given, secrets={"password": "any"}),
        )

    def console(self, site: str, server: CloudId, lines: int = 20) -> str:
        """The last lines that a server printed."""
        return self._native.console(site, server, lines)

    def kill(self, site: str) -> None:
        """Nothing of a site answers any more, and its servers stop."""
        self._native.kill(site)

    def isolate(self, site: str) -> None:
        """Nobody reaches a site any more, while its servers go on."""
        self._native.isolate(site)

    def revive(self, site: str) -> None:
        """A site is back."""
        self._native.revive(site)

    def advance(self, seconds: int) -> None:
        """Moves the time on."""
        self._native.advance(seconds)
