"""A cloud and a storage in Python: the volumes of a simulated cloud, whose images are plain files."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from neverstop import (
    AdoptSpec,
    CloudCapabilities,
    CloudId,
    CloudProvider,
    CloudReport,
    ConnectorField,
    CreatedKind,
    FieldKind,
    Handle,
    Resource,
    ResourceKind,
    Secret,
    Spec,
    Volume,
    sim,
)

from file_storage import FileStorage

AREA = 1 << 16
"""Where a simulated guest keeps all that it writes."""


def over_files(world: sim.World, room: Path) -> tuple[Any, type[FileStorage]]:
    """Classes of providers for one world."""

    class InWorld(FileStorage):
        """Files, in the time of the world."""

        kind = "world-files"

        def now(self) -> datetime:
            return world.now()

        def peer(self) -> FileStorage | None:
            peer = super().peer()
            return None if peer is None else InWorld(peer.folder)

    class OverFiles(CloudProvider):
        """A simulated cloud as its storage were files. What it adopts is copied into the world, for a guest to boot from."""

        platform = "over-files"
        fields = (ConnectorField(name="site", kind=FieldKind.TEXT, required=True, about="the site of the world"),)

        def __init__(self, site: str) -> None:
            self.site, self.cloud, self.files = site, world.cloud(site), InWorld(room / site)

        @classmethod
        async def connect(cls, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> Self:
            return cls(settings["site"])

        def capabilities(self) -> CloudCapabilities:
            return self.cloud.capabilities()

        async def bring(self) -> None:
            """Makes files of the volumes that are there."""
            async for volume in self.cloud.inventory((ResourceKind.VOLUME,)):
                assert isinstance(volume, Volume) and volume.storage is not None
                name = volume.storage.replace("rbd:", "files:")
                await self.files.make_image(name, volume.size_gib << 30)
                await self.files.write_bytes(name, 0, world.read_image(self.site, volume.storage, 0, AREA))

        def shown(self, thing: Resource) -> Resource:
            if isinstance(thing, Volume) and thing.storage is not None:
                return dataclasses.replace(thing, storage=thing.storage.replace("rbd:", "files:"))
            return thing

        def handle(self, handle: Handle) -> Handle:
            storage = handle.storage and handle.storage.replace("rbd:", "files:")
            return dataclasses.replace(handle, storage=storage)

        async def check(self) -> CloudReport:
            return await self.cloud.check()

        async def inventory(self, kinds: tuple[ResourceKind, ...]) -> AsyncIterator[Resource]:
            async for thing in self.cloud.inventory(kinds):
                yield self.shown(thing)

        async def get(self, kind: ResourceKind, id: CloudId) -> Resource | None:
            found = await self.cloud.get(kind, id)
            return None if found is None else self.shown(found)

        async def create(self, spec: Spec, token: str) -> Handle:
            return await self.cloud.create(spec, token)

        async def find(self, kind: CreatedKind, tenant: CloudId | None, token: str) -> Handle | None:
            found = await self.cloud.find(kind, tenant, token)
            return None if found is None else self.handle(found)

        async def remove(self, handle: Handle, token: str) -> None:
            await self.cloud.remove(handle, token)

        def removal_command(self, handle: Handle) -> str | None:
            return f"forget {handle.kind} {handle.id}"

        async def adopt(self, spec: AdoptSpec, token: str) -> Handle:
            image = await self.files.image(spec.storage)
            made = spec.storage.replace("files:", "rbd:")
            if image is not None:
                world.remove_image(self.site, made)
                world.make_image(self.site, made, image.size_bytes)
                world.write_image(self.site, made, 0, await self.files.read_bytes(spec.storage, None, 0, AREA))
            handle = self.handle(await self.cloud.adopt(dataclasses.replace(spec, storage=made), token))
            assert handle.storage is not None
            await self.files.rename(spec.storage, handle.storage)
            return handle

        async def release(self, volume: CloudId) -> None:
            found = await self.cloud.get(ResourceKind.VOLUME, volume)
            await self.cloud.release(volume)
            if isinstance(found, Volume) and found.storage is not None:
                world.remove_image(self.site, found.storage)

        async def start(self, server: CloudId) -> None:
            await self.cloud.start(server)

        async def stop(self, server: CloudId) -> None:
            await self.cloud.stop(server)

        async def console(self, server: CloudId, lines: int) -> str:
            return await self.cloud.console(server, lines)

    return OverFiles, InWorld
