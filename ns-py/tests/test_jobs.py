"""Jobs through their handles."""

from __future__ import annotations

import pickle

import neverstop
import pytest
from neverstop import JobOperation, JobRequest, JobState

from conftest import Site


def test_a_drill_from_beginning_to_report(site: Site) -> None:
    group, plan = site.protect()
    told = site.dr.jobs.explain(JobRequest.drill(group, plan))
    assert told.kind == "drill" and "clone a snapshot" in str(told)
    drill = site.dr.jobs.create(JobRequest.drill(group, plan))
    assert drill == site.dr.job(drill.id) and repr(drill) == f"Job({drill.id!r})"
    summary = drill.wait(timeout=60, check=True)
    assert (summary.state, summary.result) == (JobState.COMPLETED, neverstop.ResultCode.SUCCESS)
    assert str(summary) == f"drill {drill.id}: completed, success"
    assert JobOperation.ROLLBACK in drill.allowed() and JobOperation.PAUSE not in drill.allowed()
    clones = neverstop.where(search="web", sort="name")
    site.dr.clusters.sync(site.target)
    assert [i.name for i in site.dr.inventory.list(neverstop.Instance, site.target, clones)] == ["web-1", "web-2", "web-3"]
    drill.rollback("over")
    assert drill.wait().state is JobState.FINISHED
    report = drill.report()
    assert {i.name for i in report.facts.instances} == {"web-1", "web-2", "web-3"}
    assert site.dr.reports.html(drill).startswith("<!") and "web-1" in site.dr.reports.json(drill)
    assert site.dr.reports.verify(site.dr.reports.json(drill)).report == report
    assert site.dr.reports.removal_script(drill) == ""


def test_a_failover_and_its_rollback(site: Site) -> None:
    group, plan = site.protect()
    failover = site.dr.jobs.create(JobRequest.failover(group, plan))
    failover.wait(check=True)
    running = [i for i in site.dr.clusters.sync(site.target).instances.values()]
    assert len(running) == 3
    assert "LAB-BOOT" in site.world.console("b", running[0].id)
    undo = failover.explain(JobOperation.ROLLBACK, reason="test")
    assert undo.steps
    failover.rollback("test")
    assert failover.wait().state is JobState.FINISHED
    assert site.dr.clusters.sync(site.target).instances == {}
    updates = list(failover.monitor())
    assert updates[-1].state is JobState.FINISHED


def test_watching_goes_on_where_it_stopped(site: Site) -> None:
    group, plan = site.protect()
    drill = site.dr.jobs.create(JobRequest.drill(group, plan))
    drill.wait()
    seen = []
    for entry in drill.watch():
        seen.append(entry.position)
        if len(seen) == 10:
            break
    drill.rollback("over")
    drill.wait()
    rest = [entry.position for entry in drill.watch(seen[-1])]
    assert seen + rest == [entry.position for entry in drill.journal()]


def test_what_may_not_be_asked_is_refused_and_changes_nothing(site: Site) -> None:
    group, plan = site.protect()
    drill = site.dr.jobs.create(JobRequest.drill(group, plan))
    before = drill.wait()
    with pytest.raises(neverstop.RefusedError):
        drill.pause()
    assert drill.get() == before


def test_a_job_that_does_not_succeed_says_why(site: Site) -> None:
    group, plan = site.protect()
    drill = site.dr.jobs.create(JobRequest.drill(group, plan))
    site.world.kill("b")
    with pytest.raises(neverstop.JobFailedError) as caught:
        drill.wait(check=True)
    assert caught.value.summary is not None and caught.value.summary.id == drill.id
    assert caught.value.summary.result is not neverstop.ResultCode.SUCCESS
    assert caught.value.kind == "job_failed" and caught.value.remedy
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.summary, again.context) == (caught.value.summary, caught.value.context)


def test_waiting_has_its_limits(site: Site) -> None:
    with pytest.raises(neverstop.NotFoundError):
        site.dr.job("none").wait(timeout=1)
    with pytest.raises(neverstop.InvalidError) as caught:
        site.dr.job("none").wait(timeout=-1)
    assert caught.value.field == "timeout"
    group, plan = site.protect()
    drill = site.dr.jobs.create(JobRequest.drill(group, plan))
    with pytest.raises(neverstop.WaitTimeoutError) as late:
        drill.wait(timeout=0)
    assert isinstance(late.value, TimeoutError) and late.value.remedy
    assert drill.wait(check=True).state is JobState.COMPLETED


def test_lists_are_read_part_by_part(site: Site) -> None:
    volumes = site.dr.inventory.list(neverstop.Volume, site.source, neverstop.where(sort="name", limit=2))
    first = volumes.page()
    assert (len(first), first.total) == (2, 7) and first.next
    assert volumes.page(first.next).items[0] not in first.items
    names = [v.name for v in volumes]
    assert len(names) == 7 and names == sorted(names)
    assert volumes.first() == first.items[0]
    assert site.dr.inventory.list(neverstop.Volume, site.source, neverstop.where(search="nothing")).first() is None
    one = site.dr.inventory.get(neverstop.Volume, site.source, first.items[0])
    assert one == first.items[0]
