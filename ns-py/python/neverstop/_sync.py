"""The parts of a session, lists and jobs, for threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic

from ._calls import failure, next_page, no_hurry, succeeded
from ._progress import shown
from ._values import R, T, dumps, entry_reader, loads
from .exceptions import WaitTimeoutError
from .model import (
    CloudId,
    Entry,
    Explanation,
    JobOperation,
    JobSummary,
    JobUpdate,
    JobView,
    Listing,
    OperationRequest,
    Query,
    RecoveryReport,
)

if TYPE_CHECKING:
    from ._native import Providers, Stream
    from ._session import Session

__all__ = ["Job", "Paged", "Part", "R"]


class Part:
    """A part of what a session can do."""

    __slots__ = ("_session",)

    def __init__(self, session: Any) -> None:
        self._session: Session = session

    def _call(
        self,
        verb: str,
        arguments: Mapping[str, object],
        answer: Any,
        providers: Providers | None = None,
        timeout: float | None = None,
    ) -> Any:
        try:
            told = self._session._native.call(verb, dumps(arguments), providers, no_hurry(timeout))
        except TimeoutError as error:
            if timeout is None or type(error) is not TimeoutError:
                raise
            raise WaitTimeoutError() from None
        return None if answer is None else loads(told, answer)

    def _stream(self, verb: str, arguments: Mapping[str, object], item: Any) -> Iterator[Any]:
        return _items(self._session._native.stream(verb, dumps(arguments)), item)


def _items(stream: Stream, item: Any) -> Iterator[Any]:
    while (told := stream.next()) is not None:
        yield loads(told, item)


class Paged(Generic[T]):
    """A list that is read part by part, as it is gone through. Going through it again asks again."""

    __slots__ = ("_arguments", "_item", "_part", "_verb", "query")

    def __init__(self, part: Part, verb: str, arguments: Mapping[str, object], query: Query, item: Any) -> None:
        self._part, self._verb, self._arguments, self._item = part, verb, arguments, item
        self.query: Query = query
        """What is asked."""

    def page(self, after: str | None = None) -> Listing[T]:
        """One part, with the number of all: the first, or the one after another part's ``next``."""
        of: Any = Listing
        listing: Listing[T] = self._asked(after, of[self._item])
        return listing

    def _asked(self, after: str | None, of: Any) -> Any:
        query = self.query if after is None else next_page(self.query, after)
        return self._part._call(self._verb, {**self._arguments, "query": query}, of)

    def __iter__(self) -> Iterator[T]:
        read, after = entry_reader(self._item), None
        while True:
            # An entry is made when its turn comes: thousands that wait keep the garbage collector busy.
            part = self._asked(after, dict)
            yield from map(read, part["items"])
            if (after := part["next"]) is None:
                return

    def first(self) -> T | None:
        """The first entry; none when there is none."""
        return next(iter(self.page().items), None)

    def __repr__(self) -> str:
        return f"<list of {self._verb.split('.', maxsplit=1)[0]}, read as it is gone through>"


