"""Clouds and storages that are written in Python, under the engine."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import neverstop
import pytest
from neverstop import (
    CloudProvider,
    ClusterRequest,
    Connection,
    ConnectorField,
    FieldKind,
    HalfConnection,
    JobRequest,
    Secret,
    StorageReport,
    _native,
    aio,
    conformance,
    sim,
)

from conftest import group_request
from file_storage import FileStorage, TwoFolders
from over_files import over_files
from test_process import run


class Nimbus(FileStorage):
    """A storage whose check does what a test wants."""

    kind = "nimbus"
    fields = (
        ConnectorField(name="address", kind=FieldKind.TEXT, required=True, about="where Nimbus answers"),
        ConnectorField(name="token", kind=FieldKind.SECRET, required=True, about="an access token"),
    )
    seen: Any = None
    does: Any = None

    @classmethod
    async def connect(cls, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> Self:
        cls.seen = (dict(settings), dict(secrets))
        if settings["address"] == "nowhere":
            raise neverstop.InvalidError("nobody is there", code="nimbus.address", field="settings.address")
        return cls("/nonexistent")

    async def check(self) -> StorageReport:
        found: StorageReport = await type(self).does()
        return found


def nimbus(address: str = "here", token: str = "horse-17") -> HalfConnection:
    return HalfConnection(kind="nimbus", settings={"address": address}, secrets={"token": token})


@pytest.fixture
def world() -> sim.World:
    return sim.World()


def checked(world: sim.World, does: Any) -> None:
    Nimbus.does = staticmethod(does)
    with neverstop.connect(world=world, storages=[Nimbus]) as dr:
        providers = dr.engine.providers(Connection(cloud=world.connection("a").cloud, storage=nimbus()))
        dr.clusters.check(providers)


def test_a_connector_is_listed_with_its_fields(world: sim.World) -> None:
    with neverstop.connect(world=world, storages=[Nimbus]) as dr:
        found = next(c for c in dr.clusters.connectors() if c.kind == "nimbus")
        assert [(f.name, f.kind, f.required) for f in found.fields] == [
            ("address", FieldKind.TEXT, True),
            ("token", FieldKind.SECRET, True),
        ]


def test_settings_and_secrets_reach_the_provider(world: sim.World) -> None:
    async def does() -> StorageReport:
        raise neverstop.UnavailableError("away", code="nimbus.away")

    with pytest.raises(neverstop.UnavailableError):
        checked(world, does)
    assert Nimbus.seen == ({"address": "here"}, {"token": Secret("horse-17")})
    assert "horse" not in repr(Nimbus.seen)


def test_what_a_provider_needs_is_asked_for(world: sim.World) -> None:
    with neverstop.connect(world=world, storages=[Nimbus]) as dr:
        missing = HalfConnection(kind="nimbus", settings={}, secrets={"token": "t"})
        with pytest.raises(neverstop.InvalidError) as caught:
            dr.clusters.connect_and_check(Connection(cloud=world.connection("a").cloud, storage=missing))
        assert caught.value.field is not None and "address" in caught.value.field
        assert dr.clusters.list().first() is None


def test_an_error_of_a_provider_is_that_of_the_engine(world: sim.World) -> None:
    async def does() -> StorageReport:
        raise neverstop.QuotaError(
            "no room for horse-17", code="nimbus.quota", field="pool", remedy="ask for more than horse-17", context={"request_id": "r-1"}
        )

    with pytest.raises(neverstop.QuotaError) as caught:
        checked(world, does)
    error = caught.value
    assert (error.kind, error.code, error.field, error.request_id) == ("quota", "nimbus.quota", "pool", "r-1")
    # A secret that was quoted all the same is left out.
    assert (error.message, error.remedy) == ("no room for ***", "ask for more than ***")


@pytest.mark.parametrize("thrown", [RuntimeError("horse-17 is lame"), neverstop.WaitTimeoutError("horse-17 is lame")])
def test_any_other_exception_is_a_fault_without_secrets(
    world: sim.World, caplog: pytest.LogCaptureFixture, thrown: Exception
) -> None:
    async def does() -> StorageReport:
        raise thrown

    with caplog.at_level(logging.ERROR, "neverstop"), pytest.raises(neverstop.InternalError) as caught:
        checked(world, does)
    assert caught.value.code == "python.provider"
    assert caught.value.message.startswith(type(thrown).__name__) and "*** is lame" in caught.value.message
    assert "Traceback" in caplog.text and "horse-17 is" not in caplog.text


def test_an_answer_of_another_form_is_a_fault_that_quotes_nothing(world: sim.World) -> None:
    async def does() -> Any:
        return {"storage_id": "horse-17"}

    with pytest.raises(neverstop.InternalError) as caught:
        checked(world, does)
    assert caught.value.message == "the answer of check has not the form it should have"
    assert "horse" not in str(caught.value)


def test_connecting_may_be_refused(world: sim.World) -> None:
    with neverstop.connect(world=world, storages=[Nimbus]) as dr, pytest.raises(neverstop.InvalidError) as caught:
        dr.engine.providers(Connection(cloud=world.connection("a").cloud, storage=nimbus("nowhere")))
    assert (caught.value.code, caught.value.field) == ("nimbus.address", "settings.address")


class Taken(FileStorage):
    kind = "ceph-rbd"


class Nameless(CloudProvider):
    pass


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({"storages": [Taken]}, "storages", "there is a connector ceph-rbd already"),
        ({"storages": [Nimbus, Nimbus]}, "storages", "there is a connector nimbus already"),
        ({"clouds": [Nimbus]}, "clouds", "is no subclass of CloudProvider"),
        ({"clouds": ["nimbus"]}, "clouds", "is no subclass of CloudProvider"),
        ({"clouds": [Nameless]}, "clouds", "Nameless does not say its platform"),
    ],
)
def test_what_is_no_provider_is_refused(given: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(neverstop.InvalidError) as caught:
        neverstop.connect(**given)
    assert (caught.value.code, caught.value.field) == ("python.connect", field)
    assert says in caught.value.message and caught.value.remedy


def test_nobody_holds_the_lock_while_a_provider_works(world: sim.World) -> None:
    counted = []

    async def does() -> StorageReport:
        await asyncio.sleep(0.5)
        raise neverstop.UnavailableError("away", code="nimbus.away")

    ended = threading.Event()

    def count() -> None:
        turns = 0
        while not ended.is_set():
            turns += 1
        counted.append(turns)

    counting = threading.Thread(target=count)
    counting.start()
    with pytest.raises(neverstop.UnavailableError):
        checked(world, does)
    ended.set()
    counting.join()
    assert counted[0] > 10_000


def test_hours_do_not_pass_while_a_provider_works(world: sim.World) -> None:
    times = []

    async def does() -> StorageReport:
        times.append(world.now())
        await asyncio.sleep(0.3)
        times.append(world.now())
        raise neverstop.UnavailableError("away", code="nimbus.away")

    with pytest.raises(neverstop.UnavailableError):
        checked(world, does)
    assert times[0] == times[1]


class Endless(TwoFolders):
    """Never makes an image."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.cancelled = threading.Event(), threading.Event()

    async def make_image(self, size_bytes: int) -> str:
        self.begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return ""


