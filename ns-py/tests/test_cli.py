"""The command line."""

from __future__ import annotations

import functools
import io
import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import neverstop
import pytest
from neverstop import _cli

from conftest import Site


@pytest.fixture
def run(site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("NEVERSTOP_STORE", "memory:")
    monkeypatch.setattr(_cli, "connect", lambda *_, **__: nullcontext(site.dr))
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    def run(*arguments: str) -> tuple[int, str, str]:
        code = _cli.main(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_status_and_plan(site: Site, run: Any) -> None:
    code, out, _ = run("status")
    assert (code, out.splitlines()[0]) == (0, "all is well") and "cluster seoul: cloud answers" in out
    _, plan = site.protect()
    code, out, _ = run("plan", "check", plan.name)
    assert (code, out) == (0, "plan is normal\n")
    site.world.kill("b")
    for _ in range(5):
        site.dr.clusters.probe(site.target)
    code, out, _ = run("--json", "plan", "check", plan.id)
    assert (code, json.loads(out)["status"]) == (3, "critical")
    code, out, _ = run("plan", "check", "shop", "--json")
    assert (code, json.loads(out)["status"]) == (3, "critical")
    code, out, _ = run("status")
    assert code == 3 and "worst finding: critical" in out


def test_a_drill(site: Site, run: Any) -> None:
    group, _ = site.protect()
    code, out, _ = run("drill", "shop", "--dry-run")
    assert (code, out.splitlines()[0]) == (0, "drill, 28 steps")
    assert site.dr.jobs.list(neverstop.where(kind="drill")).first() is None
    code, out, err = run("--json", "drill", group.id)
    said = json.loads(out)
    assert code == 0 and said["job"]["result"] == "dr.recovery.result.success" and err == ""
    job = said["job"]["id"]
    assert site.dr.job(job).get().state is neverstop.JobState.FINISHED
    code, out, _ = run("watch", job)
    assert code == 0 and "running -> completed" in out and "reporting -> finished" in out
    assert len(run("watch", job, "--position", "100")[1].splitlines()) < len(out.splitlines())
    assert run("watch", "shop") == (0, out, "")


def test_a_drill_that_is_kept_and_the_report(site: Site, run: Any, tmp_path: Path) -> None:
    site.protect()
    code, out, _ = run("drill", "shop", "--keep")
    job = site.dr.jobs.list(neverstop.where(kind="drill")).first()
    assert job is not None and (code, out) == (0, f"drill {job.id}: completed, success\n")
    assert run("rollback", job.id, "--reason", "over")[0] == 0
    page = tmp_path / "report.html"
    code, out, _ = run("report", job.id, "--html", str(page))
    assert code == 0 and "web-1: success" in out and page.read_text().startswith("<!")
    assert run("report", "shop")[:2] == (0, out)


def test_a_failover_is_typed_in(site: Site, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site.protect()
    code, _, err = run("failover", "shop")
    assert code == 4 and "--yes" in err and "planned failover" in err
    terminal = io.StringIO("shoes\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    code, _, err = run("failover", "shop")
    assert code == 4 and "'shoes' is not 'shop'" in err
    assert site.dr.jobs.list(neverstop.where(kind="failover")).first() is None
    terminal = io.StringIO("shop\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    code, out, _ = run("failover", "shop")
    assert code == 0 and out.endswith("completed, success\n")
    job = site.dr.jobs.list(neverstop.where(kind="failover")).first()
    assert job is not None
    assert run("confirm", job.id, "--reason", "for good")[0] == 0
    assert site.dr.job(job.id).get().state is neverstop.JobState.FINISHED


def test_errors_and_exit_codes(site: Site, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = run("drill", "nothing")
    assert (code, out) == (1, "") and "0 groups are called nothing" in err
    code, out, err = run("watch", "nothing")
    assert (code, out) == (1, "") and "nothing" in err
    code, _, err = run("--json", "report", "nothing")
    assert code == 1 and json.loads(err)["error"]["kind"] == "not_found"
    site.protect()
    code, _, err = run("report", "shop")
    assert code == 1 and "neither a drill nor a failover" in err
    assert run("failover", "shop", "--yes", "shop", "--timeout", "0")[0] == 5
    monkeypatch.delenv("NEVERSTOP_STORE")
    with pytest.raises(SystemExit) as ended:
        run("status")
    assert ended.value.code == 2


def test_what_only_looks_is_connected_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world, store = neverstop.sim.World(servers=1), f"sqlite:///{tmp_path}/dr.db"
    with neverstop.connect(store, world=world) as dr:
        dr.clusters.add(neverstop.ClusterRequest(name="seoul", owner_group_id="ops"), world.connection("a"))
    monkeypatch.setattr(_cli, "connect", functools.partial(neverstop.connect, world=world))
    assert _cli.main(["status", "--store", store]) == 0
    assert "cluster seoul: cloud answers, storage answers" in capsys.readouterr().out


def test_it_is_a_program(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "neverstop", "--store", f"sqlite:///{tmp_path}/dr.db", "--json", "status"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["findings"] == []
