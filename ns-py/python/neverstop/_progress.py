"""A bar that tells how far a job is, on a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ._values import loads
from .exceptions import InvalidError, NeverStopError
from .model import JobUpdate

if TYPE_CHECKING:
    from rich.progress import Progress

    from ._native import Stream

SECONDS = 0.25
"""After how long without news it is looked whether anybody still waits."""


class Bar:
    """What is drawn of a job."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._line = progress.add_task("waiting", total=None)

    def show(self, update: JobUpdate) -> None:
        """How the job stands now."""
        doing = f"{_last(update.operation.value)}: {_last(update.state.value)}"
        self._progress.update(self._line, description=doing, completed=update.tasks_ended, total=update.tasks or None)


def _last(code: str) -> str:
    return code.rsplit(".", 1)[-1]


def wanted(progress: bool | None) -> Progress | None:
    """The bar to draw: none where nobody looks, or without rich, unless it was asked for."""
    if progress is False or (progress is None and not sys.stderr.isatty()):
        return None
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        if progress is None:
            return None
        raise InvalidError(
            "a bar needs the package rich", code="python.progress", field="progress", remedy="pip install 'neverstop[progress]'"
        ) from None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))


@contextmanager
def shown(progress: bool | None, begin: Callable[[], Stream]) -> Iterator[None]:
    """Draws a bar while the block waits. ``begin`` gives what is told of the job."""
    drawn = wanted(progress)
    if drawn is None:
        yield
        return
    told, over = begin(), threading.Event()

    def draw(bar: Bar) -> None:
        while not over.is_set():
            try:
                update = told.next(SECONDS)
            except TimeoutError:
                continue
            except NeverStopError:
                return  # Whoever waits for the job is told.
            if update is None:
                return
            bar.show(loads(update, JobUpdate))

    with drawn:
        painter = threading.Thread(target=draw, args=(Bar(drawn),), name="neverstop-progress")
        painter.start()
        try:
            yield
        finally:
            over.set()
            painter.join()
