"""A drill: ``python drill.py`` on two simulated clouds, ``python drill.py SOURCE TARGET`` on two clouds of ``clouds.yaml``."""

import sys

import neverstop
from neverstop import ClusterRequest, GroupRequest, JobRequest, sim, site

world = None if sys.argv[1:] else sim.World(servers=3)  # two names of clouds.yaml, or two simulated clouds
sites = [world.connection("a"), world.connection("b")] if world else [site(name) for name in sys.argv[1:]]
with neverstop.connect("sqlite:///dr.db", world=world) as dr:
    seoul = dr.clusters.add(ClusterRequest(name="seoul", owner_group_id="ops"), sites[0])
    busan = dr.clusters.add(ClusterRequest(name="busan", owner_group_id="ops"), sites[1])
    servers = tuple(server.id for server in dr.protection_groups.unprotected(seoul))
    shop = GroupRequest(name="shop", owner_group_id="ops", source_cluster=seoul.id, instances=servers, rpo_minutes=15, rto_minutes=30)
    group = dr.protection_groups.create(shop)
    plan, mirroring = dr.plans.create(dr.plans.suggest(group, busan))
    mirroring.wait(check=True)  # until all volumes are copied
    for point in dr.jobs.list(neverstop.where(kind="point")):
        dr.job(point.id).wait(check=True)  # the first recovery point
    print(dr.jobs.explain(JobRequest.drill(group, plan)))  # what would be done
    drill = dr.jobs.create(JobRequest.drill(group, plan))
    print(drill.wait(check=True))  # copies run in the other cloud, in networks of their own
    drill.rollback("rehearsal over")
    drill.wait()
    print(drill.report())
