"""Whether a provider does what every provider must: the engine's one suite, the same that its own providers pass.

``python -m neverstop.conformance mymodule:MyFixture`` runs it and prints case by case; ``-k text`` only the cases whose name has the text.
It ends with 1 when a case failed, with 2 when it could not begin. What is named is a fixture, which is a class made without arguments or a
function that makes one; or a provider whose class method ``fixture()`` gives one.

A fixture is the provider under test and a way round it, so that nothing is believed because the provider says so. A case whose capability
is missing is skipped, with its reason. Each case makes what it needs and removes it again.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import sys
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from . import _native
from ._calls import world_of
from ._ports import CloudProvider, StorageProvider
from ._providers import Remote
from ._values import loads, to_json
from .exceptions import InvalidError, NeverStopError
from .model import CloudId, CreatedKind, ReplicationMode
from .sim import World

__all__ = ["CloudFixture", "Ended", "Outcome", "Report", "Side", "StorageFixture", "main", "run"]


class Side(StrEnum):
    """One of the two storages. A name for a place, not for a role: after a hand-over the image on ``PRIMARY`` is a replica."""

    PRIMARY = "primary"
    """Where :meth:`StorageFixture.make_image` makes images."""
    SECONDARY = "secondary"
    """The peer."""


class _Fixture(ABC):
    patience: ClassVar[float] = 180.0
    """How long to wait for something that must come true, in seconds."""
    world: World | None = None
    """The simulated world whose time the provider lives in, if it lives in one."""

    async def settle(self) -> None:
        """Lets the provider make some progress; called between two looks at it. Here: waits a second."""
        await asyncio.sleep(1)

    def _facts(self) -> dict[str, Any]:
        return {
            "patience_seconds": float(self.patience),
            "run_id": uuid.uuid4().hex[:12],
            "settles": type(self).settle is not _Fixture.settle,
        }


class StorageFixture(_Fixture):
    """Two paired storages under test, and access to the bytes on both that does not go through the provider."""

    mode: ReplicationMode = ReplicationMode.SNAPSHOT
    """How the suite replicates. Run it once per mode."""

    @abstractmethod
    def primary(self) -> StorageProvider:
        """The provider of ``Side.PRIMARY``. Both are asked for once; they are paired by then."""

    @abstractmethod
    def secondary(self) -> StorageProvider:
        """The provider of ``Side.SECONDARY``."""

    @abstractmethod
    async def make_image(self, size_bytes: int) -> str:
        """Makes an empty image (all bytes zero) on ``Side.PRIMARY``, not replicated, not a clone, as a user would."""

    @abstractmethod
    async def write(self, side: Side, image: str, offset: int, data: bytes) -> None:
        """Writes as a guest would; answers when the bytes are durable. Raises anything when the storage refuses."""

    @abstractmethod
    async def read(self, side: Side, image: str, snapshot: str | None, offset: int, length: int) -> bytes:
        """Reads the image, or a user snapshot of it."""

    @abstractmethod
    async def remove_image(self, side: Side, image: str) -> None:
        """Removes an image as a user of that side would, whatever its state; also when it is gone already."""

    def _suite(self) -> _native.Suite:
        facts = json.dumps({**self._facts(), "mode": to_json(self.mode)}).encode()
        one, other = (Remote(provider, StorageProvider) for provider in (self.primary(), self.secondary()))
        return _native.Suite.storage(Remote(self, StorageFixture), facts, one, other, world_of(self.world))


class CloudFixture(_Fixture):
    """A cloud under test and the storage its volumes live on. The suite makes its own tenants, with everything in them, and removes them
    again. External networks, compute nodes and volume types must be there."""

    volume_type: str
    """Name of a volume type for adopted images."""
    shared_volume_type: str
    """Name of one whose volumes can be attached to several servers."""
    external_network: CloudId
    """A network with free floating addresses."""
    missing_image: str
    """A reference in the storage's notation to an image that does not exist."""
    compute_host: str | None = None
    """Name of a compute node that takes any small flavour; none when hosts cannot be chosen."""
    image_metadata: Mapping[str, str] = {}
    """Properties of the image that :meth:`bootable_image` was made from, to be put back on adoption."""
    boot_message: str | None = None
    """What the guest of :meth:`bootable_image` prints on its console when it is up; none when it prints nothing."""

    @abstractmethod
    def cloud(self) -> CloudProvider:
        """The provider. It and the storage are asked for once."""

    @abstractmethod
    def storage(self) -> StorageProvider:
        """The provider of the storage under the cloud."""

    @abstractmethod
    async def bootable_image(self) -> str:
        """Makes an image that a server can boot from, beside those of the cloud's volumes, writable, not known to the cloud."""

    @abstractmethod
    async def blank_image(self, size_bytes: int) -> str:
        """Makes an empty image likewise. Its size need not be a whole number of GiB."""

    async def replica_image(self) -> str | None:
        """Makes an image that is the replica of a living primary; none when the fixture has no peer."""
        return None

    @abstractmethod
    async def read(self, image: str, offset: int, length: int) -> bytes:
        """Reads an image on the storage, not through the cloud."""

    @abstractmethod
    async def write(self, image: str, offset: int, data: bytes) -> None:
        """Writes an image on the storage, not through the cloud."""

    @abstractmethod
    async def remove_image(self, image: str) -> None:
        """Removes an image whatever its state is; also when it is gone already."""

    async def limit(self, tenant: CloudId, kind: CreatedKind, most: int) -> bool:
        """Limits how many things of a kind a tenant may have in all; ``False`` when the fixture cannot."""
        return False

    async def volume_snapshot(self, tenant: CloudId, volume: CloudId) -> CloudId | None:
        """Takes a snapshot of a volume within the cloud, as a user would, and gives its id; none when the fixture cannot."""
        return None

    async def remove_volume_snapshot(self, tenant: CloudId, snapshot: CloudId) -> None:
        """Removes such a snapshot."""

    def _suite(self) -> _native.Suite:
        names = ("volume_type", "shared_volume_type", "external_network", "missing_image", "compute_host", "image_metadata", "boot_message")
        facts = json.dumps({**self._facts(), **{name: to_json(getattr(self, name, None)) for name in names}}).encode()
        cloud, storage = Remote(self.cloud(), CloudProvider), Remote(self.storage(), StorageProvider)
        return _native.Suite.cloud(Remote(self, CloudFixture), facts, cloud, storage, world_of(self.world))


