"""The face for asyncio."""

from __future__ import annotations

import asyncio

import neverstop
import pytest
from neverstop import JobRequest, JobState, aio, sim

from conftest import group_request


async def protected(dr: aio.Session, world: sim.World) -> tuple[neverstop.ProtectionGroup, neverstop.RecoveryPlan]:
    servers = world.sample_group(2)
    source, target = [
        await dr.clusters.add(neverstop.ClusterRequest(name=name, owner_group_id="ops"), world.connection(at))
        for name, at in (("seoul", "a"), ("busan", "b"))
    ]
    group = await dr.protection_groups.create(group_request(source, servers))
    plan, mirroring = await dr.plans.create(await dr.plans.suggest(group, target))
    await mirroring.wait(check=True)
    async for job in dr.jobs.list():
        await dr.job(job.id).wait(check=True)
    return group, plan


async def test_a_drill() -> None:
    world = sim.World()
    async with aio.connect(world=world, actor="anna") as dr:
        group, plan = await protected(dr, world)
        assert dr.actor.name == "anna"
        drill = await dr.jobs.create(JobRequest.drill(group, plan))
        await drill.wait(timeout=60, check=True)
        await drill.rollback("over")
        assert (await drill.wait()).state is JobState.FINISHED
        positions = [entry.position async for entry in drill.watch(10)]
        assert positions[0] == 11
        assert (await drill.report()).facts.job.id == drill.id
        names = [v.name async for v in dr.inventory.list(neverstop.Volume, group.source_cluster, neverstop.where(limit=1))]
        assert len(names) == 5


async def test_many_at_once() -> None:
    async with aio.connect() as dr:
        answers = await asyncio.gather(*(dr.settings.get() for _ in range(100)))
        assert len(answers) == 100 and all(a == answers[0] for a in answers)


async def test_errors_are_those_of_the_other_face() -> None:
    async with aio.connect() as dr:
        with pytest.raises(neverstop.NotFoundError):
            await dr.clusters.get("nowhere")
        with pytest.raises(neverstop.InvalidError):
            await dr.clusters.list(neverstop.where(limit=0)).first()


async def test_whoever_is_cancelled_stops_waiting() -> None:
    dr = await aio.connect()
    waiting = asyncio.ensure_future(anext(dr.events.watch()))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await anext(dr.events.watch())
    assert (await dr.health.report()).worst is None
    await dr.close()
    assert dr.engine.closed


async def test_a_change_that_nobody_waits_for_is_done() -> None:
    async with aio.connect() as dr:
        making = asyncio.create_task(dr.user_groups.create(neverstop.UserGroupRequest(name="shop")))
        await asyncio.sleep(0)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        for _ in range(200):
            if await dr.user_groups.list().first():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the group was not made")


async def test_people_log_in() -> None:
    async with aio.connect() as dr:
        password = await dr.engine.install_admin("root", "root@example.org")
        login = await dr.engine.log_in("root", password, "203.0.113.7")
        assert "***" in repr(login) and login.must_change_password
        root = await dr.engine.authenticate(login.token)
        await root.account.change_password(password, "correct horse battery")
        with pytest.raises(neverstop.UnauthenticatedError):
            await dr.engine.authenticate("not-a-token")
