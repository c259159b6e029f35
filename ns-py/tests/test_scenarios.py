"""The scenarios that the Rust tests play: the same journals come of them, byte for byte."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import neverstop
import pytest
from neverstop import ClusterRequest, ForceRight, GroupRequest, JobOperation, JobRequest, JobState, JobType, ResultCode, sim
from neverstop._values import dumps, loads

SOURCE = Path(os.environ.get("NEVERSTOP_SOURCE", Path(__file__).resolve().parent.parent))
FOLDER = SOURCE.parent / "tests" / "scenarios"


class Player:
    """What a scenario is played on."""

    def __init__(self, seed: int, servers: int) -> None:
        self.world = sim.World(seed, still=True)
        self.servers = self.world.sample_group(servers)
        self.dr = neverstop.connect(world=self.world, actor="anna", node="scenario")
        self.made: dict[str, neverstop.Job] = {}

    def finish_all(self) -> None:
        for job in self.dr.jobs.list().page().items:
            self.dr.job(job.id).wait()

    def protect(self) -> None:
        source, target = (
            self.dr.clusters.add(ClusterRequest(name=f"site-{site}", owner_group_id="ops"), self.world.connection(site)) for site in "ab"
        )
        request = GroupRequest(
            name="shop", owner_group_id="ops", source_cluster=source.id, instances=self.servers, rpo_minutes=15, rto_minutes=30
        )
        self.group = self.dr.protection_groups.create(request)
        self.plan, mirroring = self.dr.plans.create(self.dr.plans.suggest(self.group, target))
        mirroring.wait(check=True)
        self.finish_all()

    def point(self) -> None:
        _, making = self.dr.points.create(self.group)
        making.wait(check=True)

    def create(self, job: str, type: str, force: dict[str, Any] | None = None) -> None:
        make = JobRequest.drill if JobType(type) is JobType.DRILL else JobRequest.failover
        word = None if force is None else loads(dumps(force), ForceRight)
        self.made[job] = self.dr.jobs.create(make(self.group, self.plan, force=word))

    def wait(self, job: str, state: str, result: str | None = None) -> None:
        summary = self.made[job].wait()
        assert summary.state is JobState(state)
        assert result is None or summary.result is ResultCode(result)

    def operate(self, job: str, operation: str, reason: str) -> None:
        self.made[job].operate(JobOperation(operation), reason=reason)

    def reprotect(self, of: str) -> None:
        self.group, self.plan, following = self.dr.failback.reprotect(self.made[of])
        following.wait(check=True)
        self.finish_all()

    def kill(self, site: str) -> None:
        self.world.kill(site)

    def advance(self, seconds: int) -> None:
        self.world.advance(seconds)


@pytest.mark.parametrize("name", sorted(file.stem for file in FOLDER.glob("*.json")))
def test_a_scenario_has_the_same_journals_as_in_rust(name: str) -> None:
    scenario = json.loads((FOLDER / f"{name}.json").read_text())
    player = Player(scenario["seed"], scenario["servers"])
    with player.dr:
        for step in scenario["steps"]:
            getattr(player, step.pop("step"))(**step)
        told = []
        for job in sorted(job.id for job in player.dr.jobs.list()):
            journal = player.dr._native.call("jobs.journal", dumps({"id": job}))
            entries = player.dr.job(job).journal()
            told.append(f"{job} {len(entries)} {hashlib.sha256(journal).hexdigest()}\n")
            if room := os.environ.get("SCENARIO_JOURNALS"):
                Path(room, f"{name}-{job}.json").write_bytes(journal)
    assert "".join(told) == (FOLDER / f"{name}.journals").read_text()