class Outcome(StrEnum):
    """How a case ended."""

    PASSED = "passed"
    """The provider does what is asked."""
    SKIPPED = "skipped"
    """Nothing could be said: a capability is missing, or the moment could not be caught."""
    FAILED = "failed"
    """It does not."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A case that ended."""

    name: str
    """Its name."""
    rule: str
    """Where its rule comes from."""
    outcome: Outcome
    """How it ended."""
    why: str | None
    """Why it was skipped, or what went wrong."""

    def __str__(self) -> str:
        told = f"{'FAILED' if self.outcome is Outcome.FAILED else self.outcome:8} {self.name}"
        return f"{told}: {self.why}" if self.why else told


@dataclass(frozen=True, slots=True)
class Report:
    """What a run of the suite found, case by case."""

    cases: tuple[Ended, ...] = field(default=())
    """Every case that was run, in the order of the suite."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.named(Outcome.FAILED)

    def named(self, outcome: Outcome) -> tuple[str, ...]:
        """Names of the cases that ended so."""
        return tuple(case.name for case in self.cases if case.outcome is outcome)

    def __str__(self) -> str:
        return ", ".join(f"{len(self.named(outcome))} {outcome}" for outcome in Outcome)


def _each(fixture: StorageFixture | CloudFixture, wanted: Callable[[str], bool]) -> Iterator[Ended]:
    suite = fixture._suite()
    for name, rule in suite.cases():
        if wanted(name):
            outcome, why = loads(suite.run(name), tuple[Outcome, str | None])
            yield Ended(name, rule, outcome, why)


def run(
    fixture: StorageFixture | CloudFixture,
    *,
    wanted: Callable[[str], bool] = lambda name: True,
    each: Callable[[Ended], object] = lambda case: None,
) -> Report:
    """Runs the cases whose names are wanted; ``each`` is told of every one as it ends."""
    ended = []
    for case in _each(fixture, wanted):
        each(case)
        ended.append(case)
    return Report(tuple(ended))


def _named(what: str) -> StorageFixture | CloudFixture:
    module, _, name = what.partition(":")
    if not module or not name:
        raise InvalidError("say which: module:Name", code="python.fixture", field="fixture")
    # As `python -m` finds modules.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InvalidError(f"there is no {what}: {error}", code="python.fixture", field="fixture") from error
    if isinstance(found, type) and issubclass(found, CloudProvider | StorageProvider):
        found = getattr(found, "fixture", None)
    try:
        made = found() if callable(found) else None
    except TypeError:  # it wants arguments
        made = None
    if not isinstance(made, StorageFixture | CloudFixture):
        raise InvalidError(
            f"{what} makes no fixture",
            code="python.fixture",
            field="fixture",
            remedy="name a subclass of neverstop.conformance.StorageFixture or CloudFixture, or a provider whose fixture() gives one",
        )
    return made


def main(arguments: list[str] | None = None) -> int:
    """What ``python -m neverstop.conformance`` does; gives its exit code."""
    parser = argparse.ArgumentParser(prog="python -m neverstop.conformance", description="Says whether a provider does what it must.")
    parser.add_argument("fixture", help="module:Name of a fixture, or of a provider that has fixture()")
    parser.add_argument("-k", metavar="TEXT", default="", help="only cases whose name has this text")
    asked = parser.parse_args(arguments)
    try:
        fixture = _named(asked.fixture)
        report = run(fixture, wanted=lambda name: asked.k in name, each=lambda case: print(case, flush=True))
    except NeverStopError as error:
        print(error, file=sys.stderr)
        return 2
    print(report)
    if not report.cases:
        print("no case has that name", file=sys.stderr)
        return 2
    return 0 if report.ok else 1


if __name__ == "__main__":
    # What a fixture is derived from is the module by its name, not this one, which is the program.
    sys.exit(importlib.import_module("neverstop.conformance").main())
