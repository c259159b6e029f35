"""What the pages begin with: two simulated clouds that are connected, and a protected group with a recovery point."""

from __future__ import annotations

import neverstop
from neverstop import Cluster, ClusterRequest, GroupRequest, ProtectionGroup, RecoveryPlan, Session, sim


def connected() -> tuple[sim.World, Session, Cluster, Cluster]:
    """A world, a session, and its two clusters."""
    world = sim.World()
    world.sample_group(3)
    dr = neverstop.connect(world=world, actor="anna")
    seoul, busan = (
        dr.clusters.add(ClusterRequest(name=name, owner_group_id="ops"), world.connection(site))
        for name, site in (("seoul", "a"), ("busan", "b"))
    )
    return world, dr, seoul, busan


def protected() -> tuple[sim.World, Session, ProtectionGroup, RecoveryPlan]:
    """The same with a group, its plan and a recovery point."""
    world, dr, seoul, busan = connected()
    servers = tuple(dr.inventory.whole(seoul).instances)
    group = dr.protection_groups.create(
        GroupRequest(name="shop", owner_group_id="ops", source_cluster=seoul.id, instances=servers, rpo_minutes=15, rto_minutes=30)
    )
    plan, mirroring = dr.plans.create(dr.plans.suggest(group, busan))
    mirroring.wait(check=True)
    for point in dr.jobs.list(neverstop.where(kind="point")):
        dr.job(point.id).wait(check=True)
    return world, dr, group, plan
