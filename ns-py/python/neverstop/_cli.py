"""The command line ``neverstop``: the daily verbs of an operator.

The store is named by ``--store`` or ``NEVERSTOP_STORE``, the file with the keys by ``--keys`` or ``NEVERSTOP_KEYS``. A command that begins
something waits for it, and runs the engine meanwhile; what a service runs on the same store needs another ``--node``.

Exit codes: 0 done; 1 an error of the engine; 2 wrong arguments; 3 the job did not succeed, the plan is not ready, or something is not well;
4 a confirmation was not given; 5 the time to wait was over; 130 interrupted (a job that was begun goes on).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from . import _values
from ._query import where
from ._session import Session, connect
from ._sync import Job
from .exceptions import JobFailedError, NeverStopError, NotFoundError, WaitTimeoutError
from .model import (
    Entry,
    EventDecided,
    EventNoted,
    EventOutcome,
    EventPlanned,
    EventProgress,
    EventSkipped,
    EventTransition,
    ForceRight,
    JobOperation,
    JobRequest,
    PlanStatus,
    ProtectionGroup,
    RecoveryPlan,
    TaskResultFailed,
    WorkRecovery,
)

DONE, FAILED, USAGE, NOT_WELL, NOT_CONFIRMED, LATE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


class Refused(Exception):
    """Somebody did not confirm."""


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; gives the exit code."""
    given = _parser().parse_args(arguments)
    try:
        with connect(given.store, actor=given.actor, keys=given.keys, node=given.node, start=given.start) as dr:
            code: int = given.run(dr, given)
            return code
    except NeverStopError as error:
        return _told(error, given.json)
    except Refused as error:
        print(error, file=sys.stderr)
        return NOT_CONFIRMED
    except KeyboardInterrupt:
        print("interrupted; a job that was begun goes on with the next engine", file=sys.stderr)
        return INTERRUPTED