def test_what_the_engine_gives_up_is_cancelled() -> None:
    fixture = Endless()
    with pytest.raises(TimeoutError):
        fixture._suite().run("metadata_is_kept", 0.5)
    assert fixture.begun.is_set() and fixture.cancelled.wait(10)


async def test_asyncio_reaches_providers_too(world: sim.World) -> None:
    async def does() -> StorageReport:
        raise neverstop.DeniedError("not you", code="nimbus.denied")

    Nimbus.does = staticmethod(does)
    async with aio.connect(world=world, storages=[Nimbus]) as dr:
        with pytest.raises(neverstop.DeniedError):
            await dr.clusters.connect_and_check(Connection(cloud=world.connection("a").cloud, storage=nimbus()))


def test_a_forked_process_has_a_loop_of_its_own() -> None:
    folder = Path(__file__).resolve().parent.parent / "examples"
    done = run(
        f"""
        import os, sys, warnings
        sys.path.insert(0, {str(folder)!r})
        warnings.simplefilter("ignore")
        from neverstop import conformance
        from file_storage import TwoFolders
        def works():
            return conformance.run(TwoFolders(), wanted=lambda name: name == "metadata_is_kept").ok
        print(works(), flush=True)
        child = os.fork()
        if child == 0:
            print(works(), flush=True)
        else:
            print(os.waitpid(child, 0)[1], works(), flush=True)
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\nTrue\n0 True\n", "")


def test_a_drill_on_plain_files(world: sim.World, tmp_path: Path) -> None:
    servers = world.sample_group(3)
    cloud, storage = over_files(world, tmp_path)
    source_files, target_files = (storage(tmp_path / site) for site in "ab")

    async def prepare() -> None:
        await target_files.accept_pairing(await source_files.offer_pairing())
        await cloud("a").bring()

    asyncio.run(prepare())
    with neverstop.connect(world=world, actor="anna", clouds=[cloud], storages=[storage]) as dr:
        source, target = (
            dr.clusters.add(
                ClusterRequest(name=name, owner_group_id="ops"),
                Connection(
                    cloud=HalfConnection(kind="over-files", settings={"site": site}, secrets={}),
                    storage=HalfConnection(kind="world-files", settings={"folder": str(tmp_path / site)}, secrets={}),
                ),
            )
            for name, site in (("seoul", "a"), ("busan", "b"))
        )
        assert (source.platform, source.storage_kind) == ("over-files", "world-files")
        group = dr.protection_groups.create(group_request(source, servers))
        plan, mirroring = dr.plans.create(dr.plans.suggest(group, target))
        mirroring.wait(timeout=300, check=True)
        for job in dr.jobs.list():
            dr.job(job.id).wait(timeout=300, check=True)

        def images() -> list[str]:
            return sorted(image.name for image in target_files.images())

        before = images()
        drill = dr.jobs.create(JobRequest.drill(group, plan))
        drill.wait(timeout=300, check=True)
        assert len(images()) == len(before) + 7
        # The guests run on the other cloud, with the data of theirs.
        drilled = dr.inventory.whole(target).instances.values()
        consoles = "".join(world.console("b", server.id) for server in drilled)
        for n in (1, 2, 3):
            assert f"a-web-{n}" in consoles
        drill.rollback("rehearsal over")
        drill.wait(timeout=300)
        assert drill.get().result is neverstop.ResultCode.SUCCESS
        # Nothing of it is left; the replicas and the recovery point's copies are.
        assert images() == before
