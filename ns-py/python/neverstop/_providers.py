"""Providers that are written in Python, as the native half calls them: on an event loop of ours, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import os
import threading
import traceback
import typing
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from ._aio import soon
from ._values import Secret, Value, dumps, loads, reader, to_json
from .exceptions import InvalidError, NeverStopError
from .model import ErrorKind

if TYPE_CHECKING:
    from ._native import Provider as Native
    from ._ports import CloudProvider, StorageProvider

__all__ = ["Connector", "Remote", "connectors", "native_call", "native_list", "stop"]

log = logging.getLogger("neverstop.providers")

Deliver = Callable[[Any, bytes | None], None]

KINDS = frozenset(str(kind.value) for kind in ErrorKind)
"""The kinds that the engine knows; those of Python's alone say nothing to it."""


class _Loop:
    """The loop of this process; made when it is first needed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        with self.lock:
            if self.running is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=loop.run_forever, name="neverstop-providers", daemon=True)
                thread.start()
                self.running = loop, thread
            return self.running[0]

    def stop(self) -> None:
        with self.lock:
            running, self.running = self.running, None
        if running is None:
            return
        loop, thread = running
        loop.call_soon_threadsafe(lambda: loop.create_task(_end(loop)))
        thread.join(2.0)


async def _end(loop: asyncio.AbstractEventLoop) -> None:
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=1.0)
    loop.stop()


_loop = _Loop()


def _forked() -> None:
    """A thread of the parent's is not here."""
    global _loop
    _loop = _Loop()


os.register_at_fork(after_in_child=_forked)


def stop() -> None:
    """Cancels what runs and ends the loop."""
    _loop.stop()


@cache
def _takes(port: type, verb: str) -> Mapping[str, Callable[[Any], Any] | None]:
    """How what a method is given is read."""
    hints = typing.get_type_hints(getattr(port, verb))
    return {name: reader(of) for name, of in hints.items() if name != "return"}


def _given(port: type, verb: str, plain: Mapping[str, Any]) -> dict[str, Any]:
    takes = _takes(port, verb)
    return {name: value if (read := takes[name]) is None else read(value) for name, value in plain.items()}


def _plain(answer: object) -> Any:
    """The JSON form; a thing of an inventory says what it is."""
    plain = to_json(answer)
    return {"kind": answer._kind, **plain} if isinstance(answer, Value) and answer._kind else plain


