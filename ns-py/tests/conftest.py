"""What tests share: an engine with two simulated clouds, and a group that is protected there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import neverstop
import pytest
from neverstop import sim


@dataclass
class Site:
    """An engine, its world and what was registered."""

    dr: neverstop.Session
    world: sim.World
    servers: tuple[str, ...]
    source: neverstop.Cluster
    target: neverstop.Cluster

    def protect(self) -> tuple[neverstop.ProtectionGroup, neverstop.RecoveryPlan]:
        """A protected group with a recovery point."""
        group = self.dr.protection_groups.create(group_request(self.source, self.servers))
        plan, mirroring = self.dr.plans.create(self.dr.plans.suggest(group, self.target))
        mirroring.wait(check=True)
        for job in self.dr.jobs.list():
            self.dr.job(job.id).wait(check=True)
        assert self.dr.points.list(group).first() is not None
        return group, plan


def group_request(source: neverstop.Cluster, servers: tuple[str, ...], name: str = "shop") -> neverstop.GroupRequest:
    return neverstop.GroupRequest(
        name=name, owner_group_id="ops", source_cluster=source.id, instances=servers, rpo_minutes=15, rto_minutes=30
    )


@pytest.fixture
def site() -> Iterator[Site]:
    world = sim.World()
    servers = world.sample_group(3)
    with neverstop.connect(world=world, actor="anna") as dr:
        source, target = (
            dr.clusters.add(neverstop.ClusterRequest(name=name, owner_group_id="ops"), world.connection(at))
            for name, at in (("seoul", "a"), ("busan", "b"))
        )
        yield Site(dr, world, servers, source, target)
