"""Simulated clouds: to practise on, and to test scripts with. Their time is simulated too, so that hours take moments."""

from __future__ import annotations

from datetime import datetime, timezone

from . import _native
from ._ports import CloudProvider, NativeCloudProvider, NativeStorageProvider, StorageProvider
from .model import CloudId, Connection, HalfConnection

__all__ = ["World"]


class World:
    """Two simulated clouds with mirrored storage, the sites ``a`` and ``b``, in a time of their own.

    It moves on when everybody in the world waits, and goes on moving between the calls of a script. Of a world that is ``still`` it stands
    while nobody waits for the engine, and ids count up: the same script gives the same journals, byte for byte, on a store in memory.

    >>> world = World()
    >>> len(world.sample_group(3))
    3

    With ``servers``, it has such a group from the beginning.
    """

    def __init__(self, seed: int = 1, *, servers: int = 0, still: bool = False) -> None:
        self._native = _native.SimWorld(seed, still)
        if servers:
            self.sample_group(servers)

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

    def cloud(self, site: str) -> CloudProvider:
        """The cloud of a site, for providers of your own that stand around it."""
        return NativeCloudProvider(self._native.cloud(site))

    def storage(self, site: str) -> StorageProvider:
        """The storage of a site, likewise."""
        return NativeStorageProvider(self._native.storage(site))

    def make_image(self, site: str, image: str, size_bytes: int) -> None:
        """Makes an empty image (``rbd:volumes/…``) on a site's storage, as its operator would."""
        self._native.make_image(site, image, size_bytes)

    def write_image(self, site: str, image: str, offset: int, data: bytes) -> None:
        """Writes to an image as a guest would."""
        self._native.write_image(site, image, offset, data)

    def read_image(self, site: str, image: str, offset: int, length: int, snapshot: str | None = None) -> bytes:
        """Reads an image, or a snapshot of it."""
        return bytes(self._native.read_image(site, image, offset, length, snapshot))

    def remove_image(self, site: str, image: str) -> None:
        """Removes an image whatever its state is, also when it is gone already."""
        self._native.remove_image(site, image)

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

    def now(self) -> datetime:
        """What time it is in the world."""
        return datetime.fromtimestamp(self._native.now(), timezone.utc)

    def advance(self, seconds: int) -> None:
        """Moves the time on."""
        self._native.advance(seconds)