class Job:
    """A job: what it does goes on whether or not anybody holds this.

    Made by whatever begins one, or from an id by ``session.job(id)``.
    """

    __slots__ = ("_session", "id")

    def __init__(self, session: Session, id: str) -> None:
        self._session = session
        self.id: str = id
        """Its id."""

    def __repr__(self) -> str:
        return f"Job({self.id!r})"

    def _repr_html_(self) -> str:
        """How it stands, for notebooks."""
        return self.get()._repr_html_()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def get(self) -> JobSummary:
        """How it stands."""
        return self._session.jobs.get(self.id)

    def wait(self, timeout: float | None = None, *, check: bool = False, progress: bool | None = None) -> JobSummary:
        """Waits until it needs somebody or has finished, ``timeout`` seconds at most. A bar tells how far it is: with ``progress``, or when
        standard error is a terminal and the package ``rich`` is there.

        Raises:
            ``WaitTimeoutError`` when the time is over; with ``check``, ``JobFailedError`` unless it succeeded. The job itself goes on.
            ``InvalidError`` for a bar without ``rich``.
        """
        told = dumps({"id": self.id, "since": None})
        with shown(progress, lambda: self._session._native.stream("jobs.monitor", told)):
            summary = self._session.jobs.wait(self.id, timeout=timeout)
        if check and not succeeded(summary):
            raise failure(summary, self.view())
        return summary

    def watch(self, position: int = 0) -> Iterator[Entry]:
        """Its journal, entry by entry, from after a position on; ends when the job has finished. Go on later with the last one's position."""
        return self._session.jobs.watch(self.id, position)

    def monitor(self, since: int | None = None) -> Iterator[JobUpdate]:
        """First how it stands, then what changes."""
        return self._session.jobs.monitor(self.id, since)

    def view(self) -> JobView:
        """Everything its journal says."""
        return self._session.jobs.view(self.id)

    def journal(self) -> tuple[Entry, ...]:
        """Its journal, from the store."""
        return self._session.jobs.journal(self.id)

    def allowed(self) -> tuple[JobOperation, ...]:
        """What may be asked of it now."""
        return self._session.jobs.allowed(self.id)

    def explain(self, operation: JobOperation, *, reason: str = "", instances: Iterable[CloudId] = (), point: str | None = None) -> Explanation:
        """What an operation would do and lose, before anybody says yes."""
        request = OperationRequest(reason=reason, instances=frozenset(instances), point=point)
        return self._session.jobs.explain_operation(self.id, operation, request)

    def report(self) -> RecoveryReport:
        """Its report, once it has one."""
        return self._session.reports.get(self.id)

    def extend(self, minutes: int) -> JobSummary:
        """Moves its timer."""
        return self._session.jobs.extend(self.id, minutes)

    def reschedule(self, at: datetime) -> JobSummary:
        """Plans it for another time."""
        return self._session.jobs.reschedule(self.id, at)

    def delete(self, leave_resources: bool = False) -> None:
        """Deletes it."""
        self._session.jobs.delete(self.id, leave_resources)

    def operate(
        self, operation: JobOperation, *, reason: str = "", instances: Iterable[CloudId] = (), point: str | None = None
    ) -> JobSummary:
        """Asks for an operation. The job is elsewhere when this returns only if the operation takes no time: wait for it.

        Raises:
            ``RefusedError`` for what may not be asked of it now.
        """
        request = OperationRequest(reason=reason, instances=frozenset(instances), point=point)
        return self._session.jobs.operate(self.id, operation, request)

    def pause(self) -> JobSummary:
        """Pauses it; what is under way ends first."""
        return self.operate(JobOperation.PAUSE)

    def resume(self) -> JobSummary:
        """Carries on."""
        return self.operate(JobOperation.RUN)

    def cancel(self) -> JobSummary:
        """Cancels it; what was done stays until it is rolled back."""
        return self.operate(JobOperation.CANCEL)

    def rollback(self, reason: str) -> JobSummary:
        """Rolls it back to before the job. The reason is kept with the decision."""
        return self.operate(JobOperation.ROLLBACK, reason=reason)

    def confirm(self, reason: str) -> JobSummary:
        """Confirms the failover. The reason is kept with the decision."""
        return self.operate(JobOperation.CONFIRM, reason=reason)

    def retry_rollback(self) -> JobSummary:
        """Tries a failed rollback again."""
        return self.operate(JobOperation.RETRY_ROLLBACK)

    def ignore_rollback(self, reason: str) -> JobSummary:
        """Leaves what a failed rollback could not remove. The reason is kept with the decision."""
        return self.operate(JobOperation.IGNORE_ROLLBACK, reason=reason)

    def retry_confirm(self) -> JobSummary:
        """Tries a failed confirm again."""
        return self.operate(JobOperation.RETRY_CONFIRM)

    def cancel_confirm(self, reason: str) -> JobSummary:
        """Gives up a failed confirm and rolls back. The reason is kept with the decision."""
        return self.operate(JobOperation.CANCEL_CONFIRM, reason=reason)

    def retry(self, instances: Iterable[CloudId] = (), *, point: str | None = None) -> JobSummary:
        """Recovers instances again; all that failed when none is named. With ``point``, the named ones from that recovery point, whatever came of
        them before; they are not connected to a network (SM-67)."""
        return self.operate(JobOperation.RETRY, instances=instances, point=point)
