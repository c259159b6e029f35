"""What the faces for threads and for asyncio share."""

from __future__ import annotations

import dataclasses
import getpass
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from . import _logs, _native
from ._values import dumps
from .exceptions import InvalidError, JobFailedError
from .model import Actor, HalfConnection, JobState, JobSummary, JobView, Query, ResultCode, TaskStatus, UserRole

if TYPE_CHECKING:
    from ._providers import Connector
    from .sim import World

Given: TypeAlias = "list[tuple[str, bytes, Connector]]"
"""Classes of providers as the native half takes them."""


def next_page(query: Query, after: str | None) -> Query:
    """The same question for the part after another."""
    return dataclasses.replace(query, page=dataclasses.replace(query.page, after=after))


def actor_of(actor: Actor | str | None) -> Actor:
    """Who acts: an Admin of this name; of the name of whoever runs the program when nobody is named."""
    if isinstance(actor, Actor):
        return actor
    return Actor(name=actor or getpass.getuser(), role=UserRole.ADMIN)


def config(
    store: str,
    keys: str | None,
    node: str | None,
    support_contact: str | None,
    reach_fixed_ips: bool,
    settings: Mapping[str, bool | int | str] | None,
) -> bytes:
    """What the native half makes an engine of."""
    if keys is None and store.startswith("sqlite:///"):
        keys = store.removeprefix("sqlite:///") + ".keys"
    given: dict[str, object] = {
        "store": store,
        "keys": keys,
        "node": node,
        "support_contact": support_contact,
        "reach_fixed_ips": reach_fixed_ips,
    }
    if settings is not None:
        given["settings"] = settings
    return dumps(given)


def opened(given: bytes, world: World | None, brought: tuple[Given, Given]) -> _native.Engine:
    """Makes an engine, and lets it be heard."""
    _logs.start()
    return _native.open(given, world_of(world), *brought)


def world_of(world: World | None) -> _native.SimWorld | None:
    """The native half of a world."""
    return None if world is None else world._native


def half(connection: HalfConnection) -> tuple[str, list[tuple[str, str]], list[tuple[str, str]]]:
    """One half of a connection as the native half takes it."""
    secrets = [(name, text if isinstance(text, str) else text.reveal()) for name, text in connection.secrets.items()]
    return connection.kind, list(connection.settings.items()), secrets


def failure(summary: JobSummary, view: JobView) -> JobFailedError:
    """What says why a job did not succeed."""
    failed = {key: task for key, task in view.tasks.items() if task.status is TaskStatus.FAILED}
    return JobFailedError(
        f"job {summary.id} did not succeed: {len(failed)} tasks failed",
        context={key: f"{task.error.code}: {task.error.message}" for key, task in failed.items() if task.error},
        summary=summary,
    )


def succeeded(summary: JobSummary) -> bool:
    """Whether all that a job was to do is done."""
    return summary.result is ResultCode.SUCCESS and summary.state is not JobState.CLEAR_FAILED


def no_hurry(timeout: float | None) -> float | None:
    """A time to wait, in seconds."""
    if timeout is not None and not timeout >= 0:
        raise InvalidError("a time to wait is 0 or more seconds", code="python.timeout", field="timeout")
    return timeout