def _told(error: NeverStopError, as_json: bool) -> int:
    if as_json:
        said = {
            "kind": error.kind,
            "code": error.code,
            "message": error.message,
            "field": error.field,
            "remedy": error.remedy,
            "context": error.context,
        }
        print(json.dumps({"error": said}, ensure_ascii=False), file=sys.stderr)
    else:
        print(f"neverstop: {error}", file=sys.stderr)
    if isinstance(error, WaitTimeoutError):
        return LATE
    return NOT_WELL if isinstance(error, JobFailedError) else FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="neverstop",
        description="Disaster recovery of virtual machines between clouds.",
        epilog=(__doc__ or "").split("\n\n", 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # Before the command or after it: there they count when they are given.
    everywhere = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    for options in (parser, everywhere):
        options.add_argument("--store", help="sqlite:///FILE or postgresql://…")
        options.add_argument("--keys", help="the file with the keys of stored connections")
        options.add_argument("--actor", help="who acts; you when nobody is named")
        options.add_argument("--node", help="the name of this engine among those on the store")
        options.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(store=os.environ.get("NEVERSTOP_STORE"), keys=os.environ.get("NEVERSTOP_KEYS"), node=f"cli-{os.getpid()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Session, Any], int], about: str, start: bool = False) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about, parents=[everywhere])
        made.set_defaults(run=run, start=start)
        return made

    command("status", _status, "clusters, groups and jobs, and what is not well")
    plan = command("plan", _plan, "whether a plan is ready")
    plan.add_argument("action", choices=["check"])
    plan.add_argument("plan", help="its id or name, or its group's")
    drill = command("drill", _drill, "rehearses a recovery in networks of its own, then cleans up", start=True)
    drill.add_argument("--keep", action="store_true", help="leave it for a look; roll it back later")
    failover = command("failover", _failover, "recovers on the other cloud", start=True)
    failover.add_argument("--yes", metavar="GROUP", help="the group's name, in place of typing it")
    failover.add_argument("--force", metavar="REASON", help="although the source cannot be shown to have stopped")
    for recovery in (drill, failover):
        recovery.add_argument("group", help="id or name")
        recovery.add_argument("--dry-run", action="store_true", help="only tell what would be done and lost")
        recovery.add_argument("--timeout", type=float, help="seconds to wait for the job")
    whose = "its id, or a group's id or name for the newest recovery"
    for name, does in (("confirm", "confirms"), ("rollback", "rolls back")):
        end = command(name, _end, f"{does} a job whose recovery has ended", start=True)
        end.add_argument("job", help=whose)
        end.add_argument("--reason", required=True, help="kept with the decision")
        end.add_argument("--timeout", type=float, help="seconds to wait for the job")
    watch = command("watch", _watch, "what happens to a job, as it happens")
    watch.add_argument("job", help=whose)
    watch.add_argument("--position", type=int, default=0, help="go on after this entry")
    report = command("report", _report, "the report of a finished job")
    report.add_argument("job", help=whose)
    report.add_argument("--html", metavar="FILE", help="write it as a page")
    return _with_store(parser)


def _with_store(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parse = parser.parse_args

    def checked(*given: Any, **named: Any) -> Any:
        found = parse(*given, **named)
        if not found.store:
            parser.error("say which store: --store or NEVERSTOP_STORE")
        return found

    parser.parse_args = checked  # type: ignore[method-assign]
    return parser


def _show(given: Any, value: Any, text: str | None = None) -> None:
    if given.json:
        print(json.dumps(_values.to_json(value), ensure_ascii=False))
    else:
        print(text if text is not None else value)


def _group(dr: Session, named: str) -> ProtectionGroup:
    found = [g for g in dr.protection_groups.list() if named in (g.id, g.name)]
    if len(found) != 1:
        raise NotFoundError(
            f"{len(found)} groups are called {named}", code="cli.group", field="group", remedy="name one, or give its id"
        )
    return found[0]


def _plan_of(dr: Session, group: ProtectionGroup) -> RecoveryPlan:
    found = next((p for p in dr.plans.list() if p.group_id == group.id), None)
    if found is None:
        raise NotFoundError(f"group {group.name} has no plan", code="cli.plan", field="group", remedy="make one")
    return found


def _job(dr: Session, named: str) -> Job:
    """A job by its id, or the newest recovery of a group."""
    groups = [g for g in dr.protection_groups.list() if named in (g.id, g.name)]
    if len(groups) != 1:
        return dr.job(named)
    jobs = dr.jobs.list(where(group_id=groups[0].id, sort="-created_at"))
    found = next((job.id for job in jobs if isinstance(job.work, WorkRecovery)), None)
    if found is None:
        raise NotFoundError(
            f"group {named} has had neither a drill nor a failover", code="cli.job", field="job", remedy="name a job by its id"
        )
    return dr.job(found)


def _age(seconds: int) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit} old"
    return f"{seconds} s old"


def _status(dr: Session, given: Any) -> int:
    dr.engine.reconnect()
    health = dr.health.report()
    lines = [str(health)]
    lines += [f"cluster {c.name}: cloud {_answers(c.cloud_answers)}, storage {_answers(c.storage_answers)}" for c in health.clusters]
    for group in health.groups:
        age = "none" if group.point_age_seconds is None else _age(group.point_age_seconds)
        lines.append(f"group {group.name}: plan {group.plan_status or 'not known'}, newest recovery point {age}")
    lines += [str(j) for j in dr.jobs.list() if j.state.value.rsplit(".", 1)[-1] != "finished"]
    _show(given, health, "\n".join(lines))
    return NOT_WELL if health.findings else DONE


def _answers(does: bool) -> str:
    return "answers" if does else "does not answer"


def _plan(dr: Session, given: Any) -> int:
    dr.engine.reconnect()
    plan = next((p for p in dr.plans.list() if given.plan in (p.id, p.name)), None) or _plan_of(dr, _group(dr, given.plan))
    assessment = dr.plans.assess(plan)
    _show(given, assessment)
    return DONE if assessment.status is PlanStatus.NORMAL else NOT_WELL


def _drill(dr: Session, given: Any) -> int:
    group = _group(dr, given.group)
    request = JobRequest.drill(group, _plan_of(dr, group))
    if given.dry_run:
        return _explain(dr, given, request)
    job = dr.jobs.create(request)
    _name(job, given)
    try:
        summary = job.wait(given.timeout, check=True)
    finally:
        if not given.keep and JobOperation.ROLLBACK in job.allowed():
            job.rollback("the drill is over")
            job.wait(given.timeout)
    _show(given, {"job": summary, "report": None if given.keep else job.report()}, str(summary if given.keep else job.report()))
    return DONE


def _failover(dr: Session, given: Any) -> int:
    group = _group(dr, given.group)
    force = None
    if given.force:
        force = ForceRight(operator=dr.actor.name, reason=given.force, accepts_data_loss=True)
    request = JobRequest.failover(group, _plan_of(dr, group), force=force)
    if given.dry_run:
        return _explain(dr, given, request)
    told = dr.jobs.explain(request)
    print(told, file=sys.stderr)
    typed = given.yes
    if typed is None:
        if not sys.stdin.isatty():
            raise Refused("not confirmed: type the group's name at a terminal, or give it with --yes")
        print(f"Type the group's name, {group.name}, to fail over: ", end="", file=sys.stderr, flush=True)
        typed = sys.stdin.readline().strip()
    if typed != group.name:
        raise Refused(f"not confirmed: {typed!r} is not {group.name!r}; nothing was done")
    job = dr.jobs.create(request)
    _name(job, given)
    _show(given, job.wait(given.timeout, check=True))
    return DONE


def _explain(dr: Session, given: Any, request: JobRequest) -> int:
    told = dr.jobs.explain(request)
    _show(given, told)
    return NOT_WELL if told.refusals else DONE


def _end(dr: Session, given: Any) -> int:
    job = _job(dr, given.job)
    if given.command == "confirm":
        job.confirm(given.reason)
    else:
        job.rollback(given.reason)
    _name(job, given)
    summary = job.wait(given.timeout)
    _show(given, summary)
    return DONE if summary.state.value.endswith(".finished") else NOT_WELL


def _watch(dr: Session, given: Any) -> int:
    for entry in _job(dr, given.job).watch(given.position):
        if given.json:
            _show(given, entry)
        elif line := _line(entry):
            print(line, flush=True)
    return DONE


def _report(dr: Session, given: Any) -> int:
    job = _job(dr, given.job)
    if given.html:
        page = dr.reports.html(job)
        with open(given.html, "w", encoding="utf-8") as file:
            file.write(page)
    _show(given, job.report())
    return DONE


def _name(job: Job, given: Any) -> None:
    """Tells which job it is, so that it can be found again whatever becomes of this program."""
    if not given.json:
        print(f"job {job.id}", file=sys.stderr, flush=True)


def _line(entry: Entry) -> str | None:
    event, at = entry.event, f"{entry.at:%H:%M:%S} {entry.position:>5}"
    if isinstance(event, EventTransition):
        return f"{at} {event.from_.value.rsplit('.', 1)[-1]} -> {event.to.value.rsplit('.', 1)[-1]}"
    if isinstance(event, EventPlanned):
        return f"{at} planned {event.phase}: {len(event.graph.tasks)} tasks"
    if isinstance(event, EventOutcome):
        failed = f": {event.result.error.message}" if isinstance(event.result, TaskResultFailed) else ""
        return f"{at} {event.result.result:<6} {event.task}{failed}"
    if isinstance(event, EventProgress):
        return f"{at} {event.task}: {event.message}" + ("" if event.percent is None else f" {event.percent} %")
    if isinstance(event, EventSkipped):
        return f"{at} skipped {event.task}: {event.because}"
    if isinstance(event, EventDecided):
        return f"{at} decided by {event.operator}: {event.kind} ({event.reason})"
    if isinstance(event, EventNoted):
        return f"{at} {event.message}"
    return None
