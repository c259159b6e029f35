"""Fixtures of the suite for providers of the simulated world that are called through Python."""

from __future__ import annotations

from neverstop import CloudProvider, ReplicationMode, StorageProvider, sim
from neverstop.conformance import CloudFixture, Side, StorageFixture

SITES = {Side.PRIMARY: "a", Side.SECONDARY: "b"}


class SimStorage(StorageFixture):
    """The storages of both sites."""

    def __init__(self, mode: ReplicationMode = ReplicationMode.SNAPSHOT) -> None:
        self.world = self.room = sim.World()
        self.mode = mode
        self.made = 0

    def primary(self) -> StorageProvider:
        return self.room.storage("a")

    def secondary(self) -> StorageProvider:
        return self.room.storage("b")

    async def make_image(self, size_bytes: int) -> str:
        self.made += 1
        name = f"rbd:volumes/image-{self.made}"
        self.room.make_image("a", name, size_bytes)
        return name

    async def write(self, side: Side, image: str, offset: int, data: bytes) -> None:
        self.room.write_image(SITES[side], image, offset, data)

    async def read(self, side: Side, image: str, snapshot: str | None, offset: int, length: int) -> bytes:
        return self.room.read_image(SITES[side], image, offset, length, snapshot)

    async def remove_image(self, side: Side, image: str) -> None:
        self.room.remove_image(SITES[side], image)


class SimCloud(CloudFixture):
    """The cloud of site ``b``."""

    volume_type = "ceph"
    shared_volume_type = "ceph-multi"
    external_network = "b-public"
    missing_image = "rbd:volumes/missing"
    compute_host = "b-host-2"
    image_metadata = {"image_name": "sim-guest"}
    boot_message = "LAB-BOOT"

    def __init__(self) -> None:
        self.world = self.room = sim.World()
        self.made = 0

    def cloud(self) -> CloudProvider:
        return self.room.cloud("b")

    def storage(self) -> StorageProvider:
        return self.room.storage("b")

    async def blank_image(self, size_bytes: int, site: str = "b") -> str:
        self.made += 1
        name = f"rbd:volumes/adopt-{self.made}"
        self.room.make_image(site, name, size_bytes)
        return name

    async def bootable_image(self) -> str:
        image = await self.blank_image(1 << 30)
        self.room.write_image("b", image, 0, b"SIMGUEST".ljust(512, b"\0") + b"conformance".ljust(512, b"\0"))
        return image

    async def replica_image(self) -> str | None:
        image = await self.blank_image(1 << 30, "a")
        id = await self.room.storage("a").enable_replication(image, ReplicationMode.SNAPSHOT)
        for _ in range(60):
            if replica := await self.room.storage("b").find_replica(id):
                return replica
            self.room.advance(1)
        return None

    async def read(self, image: str, offset: int, length: int) -> bytes:
        return self.room.read_image("b", image, offset, length)

    async def write(self, image: str, offset: int, data: bytes) -> None:
        self.room.write_image("b", image, offset, data)

    async def remove_image(self, image: str) -> None:
        for site in "ab":
            self.room.remove_image(site, image)
