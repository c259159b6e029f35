"""The parts of a session, lists and jobs, for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic

from ._calls import failure, next_page, no_hurry, succeeded
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
    from ._native import Providers, Pending, Stream
    from .aio import Session as AsyncSession

__all__ = ["AsyncJob", "AsyncPaged", "AsyncPart", "R"]


async def soon(begin: Callable[[asyncio.AbstractEventLoop, Callable[[Any, Any], None]], Pending]) -> Any:
    """Waits for the native half on the running loop. Whoever is cancelled stops waiting; what was begun goes on."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[Any] = loop.create_future()

    def deliver(answer: Any, error: BaseException | None) -> None:
        if waiting.done():
            return
        if error is None:
            waiting.set_result(answer)
        else:
            waiting.set_exception(error)

    pending = begin(loop, deliver)
    try:
        return await waiting
    except asyncio.CancelledError:
        pending.abandon()
        raise


class AsyncPart:
    """A part of what a session can do."""

    __slots__ = ("_session",)

    def __init__(self, session: Any) -> None:
        self._session: AsyncSession = session

    async def _call(
        self,
        verb: str,
        arguments: Mapping[str, object],
        answer: Any,
        providers: Providers | None = None,
        timeout: float | None = None,
    ) -> Any:
        native, args = self._session._native, dumps(arguments)
        try:
            async with asyncio.timeout(no_hurry(timeout)) as limit:
                told = await soon(lambda loop, deliver: native.call_soon(verb, args, loop, deliver, providers))
        except TimeoutError:
            if not limit.expired():
                raise
            raise WaitTimeoutError() from None
        return None if answer is None else loads(told, answer)

    def _stream(self, verb: str, arguments: Mapping[str, object], item: Any) -> AsyncIterator[Any]:
        return _items(self._session._native.stream(verb, dumps(arguments)), item)


async def _items(stream: Stream, item: Any) -> AsyncIterator[Any]:
    while (told := await soon(stream.next_soon)) is not None:
        yield loads(told, item)


class AsyncPaged(Generic[T]):
    """A list that is read part by part, as it is gone through. Going through it again asks again."""

    __slots__ = ("_arguments", "_item", "_part", "_verb", "query")

    def __init__(self, part: AsyncPart, verb: str, arguments: Mapping[str, object], query: Query, item: Any) -> None:
        self._part, self._verb, self._arguments, self._item = part, verb, arguments, item
        self.query: Query = query
        """What is asked."""

    async def page(self, after: str | None = None) -> Listing[T]:
        """One part, with the number of all: the first, or the one after another part's ``next``."""
        of: Any = Listing
        listing: Listing[T] = await self._asked(after, of[self._item])
        return listing

    async def _asked(self, after: str | None, of: Any) -> Any:
        query = self.query if after is None else next_page(self.query, after)
        return await self._part._call(self._verb, {**self._arguments, "query": query}, of)

    async def __aiter__(self) -> AsyncIterator[T]:
        read, after = entry_reader(self._item), None
        while True:
            # An entry is made when its turn comes: thousands that wait keep the garbage collector busy.
            part = await self._asked(after, dict)
            for entry in map(read, part["items"]):
                yield entry
            if (after := part["next"]) is None:
                return

    async def first(self) -> T | None:
        """The first entry; none when there is none."""
        return next(iter((await self.page()).items), None)

    def __repr__(self) -> str:
        return f"<list of {self._verb.split('.', maxsplit=1)[0]}, read as it is gone through>"


