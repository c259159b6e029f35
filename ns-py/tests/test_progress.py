"""Bars and pictures."""

from __future__ import annotations

import io
import sys
from datetime import timedelta

import neverstop
import numpy
import pytest
from conftest import Site
from matplotlib.figure import Figure
from neverstop import InvalidError, JobRequest, plot


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drill(site: Site) -> neverstop.Job:
    group, plan = site.protect()
    return site.dr.jobs.create(JobRequest.drill(group, plan))


def test_a_bar_is_drawn_on_a_terminal_and_nowhere_else(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = drill(site)
    job.wait(check=True)
    assert capsys.readouterr().err == ""
    seen = Terminal()
    monkeypatch.setattr(sys, "stderr", seen)
    job.rollback("it is over")
    assert job.wait().state.value.endswith(".finished")
    ended = job.view().phases[-1]
    told = seen.getvalue()
    assert "rollback" in told and f"{len(ended.graph.tasks)}/{len(ended.graph.tasks)}" in told, told
    drawn = len(told)
    job.wait(progress=False)
    assert len(seen.getvalue()) == drawn


def test_a_wait_that_fails_ends_the_bar(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(neverstop.NotFoundError):
        site.dr.job("nowhere").wait()


def test_a_bar_without_rich(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    monkeypatch.setattr(sys, "stderr", Terminal())
    job = drill(site)
    assert job.wait(check=True).result is neverstop.ResultCode.SUCCESS
    with pytest.raises(InvalidError, match="neverstop\\[progress\\]"):
        job.wait(progress=True)


def test_how_much_would_have_been_lost(site: Site) -> None:
    group, _ = site.protect()
    site.dr.points.create(group)[1].wait(check=True)
    points = list(site.dr.points.list(group))
    first, second = sorted(points, key=lambda p: p.taken_at)
    until = second.complete_at + timedelta(minutes=20)
    corners = plot.losses(reversed(points), until)
    minutes = [round((at - since).total_seconds() / 60, 9) for at, since in (
        (first.complete_at, first.taken_at),
        (second.complete_at, first.taken_at),
        (second.complete_at, second.taken_at),
        (until, second.taken_at),
    )]
    assert [round(lost, 9) for _, lost in corners] == minutes
    assert [at for at, _ in corners] == [first.complete_at, second.complete_at, second.complete_at, until]
    assert plot.losses([], until) == []


def test_pictures(site: Site) -> None:
    group, plan = site.protect()
    points = tuple(site.dr.points.list(group))
    drawn = plot.rpo(group, points, until=points[0].complete_at + timedelta(hours=1))
    loss, objective = drawn.get_lines()
    assert numpy.asarray(loss.get_xdata()).size == 2
    assert numpy.asarray(objective.get_ydata()).tolist() == [group.rpo_minutes] * 2
    job = site.dr.jobs.create(JobRequest.drill(group, plan))
    job.wait(check=True)
    job.rollback("it is over")
    job.wait()
    report = job.report()
    ran = [task for task in report.facts.tasks if task.started_at and task.ended_at]
    drawn = plot.time_line(report)
    assert len(drawn.patches) == len(ran) > 10
    assert job.id in drawn.get_title()
    figure = drawn.get_figure()
    assert isinstance(figure, Figure)
    page = io.BytesIO()
    figure.savefig(page, format="png")
    assert page.getvalue().startswith(b"\x89PNG")
    again = plot.rpo(group, [], axes=drawn)
    assert again is drawn


def test_pictures_without_matplotlib(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    group, _ = site.protect()
    with pytest.raises(InvalidError, match="neverstop\\[plot\\]"):
        plot.rpo(group, [])
