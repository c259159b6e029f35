"""A storage provider to copy from: images are plain files in a folder, and the folder of another site mirrors them.

Shows what a provider of your own has to do; it is no storage for data that anybody needs. Each image is a folder of its own with
``state.json``, the bytes in ``head`` and those of each snapshot beside it. There is no daemon: whoever looks whether something has arrived
fetches it afterwards, for the next look.

    python -m neverstop.conformance file_storage:FileStorage
"""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import json
import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar

from neverstop import (
    ConflictError,
    ConnectorField,
    Content,
    Decision,
    FieldKind,
    ImageState,
    InvalidError,
    NotFoundError,
    PairingOffer,
    RefusedError,
    RejectedError,
    ReplicationMode,
    ReplicationPhase,
    ReplicationPhaseDemoted,
    ReplicationPhaseInitialCopy,
    ReplicationPhasePrimary,
    ReplicationPhaseReplicating,
    ReplicationPhaseSplitBrain,
    ReplicationPhaseUnknown,
    ReplicationStatus,
    Role,
    Secret,
    SnapshotInfo,
    StorageCapabilities,
    StorageProvider,
    StorageReport,
    UnavailableError,
    UnsupportedError,
)
from neverstop.conformance import Side, StorageFixture

TOKEN = "neverstop-token"
"""The key under which an image keeps the token that it was made with."""

S = TypeVar("S")
T = TypeVar("T")
P = ParamSpec("P")

ONE_AT_A_TIME = threading.RLock()
"""What a cancelled call began goes on in its thread; the next waits for it."""


