"""What the engine says, in Python's ``logging``: below ``neverstop``, by the crate and the module that say it."""

from __future__ import annotations

import json
import logging
import os
import threading

from . import _native

__all__ = ["start", "stop"]

ROOT = logging.getLogger("neverstop")
# A library says nothing by itself; whoever wants to hear it has a handler.
ROOT.addHandler(logging.NullHandler())

LOOK = 1.0
"""How long a changed level may go unnoticed, in seconds."""


def _level() -> int:
    """The lowest level that any of our loggers wants."""
    known = list(logging.root.manager.loggerDict.items())
    ours = [logger for name, logger in known if name.startswith("neverstop.") and isinstance(logger, logging.Logger)]
    lowest = min(logger.getEffectiveLevel() for logger in [ROOT, *ours])
    return min(max(lowest, logging.root.manager.disable + 1, 1), 255)


def _name(target: str) -> str:
    """``ns_ceph::roles`` is ``neverstop.ceph.roles``."""
    return "neverstop." + target.removeprefix("ns_").replace("::", ".")


def _fetch() -> None:
    while (told := _native.log_lines(_level(), LOOK)) is not None:
        text, lost = told
        if lost:
            ROOT.warning("%s messages of the engine were lost: they came faster than they were taken", lost)
        for line in json.loads(text):
            logger = logging.getLogger(_name(line["target"]))
            if not logger.isEnabledFor(line["level"]):
                continue
            fields = line["fields"]
            message = " ".join([line["message"], *(f"{name}={value}" for name, value in fields.items())])
            record = logger.makeRecord(
                logger.name, line["level"], line["file"] or "", line["line"] or 0, message, (), None, extra={"neverstop": fields}
            )
            record.created = line["at"]
            record.msecs = line["at"] % 1 * 1000
            logger.handle(record)


class _Thread:
    """The thread of this process; begun with its first engine."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """In a forked process it is not there."""
        self.lock = threading.Lock()
        self.running: threading.Thread | None = None

    def start(self) -> None:
        with self.lock:
            if self.running is None:
                _native.log_lines(_level(), 0.0)  # from here on it listens
                self.running = threading.Thread(target=_fetch, name="neverstop-logs", daemon=True)
                self.running.start()

    def stop(self) -> None:
        with self.lock:
            if self.running is not None:
                _native.log_end()
                self.running.join(2.0)


_THREAD = _Thread()
os.register_at_fork(after_in_child=_THREAD.forget)
start, stop = _THREAD.start, _THREAD.stop
