#!/usr/bin/env python3
"""What crossing from Python to the engine costs: ``python bench.py [rows]``, against an optimised build (``PROFILE=release ./check.sh``).

Prints the median of several runs: a call that asks nothing of the engine, the status of a job, and 100,000 rows of an inventory that are
iterated. The rows come of a cloud that is written in Python, so that reading them in is measured too.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Self

import neverstop
from neverstop import CloudReport, HalfConnection, Resource, ResourceKind, Secret, Volume, _values, sim
from neverstop._ports import NativeCloudProvider

ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000

world = sim.World()


class Large(NativeCloudProvider):
    """A simulated cloud with very many volumes."""

    platform = "large"

    @classmethod
    async def connect(cls, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> Self:
        return cls(world._native.cloud("a"))

    async def check(self) -> CloudReport:
        return dataclasses.replace(await super().check(), cloud_id="large")

    async def inventory(self, kinds: tuple[ResourceKind, ...]) -> AsyncIterator[Resource]:
        last: Volume | None = None
        async for thing in super().inventory(kinds):
            last = thing if isinstance(thing, Volume) else last
            yield thing
        if last is not None:
            for n in range(ROWS):
                yield dataclasses.replace(last, id=f"volume-{n:06}", name=f"data-{n}", attachments=(), storage=f"rbd:volumes/data-{n}")


def each(times: int, call: Callable[[], object]) -> float:
    """Microseconds per call: the median of seven runs."""
    runs = []
    for _ in range(7):
        begun = time.perf_counter()
        for _ in range(times):
            call()
        runs.append((time.perf_counter() - begun) / times * 1e6)
    return statistics.median(runs)


def status(store: str, job: str) -> None:
    """What it costs to read a job's status, from a store as operators have it."""
    with neverstop.connect(store, start=False) as dr:
        native, arguments, handle = dr._native, _values.dumps({"id": job}), dr.job(job)
        print(f"a call that answers at once, as JSON     {each(2000, native.actor):8.1f} µs")
        read = statistics.median(float(native.job_reads(job, 2000)) for _ in range(7)) / 2000 * 1e6
        print(f"status of a job, in Rust                 {read:8.1f} µs")
        for shape, call in ("as JSON ", lambda: native.call("jobs.get", arguments)), ("as a value", handle.get):
            took = each(2000, call)
            print(f"status of a job, {shape:10}              {took:8.1f} µs   {took - read:10.1f} µs over Rust")


def main() -> int:
    servers = world.sample_group(3)
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{folder}/dr.db"
        with neverstop.connect(store, world=world) as dr:
            source, target = (
                dr.clusters.add(neverstop.ClusterRequest(name=n, owner_group_id="ops"), world.connection(n)) for n in "ab"
            )
            group = dr.protection_groups.create(
                neverstop.GroupRequest(
                    name="g", owner_group_id="ops", source_cluster=source.id, instances=servers, rpo_minutes=15, rto_minutes=30
                )
            )
            _, job = dr.plans.create(dr.plans.suggest(group, target))
            job.wait()
        status(store, job.id)
    with neverstop.connect(world=world, clouds=[Large]) as dr:
        source = dr.clusters.add(neverstop.ClusterRequest(name="a", owner_group_id="ops"), world.connection("a"))
        volume = dr.inventory.list(Volume, source).first()
        assert volume is not None
        rows = 1000
        answer = _values.dumps({"items": [volume] * rows, "total": rows, "next": None})
        of: object = neverstop.Listing[Volume]
        reading = each(5, lambda: _values.loads(answer, of)) / rows
        print(f"a row of an inventory, JSON to value     {reading:8.1f} µs   {1e6 / reading:10.0f} rows/s")

        begun = time.perf_counter()
        cloud = HalfConnection(kind="large", settings={}, secrets={})
        connection = neverstop.Connection(cloud=cloud, storage=world.connection("b").storage)
        large = dr.clusters.add(neverstop.ClusterRequest(name="large", owner_group_id="ops"), connection)
        took = time.perf_counter() - begun
        print(f"{ROWS} rows of a cloud in Python         {took:8.1f} s    {ROWS / took:10.0f} rows/s")
        begun = time.perf_counter()
        found = sum(1 for _ in dr.inventory.list(Volume, large, neverstop.where(limit=1000)))
        took = time.perf_counter() - begun
        print(f"{found} rows iterated, 1000 at a time    {took:8.1f} s    {found / took:10.0f} rows/s")
        begun = time.perf_counter()
        found = sum(1 for _ in dr.inventory.whole(large).volumes.values())
        took = time.perf_counter() - begun
        print(f"{found} rows iterated, of the whole     {took:8.1f} s    {found / took:10.0f} rows/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
