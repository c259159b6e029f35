"""Questions to lists, in the words of Python."""

from __future__ import annotations

from collections.abc import Iterable

from ._values import to_json
from .model import Condition, Is, IsAbsent, IsContaining, IsOneOf, Page, Query, SortKey


def where(
    *,
    search: str | None = None,
    sort: str | Iterable[str] = (),
    limit: int = 100,
    after: str | None = None,
    **conditions: object,
) -> Query:
    """A question to a list: which entries, in which order, how many at a time.

    A condition is a field's name and what it is to be: one value, several of which it is to be one, none for a field that there is not, or
    an ``Is…`` value. ``search`` is text that the name holds, or a whole id. A ``sort`` key that begins with ``-`` has the greatest first.

    >>> where(status=["ACTIVE", "ERROR"], search="web", sort="-created_at").sort
    (SortKey(field='created_at', descending=True),)
    """
    keys = (sort,) if isinstance(sort, str) else tuple(sort)
    return Query(
        filter=tuple(Condition(field=name, is_=_condition(wanted)) for name, wanted in conditions.items()),
        search=search,
        sort=tuple(SortKey(field=k.removeprefix("-"), descending=k.startswith("-")) for k in keys),
        page=Page(after=after, limit=limit),
    )


def containing(text: str) -> Is:
    """The condition that a field holds this text, whatever the case of its letters."""
    return IsContaining(value=text)


def _condition(wanted: object) -> Is:
    if wanted is None:
        return IsAbsent()
    if hasattr(type(wanted), "_external") and getattr(wanted, "_external", None) is not None:
        return wanted  # type: ignore[return-value]
    if isinstance(wanted, list | tuple | set | frozenset):
        return IsOneOf(value=tuple(_plain(w) for w in wanted))
    return IsOneOf(value=(_plain(wanted),))


def _plain(value: object) -> str:
    plain = to_json(value)
    return str(plain).lower() if isinstance(plain, bool) else str(plain)
