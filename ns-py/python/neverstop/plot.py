"""Pictures, with matplotlib: ``pip install 'neverstop[plot]'``.

``rpo`` draws how much would have been lost over time, ``time_line`` when a job did what. Both draw on the axes that are given, or on new
ones, and give them back: show or save them as any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

from .exceptions import InvalidError
from .model import ProtectionGroup, RecoveryPoint, RecoveryReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["rpo", "time_line"]

COLOURS: Final = {"done": "tab:blue", "failed": "tab:red"}
"""Of tasks, by how they ended; all others are grey."""


def _axes(axes: Axes | None, height: float) -> Axes:
    if axes is not None:
        return axes
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InvalidError("pictures need matplotlib", code="python.plot", remedy="pip install 'neverstop[plot]'") from None
    made = Figure(figsize=(9, height), layout="constrained").subplots()
    return made


def losses(points: Iterable[RecoveryPoint], until: datetime) -> list[tuple[datetime, float]]:
    """How many minutes of writes would have been lost, as corners of a line: it rises with time, and falls when a point is complete."""
    corners: list[tuple[datetime, float]] = []
    newest: datetime | None = None
    for point in sorted(points, key=lambda p: p.complete_at):
        if newest is not None:
            corners.append((point.complete_at, _minutes(point.complete_at - newest)))
        newest = point.taken_at if newest is None else max(newest, point.taken_at)
        corners.append((point.complete_at, _minutes(point.complete_at - newest)))
    if newest is not None and until > corners[-1][0]:
        corners.append((until, _minutes(until - newest)))
    return corners


def _minutes(age: timedelta) -> float:
    return age.total_seconds() / 60


def rpo(group: ProtectionGroup, points: Iterable[RecoveryPoint], *, until: datetime | None = None, axes: Axes | None = None) -> Axes:
    """Draws how much would have been lost over time, and what the group's objective allows.

    Args:
        group: the group.
        points: its recovery points: ``dr.points.list(group)``. What retention removed is not known any more.
        until: where the line ends; now when not given.
        axes: where to draw.

    Raises:
        ``InvalidError`` without matplotlib.
    """
    drawn = _axes(axes, 3)
    corners = losses(points, until or datetime.now(timezone.utc))
    drawn.plot([at for at, _ in corners], [lost for _, lost in corners], label="would have been lost")  # type: ignore[arg-type]
    drawn.axhline(group.rpo_minutes, color="tab:red", linestyle="--", label=f"objective: {group.rpo_minutes} min")
    drawn.set_ylim(bottom=0)
    drawn.set_ylabel("minutes")
    drawn.set_title(f"Recovery point of {group.name}")
    drawn.legend()
    return drawn


def time_line(report: RecoveryReport, *, axes: Axes | None = None) -> Axes:
    """Draws when the tasks of a job ran: what failed is red.

    Args:
        report: the job's report, ``job.report()``.
        axes: where to draw.

    Raises:
        ``InvalidError`` without matplotlib.
    """
    ran = [task for task in report.facts.tasks if task.started_at is not None and task.ended_at is not None]
    drawn = _axes(axes, 1 + 0.22 * len(ran))
    start = min((task.started_at for task in ran if task.started_at), default=None)
    for row, task in enumerate(sorted(ran, key=lambda t: (t.started_at, t.ended_at, t.key))):
        if start is None or task.started_at is None or task.ended_at is None:
            continue
        begun, took = (task.started_at - start).total_seconds(), (task.ended_at - task.started_at).total_seconds()
        drawn.barh(row, took, left=begun, color=COLOURS.get(task.status, "tab:gray"))
        drawn.annotate(f" {task.phase}: {task.key}", (begun + took, row), va="center", fontsize="x-small")
    drawn.invert_yaxis()
    drawn.set_yticks([])
    drawn.set_xlabel("seconds" if start is None else f"seconds since {start:%Y-%m-%d %H:%M:%S} UTC")
    drawn.set_title(f"Job {report.facts.job.id}")
    return drawn
