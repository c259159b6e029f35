"""What a cloud and a storage do, for providers that are written in Python.

Made by generate.py from the source of the engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ._providers import native_call, native_list
from ._values import Secret, loads
from .exceptions import UnsupportedError
from .model import (
    AdoptSpec,
    CloudCapabilities,
    CloudId,
    CloudReport,
    ConnectorField,
    Content,
    CreatedKind,
    Decision,
    Handle,
    ImageState,
    Notice,
    PairingOffer,
    ReplicationId,
    ReplicationMode,
    ReplicationStatus,
    Resource,
    ResourceKind,
    SnapshotInfo,
    Spec,
    StorageCapabilities,
    StorageReport,
)

if TYPE_CHECKING:
    from ._native import Provider as Native

__all__ = ["CloudProvider", "StorageProvider"]


class CloudProvider(ABC):
    """A cloud.

    It is called on an event loop of the package, in a thread of its own: what blocks belongs into ``asyncio.to_thread``. A call that
    the engine gives up is cancelled. A ``NeverStopError`` of one of the engine's kinds is what it says to the engine; any other
    exception is a fault of the provider. What holds for every call:

    - Every creating call carries a token, which is kept with the thing, so that ``find`` finds it after a crash. Creating again with the
      same token gives the same thing. Removing checks the token first.
    - A call that answers was seen to have taken effect: an accepted request is not a done one.
    - Every call may be made again after it succeeded, failed or was cancelled half way; it then finishes the work.
    - ``UnavailableError`` is tried again; ``UnknownOutcomeError`` means that nobody knows the outcome; every other kind ends the task.
    """

    platform: str
    """The platform's name, e.g. ``openstack``."""
    fields: ClassVar[tuple[ConnectorField, ...]] = ()
    """What is asked for to connect."""

    @classmethod
    async def connect(cls, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> Self:
        """Makes a provider of settings and secrets, which were checked against ``fields``. Here: ``cls(**settings, **secrets)``.

        Raises:
            ``InvalidError``, naming the field, for settings that cannot work.
        """
        make: Any = cls
        made: Self = make(**settings, **secrets)
        return made

    @abstractmethod
    def capabilities(self) -> CloudCapabilities:
        """What this provider can do. Asked once, when it was connected."""

    @abstractmethod
    async def check(self) -> CloudReport:
        """Checks connection, credentials, rights and clock (CL-02).

        Raises:
            ``UnauthenticatedError`` for wrong credentials, ``UnavailableError`` for an endpoint that does not answer. Missing rights
            are not an error: they are in the report.
        """

    async def probe(self) -> None:
        """Whether the cloud answers: what is asked again and again (CL-11), so as little as tells it. What recovery can do without, such as
        notices, does not count.

        Raises:
            As ``CloudProvider.check``.
        """
        await self.check()

    @abstractmethod
    def inventory(self, kinds: tuple[ResourceKind, ...]) -> AsyncIterator[Resource]:
        """Lists all things of the given kinds, of all tenants, page by page; memory stays bounded by a page.

        Raises:
            The stream ends with the first error.
        """

    @abstractmethod
    async def get(self, kind: ResourceKind, id: CloudId) -> Resource | None:
        """Reads one thing; none when it does not exist."""

    @abstractmethod
    async def create(self, spec: Spec, token: str) -> Handle:
        """Makes a thing, or takes up the one with this token, and returns when it can be used: a server runs, a floating IP is bound.

        Raises:
            ``QuotaError``, ``DeniedError``, ``RejectedError`` or ``ConflictError`` as the cloud says; nothing usable is left behind
            then except what ``CloudProvider.find`` finds by the token.
        """

    @abstractmethod
    async def find(self, kind: CreatedKind, tenant: CloudId | None, token: str) -> Handle | None:
        """Finds what was made with this token, in whatever state it is. ``tenant`` is where to look; providers may look elsewhere too."""

    @abstractmethod
    async def remove(self, handle: Handle, token: str) -> None:
        """Removes a thing and returns when it is gone; succeeds when it was gone already. Volumes are never removed but released.

        Raises:
            ``RefusedError`` when the thing does not carry the token: it is not ours. ``ConflictError`` while it is in use.
        """

    def removal_command(self, handle: Handle) -> str | None:
        """The command that removes something which was made here, for a person to run with the platform's own tool and their own credentials
        (SM-68, SEC-17): what could not be removed is reported with it. None when there is no such command.
        """
        return None

    @abstractmethod
    async def adopt(self, spec: AdoptSpec, token: str) -> Handle:
        """Makes a volume of a storage image. The image keeps its bytes; its name may change (see ``Handle.storage``).

        Raises:
            ``QuotaError``; ``NotFoundError`` when there is no such image; ``RejectedError`` when the image is a replica. A failed
            adoption leaves no volume record and the image with its old name.
        """

    @abstractmethod
    async def release(self, volume: CloudId) -> None:
        """Lets go of a volume: the cloud forgets it, the image stays as it is. Succeeds when the cloud does not know the volume.

        Raises:
            ``ConflictError`` while the volume is attached or has snapshots.
        """

    @abstractmethod
    async def start(self, server: CloudId) -> None:
        """Starts a server and returns when it runs."""

    @abstractmethod
    async def stop(self, server: CloudId) -> None:
        """Stops a server, politely first, and returns when it is off, so that it can no longer write."""

    @abstractmethod
    async def console(self, server: CloudId, lines: int) -> str:
        """The last lines of a server's console.

        Raises:
            ``UnsupportedError`` without the capability.
        """

    async def notices(self) -> AsyncIterator[Notice]:
        """Listens to what the cloud tells of itself (EVT-12, EVT-13). its answer means that from now on nothing is missed: a caller that
        synchronises after that has everything. A message is acknowledged once the stream's next item is asked for, so that it is delivered
        again when the engine dies over it. The stream ends with the error that broke the connection; connecting again is the engine's.

        Raises:
            ``UnsupportedError`` when the cloud does not tell, or its provider was not set up to listen; ``UnauthenticatedError`` or
            ``DeniedError`` for wrong credentials of the message broker, ``UnavailableError`` when it does not answer.
        """
        raise UnsupportedError(
            f"{self.platform} does not tell of changes by itself", code="cloud.notices", remedy="rely on synchronisation"
        )


class NativeCloudProvider(CloudProvider):
    """A provider of the engine's own, for whoever wraps or watches it."""

    def __init__(self, native: Native) -> None:
        self._native = native
        self.platform = native.name()

    def capabilities(self) -> CloudCapabilities:
        answer: CloudCapabilities = loads(self._native.capabilities(), CloudCapabilities)
        return answer

    async def check(self) -> CloudReport:
        answer: CloudReport = await native_call(self._native, "check", {}, CloudReport)
        return answer

    async def probe(self) -> None:
        await native_call(self._native, "probe", {}, None)

    def inventory(self, kinds: tuple[ResourceKind, ...]) -> AsyncIterator[Resource]:
        return native_list(self._native, kinds, Resource)

    async def get(self, kind: ResourceKind, id: CloudId) -> Resource | None:
        answer: Resource | None = await native_call(self._native, "get", {"kind": kind, "id": id}, Resource | None)
        return answer

    async def create(self, spec: Spec, token: str) -> Handle:
        answer: Handle = await native_call(self._native, "create", {"spec": spec, "token": token}, Handle)
        return answer

    async def find(self, kind: CreatedKind, tenant: CloudId | None, token: str) -> Handle | None:
        answer: Handle | None = await native_call(self._native, "find", {"kind": kind, "tenant": tenant, "token": token}, Handle | None)
        return answer

    async def remove(self, handle: Handle, token: str) -> None:
        await native_call(self._native, "remove", {"handle": handle, "token": token}, None)

    async def adopt(self, spec: AdoptSpec, token: str) -> Handle:
        answer: Handle = await native_call(self._native, "adopt", {"spec": spec, "token": token}, Handle)
        return answer

    async def release(self, volume: CloudId) -> None:
        await native_call(self._native, "release", {"volume": volume}, None)

    async def start(self, server: CloudId) -> None:
        await native_call(self._native, "start", {"server": server}, None)

    async def stop(self, server: CloudId) -> None:
        await native_call(self._native, "stop", {"server": server}, None)

    async def console(self, server: CloudId, lines: int) -> str:
        answer: str = await native_call(self._native, "console", {"server": server, "lines": lines}, str)
        return answer


class StorageProvider(ABC):
    """One side of a replicated storage.

    It is called on an event loop of the package, in a thread of its own: what blocks belongs into ``asyncio.to_thread``. A call that
    the engine gives up is cancelled. A ``NeverStopError`` of one of the engine's kinds is what it says to the engine; any other
    exception is a fault of the provider. What holds for every call:

    - Every creating call carries a token, which is kept with the thing, so that ``find`` finds it after a crash. Creating again with the
      same token gives the same thing. Removing checks the token first.
    - A call that answers was seen to have taken effect: an accepted request is not a done one.
    - Every call may be made again after it succeeded, failed or was cancelled half way; it then finishes the work.
    - ``UnavailableError`` is tried again; ``UnknownOutcomeError`` means that nobody knows the outcome; every other kind ends the task.
    """

    kind: str
    """The kind of storage, e.g. ``ceph-rbd``. Both sides of a plan must be of one kind (PLAN-20)."""
    fields: ClassVar[tuple[ConnectorField, ...]] = ()
    """What is asked for to connect."""

    @classmethod
    async def connect(cls, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> Self:
        """Makes a provider of settings and secrets, which were checked against ``fields``. Here: ``cls(**settings, **secrets)``.

        Raises:
            ``InvalidError``, naming the field, for settings that cannot work.
        """
        make: Any = cls
        made: Self = make(**settings, **secrets)
        return made

    @abstractmethod
    def capabilities(self) -> StorageCapabilities:
        """What this provider can do. Asked once, when it was connected."""

    @abstractmethod
    async def check(self) -> StorageReport:
        """Checks connection, rights, pools, peers and the replication service."""

    @abstractmethod
    async def offer_pairing(self) -> PairingOffer:
        """Makes a secret that lets another side become the peer of this one (REP-01)."""

    @abstractmethod
    async def accept_pairing(self, offer: PairingOffer) -> None:
        """Becomes the peer of the side that made the offer, both ways. Succeeds when it is already.

        Raises:
            ``ConflictError`` when another peer is there; ``RejectedError`` for an offer of this very side or one that cannot be read.
        """

    @abstractmethod
    async def image(self, image: str) -> ImageState | None:
        """What is certain about an image; none when it does not exist."""

    @abstractmethod
    async def find_replica(self, id: ReplicationId) -> str | None:
        """The image on this side with this replication identity, whatever its name is now."""

    @abstractmethod
    async def enable_replication(self, image: str, mode: ReplicationMode) -> ReplicationId:
        """Begins to replicate an image (REP-03).

        Raises:
            ``RefusedError`` for a clone of an image that is not replicated: flatten it first. ``ConflictError`` when it replicates in
            the other mode.
        """

    @abstractmethod
    async def disable_replication(self, image: str) -> None:
        """Ends replication of a primary (REP-05); the peer's replica goes away by itself, which the caller proves with
        ``StorageProvider.find_replica`` there. Succeeds when it does not replicate or does not exist.

        Raises:
            ``RefusedError`` on a secondary.
        """

    @abstractmethod
    async def status(self, image: str) -> ReplicationStatus:
        """What replication reports of an image; on a secondary this is where ``synced_to`` tells the age of its data."""

    @abstractmethod
    async def snapshot(self, image: str, name: str) -> SnapshotInfo:
        """Takes a user snapshot of a primary. Succeeds with the existing one when the name is taken."""

    @abstractmethod
    async def snapshots(self, image: str) -> tuple[SnapshotInfo, ...]:
        """The user snapshots of an image on this side, oldest first."""

    @abstractmethod
    async def content(self, image: str, snapshot: str) -> Content:
        """Reads all that an image held at a user snapshot. This moves as much data as the image is large. **Cancellation**: dropping the
        future ends the reading.

        Raises:
            ``NotFoundError`` when the image or the snapshot is not there.
        """

    @abstractmethod
    async def remove_snapshot(self, image: str, name: str) -> None:
        """Removes a user snapshot of a primary or of an image of this side's own. Succeeds when it is gone."""

    @abstractmethod
    async def ship(self, image: str, snapshot: str | None) -> str:
        """Sends everything written so far, and the named user snapshot, towards the replica. The mark covers both."""

    @abstractmethod
    async def arrived(self, replica: str, mark: str) -> bool:
        """Whether the replica on this side holds everything that the mark covers, proved from snapshot facts or replay positions, not from
        health words.
        """

    @abstractmethod
    async def demote(self, image: str) -> str:
        """Makes a primary read only. The mark covers all its writes and the demotion itself. Calling again on the demoted image gives a mark
        that covers the same.

        Raises:
            ``RefusedError`` for an image that is a replica of a living primary.
        """

    @abstractmethod
    async def promote(self, image: str, demotion: str) -> None:
        """Makes a replica writable after a planned hand-over. ``demotion`` is the peer's mark; it is checked again here. Succeeds when the
        image is primary already.

        Raises:
            ``RefusedError`` while the demotion has not arrived.
        """

    @abstractmethod
    async def force_promote(self, image: str, decision: Decision) -> None:
        """Makes a replica writable although the peer may still be primary. Writes that have not arrived are lost; the peer must be kept read
        only from now on. Succeeds when the image is primary already.
        """

    @abstractmethod
    async def resync(self, image: str, decision: Decision) -> None:
        """Throws away this side's copy and copies everything from the peer again. Only for a secondary whose writes are decided to be lost.
        Succeeds as soon as the copy is requested; ``StorageProvider.status`` tells the rest. While it runs the image may not exist.

        Raises:
            ``RefusedError`` on a primary.
        """

    @abstractmethod
    async def clone_snapshot(self, image: str, snapshot: str, token: str) -> str:
        """Makes a copy-on-write clone of a user snapshot, beside its parent, named by the token and marked with it. The parent's replication
        is not touched.

        Raises:
            ``NotFoundError`` when the snapshot is not there.
        """

    @abstractmethod
    async def find(self, token: str) -> str | None:
        """Finds the image made with this token, whatever its name is now."""

    @abstractmethod
    async def flatten(self, image: str) -> None:
        """Makes an image independent of its parent. Succeeds when it has none."""

    @abstractmethod
    async def remove(self, image: str, token: str) -> None:
        """Removes an image that was made with this token, with its user snapshots. Succeeds when it is gone.

        Raises:
            ``RefusedError`` when the image does not carry the token, or replicates. ``ConflictError`` while it is in use or has clones.
        """

    @abstractmethod
    async def rename(self, image: str, name: str) -> None:
        """Gives a writable image another name on this side. Succeeds when it has it already.

        Raises:
            ``ConflictError`` when another image has the name.
        """

    @abstractmethod
    async def set_metadata(self, image: str, key: str, value: str | None) -> None:
        """Keeps a key-value pair with a writable image; none removes the key."""


class NativeStorageProvider(StorageProvider):
    """A provider of the engine's own, for whoever wraps or watches it."""

    def __init__(self, native: Native) -> None:
        self._native = native
        self.kind = native.name()

    def capabilities(self) -> StorageCapabilities:
        answer: StorageCapabilities = loads(self._native.capabilities(), StorageCapabilities)
        return answer

    async def check(self) -> StorageReport:
        answer: StorageReport = await native_call(self._native, "check", {}, StorageReport)
        return answer

    async def offer_pairing(self) -> PairingOffer:
        answer: PairingOffer = await native_call(self._native, "offer_pairing", {}, PairingOffer)
        return answer

    async def accept_pairing(self, offer: PairingOffer) -> None:
        await native_call(self._native, "accept_pairing", {"offer": offer}, None)

    async def image(self, image: str) -> ImageState | None:
        answer: ImageState | None = await native_call(self._native, "image", {"image": image}, ImageState | None)
        return answer

    async def find_replica(self, id: ReplicationId) -> str | None:
        answer: str | None = await native_call(self._native, "find_replica", {"id": id}, str | None)
        return answer

    async def enable_replication(self, image: str, mode: ReplicationMode) -> ReplicationId:
        answer: ReplicationId = await native_call(self._native, "enable_replication", {"image": image, "mode": mode}, ReplicationId)
        return answer

    async def disable_replication(self, image: str) -> None:
        await native_call(self._native, "disable_replication", {"image": image}, None)

    async def status(self, image: str) -> ReplicationStatus:
        answer: ReplicationStatus = await native_call(self._native, "status", {"image": image}, ReplicationStatus)
        return answer

    async def snapshot(self, image: str, name: str) -> SnapshotInfo:
        answer: SnapshotInfo = await native_call(self._native, "snapshot", {"image": image, "name": name}, SnapshotInfo)
        return answer

    async def snapshots(self, image: str) -> tuple[SnapshotInfo, ...]:
        answer: tuple[SnapshotInfo, ...] = await native_call(self._native, "snapshots", {"image": image}, tuple[SnapshotInfo, ...])
        return answer

    async def content(self, image: str, snapshot: str) -> Content:
        answer: Content = await native_call(self._native, "content", {"image": image, "snapshot": snapshot}, Content)
        return answer

    async def remove_snapshot(self, image: str, name: str) -> None:
        await native_call(self._native, "remove_snapshot", {"image": image, "name": name}, None)

    async def ship(self, image: str, snapshot: str | None) -> str:
        answer: str = await native_call(self._native, "ship", {"image": image, "snapshot": snapshot}, str)
        return answer

    async def arrived(self, replica: str, mark: str) -> bool:
        answer: bool = await native_call(self._native, "arrived", {"replica": replica, "mark": mark}, bool)
        return answer

    async def demote(self, image: str) -> str:
        answer: str = await native_call(self._native, "demote", {"image": image}, str)
        return answer

    async def promote(self, image: str, demotion: str) -> None:
        await native_call(self._native, "promote", {"image": image, "demotion": demotion}, None)

    async def force_promote(self, image: str, decision: Decision) -> None:
        await native_call(self._native, "force_promote", {"image": image, "decision": decision}, None)

    async def resync(self, image: str, decision: Decision) -> None:
        await native_call(self._native, "resync", {"image": image, "decision": decision}, None)

    async def clone_snapshot(self, image: str, snapshot: str, token: str) -> str:
        answer: str = await native_call(self._native, "clone_snapshot", {"image": image, "snapshot": snapshot, "token": token}, str)
        return answer

    async def find(self, token: str) -> str | None:
        answer: str | None = await native_call(self._native, "find", {"token": token}, str | None)
        return answer

    async def flatten(self, image: str) -> None:
        await native_call(self._native, "flatten", {"image": image}, None)

    async def remove(self, image: str, token: str) -> None:
        await native_call(self._native, "remove", {"image": image, "token": token}, None)

    async def rename(self, image: str, name: str) -> None:
        await native_call(self._native, "rename", {"image": image, "name": name}, None)

    async def set_metadata(self, image: str, key: str, value: str | None) -> None:
        await native_call(self._native, "set_metadata", {"image": image, "key": key, "value": value}, None)