def in_a_thread(work: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Files block, and the loop that calls a provider must not."""

    def alone(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with ONE_AT_A_TIME:
            return work(self, *args, **kwargs)

    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(alone, self, *args, **kwargs)

    run.__doc__ = work.__doc__
    return run


def copy(source: Path, target: Path) -> None:
    """Copies what was written; holes stay holes."""
    with source.open("rb") as reads, target.open("wb") as writes:
        size = os.fstat(reads.fileno()).st_size
        writes.truncate(size)
        at = 0
        while at < size:
            try:
                at = os.lseek(reads.fileno(), at, os.SEEK_DATA)
            except OSError:  # only a hole is left
                break
            end = os.lseek(reads.fileno(), at, os.SEEK_HOLE)
            while at < end:
                piece = os.pread(reads.fileno(), min(end - at, 1 << 20), at)
                at += os.pwrite(writes.fileno(), piece, at)


class Image:
    """An image: a folder with its state and its bytes."""

    def __init__(self, folder: Path, state: dict[str, Any]) -> None:
        self.folder, self.state = folder, state

    @classmethod
    def make(cls, folder: Path, name: str, size_bytes: int) -> Image:
        """Makes an empty one."""
        made = cls(folder / uuid.uuid4().hex, {"name": name, "metadata": {}, "snapshots": [], "parent": None, "mirror": None})
        made.folder.mkdir(parents=True)
        with (made.folder / "head").open("wb") as head:
            head.truncate(size_bytes)
        made.save()
        return made

    def save(self) -> None:
        """Keeps the state: all of it or what was before."""
        (self.folder / "state.new").write_text(json.dumps(self.state))
        (self.folder / "state.new").replace(self.folder / "state.json")

    @property
    def name(self) -> str:
        return str(self.state["name"])

    @property
    def mirror(self) -> dict[str, Any] | None:
        """What replication keeps: ``id``, ``primary``, ``line`` (the marks so far, oldest first), ``demoted``, ``resync``, ``seen``."""
        mirror: dict[str, Any] | None = self.state["mirror"]
        return mirror

    @property
    def role(self) -> Role:
        if self.mirror is None:
            return Role.UNREPLICATED
        return Role.PRIMARY if self.mirror["primary"] else Role.SECONDARY

    def bytes_of(self, snapshot: str | None) -> Path:
        """The file with the bytes of now, or of a snapshot."""
        if snapshot is None:
            return self.folder / "head"
        for known in self.state["snapshots"]:
            if known["name"] == snapshot:
                return self.folder / str(known["file"])
        raise NotFoundError(f"{self.name} has no snapshot {snapshot}", code="files.snapshot")

    def take(self, other: Image) -> None:
        """Becomes what the other is: bytes, snapshots, marks."""
        copy(other.folder / "head", self.folder / "head")
        wanted = {str(s["file"]) for s in other.state["snapshots"]}
        for file in wanted:
            if not (self.folder / file).exists():
                copy(other.folder / file, self.folder / "coming")
                (self.folder / "coming").replace(self.folder / file)
        gone = {str(s["file"]) for s in self.state["snapshots"]} - wanted
        metadata = {key: value for key, value in other.state["metadata"].items() if key != TOKEN}
        self.state.update(snapshots=other.state["snapshots"], metadata=metadata)
        assert self.mirror is not None and other.mirror is not None
        self.mirror.update(line=other.mirror["line"], demoted=None, resync=False)
        self.save()
        for file in gone:
            (self.folder / file).unlink(missing_ok=True)

    def info(self, name: str) -> SnapshotInfo:
        """A snapshot."""
        size = self.bytes_of(name).stat().st_size
        at = next(s["at"] for s in self.state["snapshots"] if s["name"] == name)
        return SnapshotInfo(name=name, taken_at=datetime.fromisoformat(at), size_bytes=size)


class FileStorage(StorageProvider):
    """One site: a folder of images."""

    kind = "files"
    fields: ClassVar[tuple[ConnectorField, ...]] = (
        ConnectorField(name="folder", kind=FieldKind.TEXT, required=True, about="the folder of this site"),
        ConnectorField(name="key", kind=FieldKind.SECRET, required=False, about="a key, to show where secrets go"),
    )

    def __init__(self, folder: str | os.PathLike[str], key: Secret | None = None) -> None:
        self.folder = Path(folder)
        self.key = key
        if not self.folder.is_absolute():
            raise InvalidError("the folder is not an absolute path", code="files.folder", field="settings.folder")

    def now(self) -> datetime:
        """The time."""
        return datetime.now(timezone.utc)

    def capabilities(self) -> StorageCapabilities:
        return StorageCapabilities(modes=(ReplicationMode.SNAPSHOT,), clone_replica=True)

    # The site.

    def site(self) -> dict[str, Any]:
        """Who this site is; made when nobody asked before."""
        file = self.folder / "site.json"
        if not file.exists():
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UnavailableError("the folder cannot be made", code="files.folder") from error
            file.write_text(json.dumps({"id": uuid.uuid4().hex, "peer": None, "offer": uuid.uuid4().hex}))
        site: dict[str, Any] = json.loads(file.read_text())
        return site

    def peer(self) -> FileStorage | None:
        """The other side, if it can be reached and is who it was."""
        known = self.site()["peer"]
        if known is None or not Path(known["folder"], "site.json").exists():
            return None
        peer = FileStorage(known["folder"])
        return peer if peer.site()["id"] == known["id"] else None

    @in_a_thread
    def check(self) -> StorageReport:
        site, peer = self.site(), self.peer()
        return StorageReport(
            storage_id=site["id"],
            site_name=self.folder.name,
            pools=("volumes",),
            peers=(site["peer"]["id"],) if site["peer"] else (),
            replication_healthy=peer is not None,
            missing_rights=(),
            warnings=("an example, not for data that anybody needs",),
        )

    @in_a_thread
    def offer_pairing(self) -> PairingOffer:
        offer = json.dumps({"folder": str(self.folder), "offer": self.site()["offer"]})
        return PairingOffer(site_name=self.folder.name, secret=Secret(offer))

    @in_a_thread
    def accept_pairing(self, offer: PairingOffer) -> None:
        try:
            asked = json.loads(offer.secret.reveal())
            other = FileStorage(asked["folder"])
            right = other.site()["offer"] == asked["offer"]
        except (ValueError, TypeError, KeyError):
            right = False
        if not right:
            raise RejectedError("the offer cannot be read", code="files.pairing")
        if other.folder == self.folder:
            raise RejectedError("the offer is of this very side", code="files.pairing")
        for one, two in ((self, other), (other, self)):
            site, peer = one.site(), {"folder": str(two.folder), "id": two.site()["id"]}
            if site["peer"] not in (None, peer):
                raise ConflictError("another peer is there", code="files.pairing")
            (one.folder / "site.json").write_text(json.dumps({**site, "peer": peer}))

    # Images.

    def images(self) -> Iterator[Image]:
        """All of this site."""
        for file in sorted(self.folder.glob("*/state.json")):
            yield Image(file.parent, json.loads(file.read_text()))

    def named(self, name: str) -> Image:
        """The image of this name."""
        for image in self.images():
            if image.name == name:
                return image
        raise NotFoundError(f"there is no image {name}", code="files.image", context={"image": name})

    def writable(self, name: str) -> Image:
        """The same, when it may be changed here."""
        image = self.named(name)
        if image.role is Role.SECONDARY:
            raise RefusedError(f"{name} is a replica or was demoted", code="files.read_only", context={"image": name})
        return image

    def mirrored(self, id: str) -> Image | None:
        """The image with this replication identity."""
        return next((image for image in self.images() if image.mirror is not None and image.mirror["id"] == id), None)

    def parent(self, image: Image) -> str | None:
        """The image that it is a clone of, by the name it has now."""
        parent = self.folder / str(image.state["parent"])
        return str(json.loads((parent / "state.json").read_text())["name"]) if (parent / "state.json").exists() else None

    @in_a_thread
    def image(self, image: str) -> ImageState | None:
        try:
            found = self.named(image)
        except NotFoundError:
            return None
        return ImageState(
            storage=found.name,
            size_bytes=found.bytes_of(None).stat().st_size,
            role=found.role,
            replication=None if found.mirror is None else (found.mirror["id"], ReplicationMode.SNAPSHOT),
            parent=self.parent(found),
            metadata=found.state["metadata"],
        )

    # Replication: a mark is an entry of the image's line; whoever has the line has the data.

    def mark(self, image: Image, what: str) -> str:
        """Adds a mark to the line of a primary."""
        assert image.mirror is not None
        mark = f"{what}:{uuid.uuid4().hex}:{self.now().isoformat()}"
        image.mirror["line"].append(mark)
        return mark

    def follow(self) -> dict[str, Image]:
        """Makes the replicas that are missing and removes those whose primary is gone, as a daemon would; gives the peer's images."""
        peer = self.peer()
        if peer is None:
            return {}
        theirs = {str(image.mirror["id"]): image for image in peer.images() if image.mirror is not None}
        known = set()
        for image in list(self.images()):
            if image.mirror is None:
                continue
            known.add(str(image.mirror["id"]))
            if not image.mirror["primary"] and image.mirror["id"] not in theirs:
                shutil.rmtree(image.folder)
        for id, other in theirs.items():
            if id not in known and other.role is Role.PRIMARY:
                taken = any(image.name == other.name for image in self.images())
                made = Image.make(self.folder, f"{other.name}-{id}" if taken else other.name, 0)
                made.state["mirror"] = {"id": id, "primary": False, "seen": self.now().isoformat()}
                made.take(other)
        return theirs

    def fetch(self) -> None:
        """Fetches what the peer has and this side lacks."""
        theirs = self.follow()
        for image in list(self.images()):
            other = None if image.mirror is None else theirs.get(image.mirror["id"])
            if image.mirror is None or image.mirror["primary"] or other is None or other.mirror is None:
                continue
            here, there = image.mirror["line"], other.mirror["line"]
            if (image.mirror["resync"] and other.mirror["primary"]) or (len(there) > len(here) and there[: len(here)] == here):
                image.take(other)
            image.mirror["seen"] = self.now().isoformat()
            image.save()

    @in_a_thread
    def find_replica(self, id: str) -> str | None:
        found = self.mirrored(id)
        self.follow()
        return None if found is None else found.name

    @in_a_thread
    def enable_replication(self, image: str, mode: ReplicationMode) -> str:
        found = self.named(image)
        if found.mirror is not None:
            if mode is not ReplicationMode.SNAPSHOT:
                raise ConflictError(f"{image} replicates in the other mode", code="files.mode")
            return str(found.mirror["id"])
        if mode is not ReplicationMode.SNAPSHOT:
            raise UnsupportedError("files replicate by snapshots only", code="files.mode")
        parent = self.parent(found)
        if parent is not None and self.named(parent).mirror is None:
            raise RefusedError(f"{image} is a clone of an image that does not replicate", code="files.clone", remedy="flatten it first")
        found.state["mirror"] = {"id": str(uuid.uuid4()), "primary": True, "line": [], "demoted": None, "resync": False, "seen": None}
        self.mark(found, "begin")
        found.save()
        return str(found.state["mirror"]["id"])

    @in_a_thread
    def disable_replication(self, image: str) -> None:
        try:
            found = self.writable(image)
        except NotFoundError:
            return
        found.state["mirror"] = None
        found.save()

    @in_a_thread
    def status(self, image: str) -> ReplicationStatus:
        found = self.named(image)
        mirror, now = found.mirror, self.now()
        if mirror is None or mirror["primary"]:
            phase: ReplicationPhase = ReplicationPhaseUnknown() if mirror is None else ReplicationPhasePrimary()
            synced, seen = (None, None) if mirror is None else (now, now)
        else:
            synced = datetime.fromisoformat(mirror["line"][-1].split(":", 2)[2])
            seen = mirror["seen"] and datetime.fromisoformat(mirror["seen"])
            phase = self.phase(mirror)
        self.fetch()
        return ReplicationStatus(role=found.role, phase=phase, synced_to=synced, reported_at=seen, description=phase.phase)

    def phase(self, mirror: Mapping[str, Any]) -> ReplicationPhase:
        """What goes on between a secondary and its peer."""
        peer = self.peer()
        other = None if peer is None else peer.mirrored(mirror["id"])
        if other is None or other.mirror is None:
            return ReplicationPhaseUnknown()
        if mirror["resync"]:
            return ReplicationPhaseInitialCopy()
        if not other.mirror["primary"]:
            return ReplicationPhaseDemoted()
        line = mirror["line"]
        return ReplicationPhaseReplicating() if other.mirror["line"][: len(line)] == line else ReplicationPhaseSplitBrain()

    @in_a_thread
    def ship(self, image: str, snapshot: str | None) -> str:
        found = self.writable(image)
        found.bytes_of(snapshot)
        if found.mirror is None:
            raise RefusedError(f"{image} does not replicate", code="files.unreplicated")
        mark = self.mark(found, "ship")
        found.save()
        return mark

    @in_a_thread
    def arrived(self, replica: str, mark: str) -> bool:
        found = self.named(replica)
        there = found.mirror is not None and mark in found.mirror["line"]
        self.fetch()
        return there

    # Who may write.

    @in_a_thread
    def demote(self, image: str) -> str:
        found = self.named(image)
        if found.mirror is None:
            raise RefusedError(f"{image} does not replicate", code="files.unreplicated")
        if found.mirror["demoted"] is not None:
            return str(found.mirror["demoted"])
        if not found.mirror["primary"]:
            raise RefusedError(f"{image} is a replica", code="files.read_only")
        mark = self.mark(found, "demote")
        found.mirror.update(primary=False, demoted=mark)
        found.save()
        return mark

    @in_a_thread
    def promote(self, image: str, demotion: str) -> None:
        found = self.named(image)
        if found.mirror is None:
            raise RefusedError(f"{image} does not replicate", code="files.unreplicated")
        if found.mirror["primary"]:
            return
        peer = self.peer()
        other = None if peer is None else peer.mirrored(found.mirror["id"])
        alone = other is None or other.role is not Role.PRIMARY
        if not (demotion.startswith("demote:") and found.mirror["line"][-1] == demotion and alone):
            raise RefusedError(f"the demotion of the peer has not arrived at {image}", code="files.demotion", remedy="wait until it has")
        found.mirror.update(primary=True, demoted=None)
        found.save()

    @in_a_thread
    def force_promote(self, image: str, decision: Decision) -> None:
        found = self.named(image)
        if found.mirror is None:
            raise RefusedError(f"{image} does not replicate", code="files.unreplicated")
        if not found.mirror["primary"]:
            self.mark(found, "forced")
            found.mirror.update(primary=True, demoted=None)
            found.save()

    @in_a_thread
    def resync(self, image: str, decision: Decision) -> None:
        found = self.named(image)
        if found.mirror is None or found.mirror["primary"]:
            raise RefusedError(f"{image} is no replica", code="files.primary")
        found.mirror["resync"] = True
        found.save()

    # Snapshots and clones.

    @in_a_thread
    def snapshot(self, image: str, name: str) -> SnapshotInfo:
        found = self.writable(image)
        if all(known["name"] != name for known in found.state["snapshots"]):
            file = uuid.uuid4().hex
            copy(found.folder / "head", found.folder / file)
            at = self.now().replace(microsecond=0).isoformat()
            found.state["snapshots"].append({"name": name, "file": file, "at": at})
            found.save()
        return found.info(name)

    @in_a_thread
    def snapshots(self, image: str) -> tuple[SnapshotInfo, ...]:
        found = self.named(image)
        return tuple(found.info(known["name"]) for known in found.state["snapshots"])

    @in_a_thread
    def content(self, image: str, snapshot: str) -> Content:
        with self.named(image).bytes_of(snapshot).open("rb") as held:
            digest = hashlib.file_digest(held, "sha256").hexdigest()
            return Content(bytes=os.fstat(held.fileno()).st_size, sha256=digest)

    @in_a_thread
    def remove_snapshot(self, image: str, name: str) -> None:
        try:
            found = self.writable(image)
            file = found.bytes_of(name)
        except NotFoundError:
            return
        found.state["snapshots"] = [known for known in found.state["snapshots"] if known["name"] != name]
        found.save()
        file.unlink()

    @in_a_thread
    def clone_snapshot(self, image: str, snapshot: str, token: str) -> str:
        made = self.made_with(token)
        if made is None:
            found = self.named(image)
            source = found.bytes_of(snapshot)
            made = Image.make(self.folder / ".making", f"{image.rpartition('/')[0]}/{token}", 0)
            copy(source, made.folder / "head")
            made.state.update(parent=found.folder.name, metadata={TOKEN: token})
            made.save()
            # It is there when it is whole.
            made.folder.rename(self.folder / made.folder.name)
        return made.name

    def made_with(self, token: str) -> Image | None:
        """The image that was made with this token."""
        return next((image for image in self.images() if image.state["metadata"].get(TOKEN) == token), None)

    @in_a_thread
    def find(self, token: str) -> str | None:
        made = self.made_with(token)
        return None if made is None else made.name

    @in_a_thread
    def flatten(self, image: str) -> None:
        found = self.writable(image)
        found.state["parent"] = None  # every clone has bytes of its own already
        found.save()

    @in_a_thread
    def remove(self, image: str, token: str) -> None:
        try:
            found = self.named(image)
        except NotFoundError:
            return
        if found.state["metadata"].get(TOKEN) != token:
            raise RefusedError(f"{image} was not made with this token", code="files.foreign", context={"image": image})
        if found.mirror is not None:
            raise RefusedError(f"{image} replicates", code="files.replicates", context={"image": image})
        if any(other.state["parent"] == found.folder.name for other in self.images()):
            raise ConflictError(f"{image} has clones", code="files.clones", context={"image": image})
        shutil.rmtree(found.folder)

    @in_a_thread
    def rename(self, image: str, name: str) -> None:
        names = {known.name for known in self.images()}
        if image == name or (image not in names and name in names):
            return
        found = self.writable(image)
        if name in names:
            raise ConflictError(f"there is an image {name} already", code="files.name", context={"image": name})
        found.state["name"] = name
        found.save()

    @in_a_thread
    def set_metadata(self, image: str, key: str, value: str | None) -> None:
        found = self.writable(image)
        found.state["metadata"].pop(key, None)
        if value is not None:
            found.state["metadata"][key] = value
        found.save()

    # What guests do, and whoever owns the folder.

    @in_a_thread
    def make_image(self, name: str, size_bytes: int) -> None:
        """Makes an empty image."""
        Image.make(self.folder, name, size_bytes)

    @in_a_thread
    def write_bytes(self, name: str, offset: int, data: bytes) -> None:
        """Writes to an image."""
        with self.writable(name).bytes_of(None).open("r+b") as head:
            head.seek(offset)
            head.write(data)

    @in_a_thread
    def read_bytes(self, name: str, snapshot: str | None, offset: int, length: int) -> bytes:
        """Reads an image, or a snapshot of it."""
        with self.named(name).bytes_of(snapshot).open("rb") as held:
            return os.pread(held.fileno(), length, offset)

    @in_a_thread
    def erase(self, name: str) -> None:
        """Removes an image whatever its state is."""
        for image in self.images():
            if image.name == name:
                shutil.rmtree(image.folder)

    @in_a_thread
    def mirror(self) -> None:
        """Fetches what is there."""
        self.fetch()

    @classmethod
    def fixture(cls) -> StorageFixture:
        """Two folders, for ``neverstop.conformance``."""
        return TwoFolders()

    @classmethod
    async def connect(cls, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> Self:
        return cls(settings["folder"], secrets.get("key"))


class TwoFolders(StorageFixture):
    """Two paired sites in a folder that goes with the process."""

    patience = 20.0

    def __init__(self) -> None:
        room = tempfile.mkdtemp(prefix="file-storage-")
        atexit.register(shutil.rmtree, room, ignore_errors=True)
        self.sides = {side: FileStorage(Path(room, side)) for side in Side}
        self.made = 0
        asyncio.run(self.pair())

    async def pair(self) -> None:
        """Makes both sides peers."""
        await self.sides[Side.PRIMARY].accept_pairing(await self.sides[Side.SECONDARY].offer_pairing())

    def primary(self) -> StorageProvider:
        return self.sides[Side.PRIMARY]

    def secondary(self) -> StorageProvider:
        return self.sides[Side.SECONDARY]

    async def make_image(self, size_bytes: int) -> str:
        self.made += 1
        name = f"files:volumes/image-{self.made}"
        await self.sides[Side.PRIMARY].make_image(name, size_bytes)
        return name

    async def write(self, side: Side, image: str, offset: int, data: bytes) -> None:
        await self.sides[side].write_bytes(image, offset, data)

    async def read(self, side: Side, image: str, snapshot: str | None, offset: int, length: int) -> bytes:
        return await self.sides[side].read_bytes(image, snapshot, offset, length)

    async def remove_image(self, side: Side, image: str) -> None:
        await self.sides[side].erase(image)

    async def settle(self) -> None:
        for side in self.sides.values():
            await side.mirror()