def _clean(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text


def _record(error: BaseException, secrets: Iterable[str]) -> bytes:
    """An exception as the engine takes errors. A secret that it quotes is left out."""
    said: dict[str, Any]
    if isinstance(error, NeverStopError) and error.kind in KINDS:
        said = {
            "kind": error.kind,
            "code": error.code,
            "message": _clean(error.message, secrets),
            "field": error.field,
            "remedy": error.remedy and _clean(error.remedy, secrets),
            "context": [(name, _clean(str(value), secrets)) for name, value in error.context.items()],
        }
    elif isinstance(error, asyncio.CancelledError):
        said = {"kind": "canceled", "code": "python.provider", "message": "the call was cancelled"}
    else:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        said = {"kind": "internal", "code": "python.provider", "message": _clean(text, secrets)}
        trace = "".join(traceback.format_exception(error))
        log.error("%s", _clean(trace, secrets).rstrip())
    return json.dumps(said).encode()


def _secrets_in(value: object) -> list[str]:
    """The secrets that a call is given."""
    held = vars(value).values() if hasattr(value, "__dict__") else [getattr(value, name, None) for name in getattr(value, "__slots__", ())]
    return [secret.reveal() for secret in held if isinstance(secret, Secret)]


def _begin(work: Callable[[], Coroutine[Any, Any, Any]], deliver: Deliver, secrets: Iterable[str]) -> Callable[[], None]:
    """Does it on our loop, from whichever thread; gives what cancels it."""
    loop = _loop.get()
    task: asyncio.Task[None] | None = None
    given_up = False

    async def do() -> None:
        try:
            answer = await work()
        except BaseException as error:
            deliver(None, _record(error, secrets))
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            deliver(answer, None)

    def start() -> None:
        nonlocal task
        if not given_up:
            task = loop.create_task(do())

    def stop() -> None:
        nonlocal given_up
        given_up = True
        if task is not None:
            task.cancel()

    def cancel() -> None:
        # A loop that is closed has nothing to cancel.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop)

    loop.call_soon_threadsafe(start)
    return cancel


class Remote:
    """A provider or a fixture as the native half calls it: by name, with JSON."""

    def __init__(self, thing: Any, port: type, secrets: Iterable[str] = ()) -> None:
        self._thing, self._port = thing, port
        self._secrets = tuple(secrets)

    def begin(self, verb: str, args: bytes, deliver: Deliver) -> Callable[[], None]:
        """Begins a call."""
        if verb == "flow":
            asked = json.loads(args)
            return _begin(lambda: self._open(asked["verb"], asked["given"]), deliver, self._secrets)
        given = _given(self._port, verb, json.loads(args))
        secrets = [*self._secrets, *(secret for value in given.values() for secret in _secrets_in(value))]

        async def work() -> bytes:
            return json.dumps(_plain(await getattr(self._thing, verb)(**given))).encode()

        return _begin(work, deliver, secrets)

    async def _open(self, verb: str, plain: Mapping[str, Any]) -> Flow:
        made = getattr(self._thing, verb)(**_given(self._port, verb, plain))
        if inspect.isawaitable(made):
            made = await made
        return Flow(aiter(made), self._secrets)

    def at_once(self, what: str, args: bytes) -> bytes:
        """What waits for nothing: a fact, or a text that is composed."""
        found = getattr(self._thing, what)
        told = found(**_given(self._port, what, json.loads(args))) if callable(found) else found
        return json.dumps(to_json(told)).encode()


class Flow:
    """A list that is gone through, part by part."""

    def __init__(self, items: AsyncIterator[Any], secrets: Iterable[str]) -> None:
        self._items, self._secrets = items, tuple(secrets)

    def begin(self, _: str, args: bytes, deliver: Deliver) -> Callable[[], None]:
        """Begins to wait for the next part."""
        most: int = json.loads(args)["most"]

        async def work() -> bytes:
            part: list[Any] = []
            ended = False
            while len(part) < most and not ended:
                try:
                    part.append(_plain(await anext(self._items)))
                except StopAsyncIteration:
                    ended = True
            return json.dumps({"items": part, "end": ended}).encode()

        return _begin(work, deliver, self._secrets)


class Connector:
    """A class of providers as the native half connects them."""

    def __init__(self, of: type[CloudProvider] | type[StorageProvider], port: type) -> None:
        self._of, self._port = of, port

    def begin(self, _: str, args: bytes, deliver: Deliver) -> Callable[[], None]:
        """Begins to connect; gives a provider."""
        asked = json.loads(args)
        secrets: dict[str, str] = asked["secrets"]

        async def work() -> Remote:
            made = await self._of.connect(asked["settings"], {name: Secret(text) for name, text in secrets.items()})
            return Remote(made, self._port, secrets.values())

        return _begin(work, deliver, secrets.values())


def connectors(given: Iterable[type[Any]], port: type, argument: str) -> list[tuple[str, bytes, Connector]]:
    """Classes of providers as the native half takes them."""
    name = "platform" if argument == "clouds" else "kind"
    found = []
    for of in given:
        if not isinstance(of, type) or port not in of.__mro__:
            raise InvalidError(
                f"{of!r} is no subclass of {port.__name__}",
                code="python.connect",
                field=argument,
                remedy=f"give classes that are derived from neverstop.{port.__name__}",
            )
        called = getattr(of, name, None)
        if not (isinstance(called, str) and called):
            raise InvalidError(
                f"{of.__name__} does not say its {name}", code="python.connect", field=argument, remedy=f'write {name} = "…" into the class'
            )
        found.append((called, json.dumps(to_json(of.fields)).encode(), Connector(of, port)))
    return found


async def native_call(native: Native, verb: str, arguments: Mapping[str, object], answer: Any) -> Any:
    """Asks a provider of the engine's own."""
    args = dumps(arguments)
    told = await soon(lambda loop, deliver: native.call_soon(verb, args, loop, deliver))
    return None if answer is None else loads(told, answer)


async def native_list(native: Native, kinds: Iterable[object], answer: Any) -> AsyncIterator[Any]:
    """What a cloud of the engine's own lists."""
    stream = native.inventory(json.dumps(to_json(list(kinds))).encode())
    while (told := await soon(stream.next_soon)) is not None:
        yield loads(told, answer)
