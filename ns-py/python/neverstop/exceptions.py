"""Why something did not happen, and what to do about it.

Every error of the engine is a :class:`NeverStopError`; its subclasses are made by kind, so that ``except NotFoundError`` catches what its
name says. A program acts on the class or on ``kind``, one that shows errors in its own language on ``code``; a person reads ``message``
and ``remedy``. Nothing secret is in any of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from .model import JobSummary

__all__ = [
    "CanceledError",
    "CauseError",
    "ConflictError",
    "CorruptError",
    "DeniedError",
    "ForkError",
    "InternalError",
    "InvalidError",
    "JobFailedError",
    "NeverStopError",
    "NotFoundError",
    "QuotaError",
    "RefusedError",
    "RejectedError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnknownOutcomeError",
    "UnsupportedError",
    "WaitTimeoutError",
]


_E = TypeVar("_E", bound="NeverStopError")


class NeverStopError(Exception):
    """An error of the engine."""

    kind: str
    """The kind of failure: what to act on."""
    code: str
    """The stable, dotted code, e.g. ``plan.status``."""
    message: str
    """What happened, in one sentence."""
    field: str | None
    """The input field that is wrong, if one is."""
    remedy: str | None
    """What to do, if known."""
    context: dict[str, str]
    """Facts: ids of the things it is about, the request id of a service."""

    _KIND: ClassVar[str] = "internal"

    def __init__(
        self,
        message: str,
        *,
        code: str = "python.error",
        kind: str | None = None,
        field: str | None = None,
        remedy: str | None = None,
        context: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind or self._KIND
        self.code = code
        self.message = message
        self.field = field
        self.remedy = remedy
        self.context = dict(context or {})

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later without anybody changing anything."""
        return self.kind in ("unavailable", "timeout")

    @property
    def request_id(self) -> str | None:
        """The id that a service gave the request which failed, for its log; none when no service was asked or it gave none."""
        return self.context.get("request_id")

    def __str__(self) -> str:
        facts = [f"field {self.field}"] if self.field else []
        facts += [f"{name}={value}" for name, value in self.context.items()]
        told = f"{self.message} [{self.code}]" + (f" ({', '.join(facts)})" if facts else "")
        return f"{told}; {self.remedy}" if self.remedy else told

    def __reduce__(self) -> tuple[Any, ...]:
        says = (self.message, self.code, self.kind, self.field, self.remedy, self.context)
        return (_again, (type(self), *says, _texts(self.__cause__)))


class CauseError(Exception):
    """What lies below an error of the engine, as text: the ``__cause__`` of the one above."""


class InvalidError(NeverStopError, ValueError):
    """The input breaks a rule of form. Nothing was touched."""

    _KIND = "invalid"


class RefusedError(NeverStopError):
    """A rule of the product forbids it in the present state. Nothing was touched."""

    _KIND = "refused"


class NotFoundError(NeverStopError, LookupError):
    """The thing does not exist, or is not the actor's to see."""

    _KIND = "not_found"


class ConflictError(NeverStopError):
    """The thing exists already, is in use, or was changed by somebody else meanwhile."""

    _KIND = "conflict"


class UnauthenticatedError(NeverStopError, PermissionError):
    """The credentials are wrong or no longer accepted."""

    _KIND = "unauthenticated"

    def __str__(self) -> str:
        return NeverStopError.__str__(self)


class DeniedError(NeverStopError, PermissionError):
    """The credentials are accepted but lack a right."""

    _KIND = "denied"

    def __str__(self) -> str:
        return NeverStopError.__str__(self)


class QuotaError(NeverStopError):
    """A quota or the capacity of the cloud is exhausted."""

    _KIND = "quota"


class UnavailableError(NeverStopError, ConnectionError):
    """The service cannot be reached or is not able to answer now; the same call may succeed later."""

    _KIND = "unavailable"

    def __str__(self) -> str:
        return NeverStopError.__str__(self)