class AsyncJob:
    """A job: what it does goes on whether or not anybody holds this.

    Made by whatever begins one, or from an id by ``session.job(id)``.
    """

    __slots__ = ("_session", "id")

    def __init__(self, session: AsyncSession, id: str) -> None:
        self._session = session
        self.id: str = id
        """Its id."""

    def __repr__(self) -> str:
        return f"AsyncJob({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncJob) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    async def get(self) -> JobSummary:
        """How it stands."""
        return await self._session.jobs.get(self.id)

    async def wait(self, timeout: float | None = None, *, check: bool = False) -> JobSummary:
        """Waits until it needs somebody or has finished, ``timeout`` seconds at most.

        Raises:
            ``WaitTimeoutError`` when the time is over; with ``check``, ``JobFailedError`` unless it succeeded. The job itself goes on.
        """
        summary = await self._session.jobs.wait(self.id, timeout=timeout)
        if check and not succeeded(summary):
            raise failure(summary, await self.view())
        return summary

    def watch(self, position: int = 0) -> AsyncIterator[Entry]:
        """Its journal, entry by entry, from after a position on; ends when the job has finished. Go on later with the last one's position."""
        return self._session.jobs.watch(self.id, position)

    def monitor(self, since: int | None = None) -> AsyncIterator[JobUpdate]:
        """First how it stands, then what changes."""
        return self._session.jobs.monitor(self.id, since)

    async def view(self) -> JobView:
        """Everything its journal says."""
        return await self._session.jobs.view(self.id)

    async def journal(self) -> tuple[Entry, ...]:
        """Its journal, from the store."""
        return await self._session.jobs.journal(self.id)

    async def allowed(self) -> tuple[JobOperation, ...]:
        """What may be asked of it now."""
        return await self._session.jobs.allowed(self.id)

    async def explain(self, operation: JobOperation, *, reason: str = "", instances: Iterable[CloudId] = (), point: str | None = None) -> Explanation:
        """What an operation would do and lose, before anybody says yes."""
        request = OperationRequest(reason=reason, instances=frozenset(instances), point=point)
        return await self._session.jobs.explain_operation(self.id, operation, request)

    async def report(self) -> RecoveryReport:
        """Its report, once it has one."""
        return await self._session.reports.get(self.id)

    async def extend(self, minutes: int) -> JobSummary:
        """Moves its timer."""
        return await self._session.jobs.extend(self.id, minutes)

    async def reschedule(self, at: datetime) -> JobSummary:
        """Plans it for another time."""
        return await self._session.jobs.reschedule(self.id, at)

    async def delete(self, leave_resources: bool = False) -> None:
        """Deletes it."""
        await self._session.jobs.delete(self.id, leave_resources)

    async def operate(
        self, operation: JobOperation, *, reason: str = "", instances: Iterable[CloudId] = (), point: str | None = None
    ) -> JobSummary:
        """Asks for an operation. The job is elsewhere when this returns only if the operation takes no time: wait for it.

        Raises:
            ``RefusedError`` for what may not be asked of it now.
        """
        request = OperationRequest(reason=reason, instances=frozenset(instances), point=point)
        return await self._session.jobs.operate(self.id, operation, request)

    async def pause(self) -> JobSummary:
        """Pauses it; what is under way ends first."""
        return await self.operate(JobOperation.PAUSE)

    async def resume(self) -> JobSummary:
        """Carries on."""
        return await self.operate(JobOperation.RUN)

    async def cancel(self) -> JobSummary:
        """Cancels it; what was done stays until it is rolled back."""
        return await self.operate(JobOperation.CANCEL)

    async def rollback(self, reason: str) -> JobSummary:
        """Rolls it back to before the job. The reason is kept with the decision."""
        return await self.operate(JobOperation.ROLLBACK, reason=reason)

    async def confirm(self, reason: str) -> JobSummary:
        """Confirms the failover. The reason is kept with the decision."""
        return await self.operate(JobOperation.CONFIRM, reason=reason)

    async def retry_rollback(self) -> JobSummary:
        """Tries a failed rollback again."""
        return await self.operate(JobOperation.RETRY_ROLLBACK)

    async def ignore_rollback(self, reason: str) -> JobSummary:
        """Leaves what a failed rollback could not remove. The reason is kept with the decision."""
        return await self.operate(JobOperation.IGNORE_ROLLBACK, reason=reason)

    async def retry_confirm(self) -> JobSummary:
        """Tries a failed confirm again."""
        return await self.operate(JobOperation.RETRY_CONFIRM)

    async def cancel_confirm(self, reason: str) -> JobSummary:
        """Gives up a failed confirm and rolls back. The reason is kept with the decision."""
        return await self.operate(JobOperation.CANCEL_CONFIRM, reason=reason)

    async def retry(self, instances: Iterable[CloudId] = (), *, point: str | None = None) -> JobSummary:
        """Recovers instances again; all that failed when none is named. With ``point``, the named ones from that recovery point, whatever came of
        them before; they are not connected to a network (SM-67)."""
        return await self.operate(JobOperation.RETRY, instances=instances, point=point)
