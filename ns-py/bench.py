#!/usr/bin/env python3
"""What crossing from Python to the engine costs: ``python bench.py``, against an optimised build (``PROFILE=release ./check.sh``).

Prints the median of several runs: a call that asks nothing of the engine, the
status of a job, and rows of an inventory that are iterated.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import neverstop
from neverstop import _values, sim


def each(times: int, call: Callable[[], object]) -> float:
    """Microseconds per call: the median of seven runs."""
    runs = []
    for _ in range(7):
        begun = time.perf_counter()
        for _ in range(times):
            call()
        runs.append((time.perf_counter() - begun) / times * 1e6)
    return statistics.median(runs)


def main() -> int:
    world = sim.World()
    servers = world.sample_group(3)
    with neverstop.connect(world=world) as dr:
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
        arguments = _values.dumps({"id": job.id})
        native = dr._native
        print(f"a call that answers at once, as JSON     {each(2000, native.actor):8.1f} µs")
        print(f"status of a job, as JSON                 {each(2000, lambda: native.call('jobs.get', arguments)):8.1f} µs")
        print(f"status of a job, as a value              {each(2000, job.get):8.1f} µs")
        volume = dr.inventory.list(neverstop.Volume, source).first()
        assert volume is not None
        rows = 1000
        answer = _values.dumps({"items": [volume] * rows, "total": rows, "next": None})
        of: object = neverstop.Listing[neverstop.Volume]
        reading = each(5, lambda: _values.loads(answer, of)) / rows
        print(f"a row of an inventory, JSON to value     {reading:8.1f} µs   {1e6 / reading:10.0f} rows/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
