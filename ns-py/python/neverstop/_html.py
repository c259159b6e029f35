"""Values as tables, for notebooks."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from ._values import Listing, Value, _brief, _differing

DEPTH = 3
"""How deep tables stand in tables; what lies deeper is told in a line."""
ROWS = 100
"""How many entries are shown of many."""
OPEN = 8
"""Up to so many entries are shown without being asked for."""


def of(value: Value | Listing[Any]) -> str:
    """The table of a value."""
    if isinstance(value, Listing):
        return _many(value.items, value.total, 0)
    return _one(value, type(value).__name__, 0)


def _one(value: Value, caption: str | None, depth: int) -> str:
    head = "" if caption is None else f"<caption>{html.escape(caption)}</caption>"
    return f"<table>{head}{_rows(_differing(value), depth)}</table>"


def _rows(named: Iterable[tuple[object, object]], depth: int) -> str:
    left = "style='text-align:left'"
    return "".join(f"<tr><th {left}>{_cell(name, DEPTH)}</th><td {left}>{_cell(value, depth + 1)}</td></tr>" for name, value in named)


def _cell(value: object, depth: int) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return html.escape(str(value))
    if depth < DEPTH:
        if isinstance(value, Value):
            return _one(value, None, depth) if any(True for _ in _differing(value)) else html.escape(type(value).__name__)
        if isinstance(value, Mapping):
            table = f"<table>{_rows(islice(value.items(), ROWS), depth)}</table>"
            return _folded(table, len(value)) if value else ""
        if isinstance(value, tuple | frozenset | list):
            return _many(tuple(value), len(value), depth) if value else ""
    return html.escape(_brief(value))


def _many(entries: tuple[Any, ...], total: int, depth: int) -> str:
    """Values of one kind are a table with a row for each; anything else is a line each."""
    if entries and all(isinstance(entry, Value) and type(entry) is type(entries[0]) for entry in entries):
        shown = [dict(_differing(entry)) for entry in entries[:ROWS]]
        names = [field.name for field in dataclasses.fields(entries[0]) if any(field.name in row for row in shown)]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        rows = ("".join(f"<td style='text-align:left'>{_cell(row.get(name), depth + 1)}</td>" for name in names) for row in shown)
        table = f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
    else:
        table = "<br>".join(_cell(entry, depth + 1) for entry in entries[:ROWS])
    return _folded(table, total)


def _folded(table: str, count: int) -> str:
    """Much is shown when somebody clicks on it."""
    more = f"<br>… and {count - ROWS} more" if count > ROWS else ""
    if count <= OPEN:
        return table
    return f"<details><summary>{count} entries</summary>{table}{more}</details>"
