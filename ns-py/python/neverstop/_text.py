"""Values that people read as text: what ``str()`` and ``print()`` give of them."""

from __future__ import annotations

from .model import Explanation, HealthReport, JobSummary, PlanAssessment, RecoveryReport, WorkRecovery
from ._values import Value


def of(value: Value) -> str | None:
    """The text; none for a value that has none of its own."""
    if isinstance(value, Explanation):
        return _explanation(value)
    if isinstance(value, PlanAssessment):
        reasons = [f"  {r.status}: {r.message}; {r.remedy}" for r in value.reasons]
        return "\n".join([f"plan is {value.status}", *reasons])
    if isinstance(value, HealthReport):
        findings = [f"  {f.severity} {f.about} {f.id}: {f.message}; {f.remedy}" for f in value.findings]
        return "\n".join([f"worst finding: {value.worst}" if value.worst else "all is well", *findings])
    if isinstance(value, JobSummary):
        result = f", {value.result.value.rsplit('.', 1)[-1]}" if value.result else ""
        kind = value.work.job_type if isinstance(value.work, WorkRecovery) else value.work.work
        return f"{kind} {value.id}: {value.state.value.rsplit('.', 1)[-1]}{result}"
    if isinstance(value, RecoveryReport):
        return _report(value)
    return None


def _explanation(told: Explanation) -> str:
    lines = [f"{told.kind}, {len(told.steps)} steps"]
    lines += [f"  {step.effect:<8} {step.sentence}" for step in told.steps]
    lines += [f"  {fact}" for fact in told.evidence]
    for loss in told.loss:
        since = "how much is not known" if loss.lost_seconds is None else f"the last {loss.lost_seconds} s"
        size = "" if loss.lost_bytes is None else f", {loss.lost_bytes} bytes"
        lines.append(f"  volume {loss.volume_id} would lack writes: {since}{size}")
    total = told.duration.total
    if total is not None:
        low, middle, high = (round(ms / 1000) for ms in (total.low_ms, total.expected_ms, total.high_ms))
        lines.append(f"  expected to take {middle} s ({low} to {high} s)")
    elif told.duration.unknown:
        lines.append(f"  how long it takes is not known: no {', '.join(told.duration.unknown)} so far")
    lines += [f"  refused now, {r.code}: {r.message}; {r.remedy or '-'}" for r in told.refusals]
    return "\n".join(lines)


def _report(report: RecoveryReport) -> str:
    facts = report.facts
    lines = [f"report of job {facts.job.id}"]
    lines += [f"  instance {i.name}: {i.state}" for i in facts.instances]
    lines += [f"  left behind: {left}" for left in facts.leftovers]
    return "\n".join(lines)