class UnknownOutcomeError(NeverStopError, TimeoutError):
    """A service did not answer in time. The outcome of the call is not known: look before doing it again."""

    _KIND = "timeout"

    def __str__(self) -> str:
        return NeverStopError.__str__(self)


class RejectedError(NeverStopError):
    """The service understood and declined for good; repeating is useless."""

    _KIND = "rejected"


class UnsupportedError(NeverStopError):
    """The provider has not got this capability."""

    _KIND = "unsupported"


class CanceledError(NeverStopError):
    """The caller cancelled."""

    _KIND = "canceled"


class CorruptError(NeverStopError):
    """Stored data does not verify: a broken hash chain, an unreadable record."""

    _KIND = "corrupt"


class InternalError(NeverStopError):
    """A fault of NeverStop."""

    _KIND = "internal"


class WaitTimeoutError(NeverStopError, TimeoutError):
    """The time that was given for waiting is over. Nothing happened to what was waited for: it goes on."""

    _KIND = "wait_timeout"

    def __init__(self, message: str = "the time to wait is over", **says: Any) -> None:
        says.setdefault("code", "python.wait_timeout")
        says.setdefault("remedy", "wait again, or look how far it is; what was begun goes on")
        super().__init__(message, **says)

    def __str__(self) -> str:
        return NeverStopError.__str__(self)


class JobFailedError(NeverStopError):
    """A job that was waited for with ``check=True`` did not succeed. ``context`` has the error of each failed task by its key."""

    _KIND = "job_failed"

    summary: JobSummary | None
    """The job as it was seen last."""

    def __init__(self, message: str, *, summary: JobSummary | None = None, **says: Any) -> None:
        says.setdefault("code", "python.job_failed")
        says.setdefault("remedy", "see job.view() and job.allowed(): it can be retried or rolled back")
        super().__init__(message, **says)
        self.summary = summary

    def __reduce__(self) -> tuple[Any, ...]:
        return (*super().__reduce__(), {"summary": self.summary})


class ForkError(NeverStopError):
    """An engine is used in a process that was forked from the one that made it. Its threads and connections stayed there."""

    _KIND = "fork"

    def __init__(self, message: str = "this was made before the process was forked", **says: Any) -> None:
        says.setdefault("code", "python.fork")
        says.setdefault("remedy", "connect in the child process, after the fork, or let multiprocessing spawn its processes")
        super().__init__(message, **says)


_CLASSES: dict[str, type[NeverStopError]] = {
    c._KIND: c
    for c in (
        InvalidError,
        RefusedError,
        NotFoundError,
        ConflictError,
        UnauthenticatedError,
        DeniedError,
        QuotaError,
        UnavailableError,
        UnknownOutcomeError,
        RejectedError,
        UnsupportedError,
        CanceledError,
        CorruptError,
        InternalError,
    )
}


def _from_record(
    kind: str,
    code: str,
    message: str,
    field: str | None,
    remedy: str | None,
    context: list[tuple[str, str]],
    causes: list[str],
) -> NeverStopError:
    """The exception of an error; a kind that is not known yet is a plain :class:`NeverStopError`."""
    made = _CLASSES.get(kind, NeverStopError)(
        message, code=code, kind=kind, field=field, remedy=remedy, context=dict(context)
    )
    made.__cause__ = _chain(causes)
    return made


def _chain(texts: list[str]) -> CauseError | None:
    cause: CauseError | None = None
    for text in reversed(texts):
        above = CauseError(text)
        above.__cause__ = cause
        cause = above
    return cause


def _texts(cause: BaseException | None) -> list[str]:
    texts: list[str] = []
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__
    return texts


def _again(
    of: type[_E],
    message: str,
    code: str,
    kind: str,
    field: str | None,
    remedy: str | None,
    context: dict[str, str],
    causes: list[str],
) -> _E:
    made = of(message, code=code, kind=kind, field=field, remedy=remedy, context=context)
    made.__cause__ = _chain(causes)
    return made
