"""What all values share: how they are shown, and their JSON form both ways."""

from __future__ import annotations

import base64
import dataclasses
import json
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from enum import Enum
from functools import cache
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar, final

from .exceptions import InternalError, InvalidError

T = TypeVar("T")


@final
class Unset(Enum):
    """A field that was not given, where none means something."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""Leaves a field as it is."""


@final
class Secret:
    """A text that is not shown: a password or a token.

    >>> password = Secret("horse-17")
    >>> password
    Secret('***')
    >>> password.reveal()
    'horse-17'
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class HasId(Protocol):
    """A thing with an id: it can be given in place of the id."""

    @property
    def id(self) -> str:
        """Its id."""
        ...


class Value:
    """A value of the product: frozen, compared by what it holds."""

    __slots__ = ()
    _tag: ClassVar[str | None] = None
    _external: ClassVar[str | None] = None
    _bare: ClassVar[bool] = False
    _flat: ClassVar[tuple[str, ...]] = ()
    _kind: ClassVar[str] = ""

    def to_dict(self) -> Any:
        """The JSON form, as dictionaries, lists and plain values. A secret in it is shown in the clear."""
        return to_json(self)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_brief(value)}" for name, value in _differing(self))
        return f"{type(self).__name__}({shown})"

    def __str__(self) -> str:
        from . import _text

        return _text.of(self) or repr(self)

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        from . import _html

        return _html.of(self)


def _differing(value: Any) -> Iterator[tuple[str, Any]]:
    """Fields that are not as they are when left out."""
    for field in dataclasses.fields(value):
        found = getattr(value, field.name)
        if found != field.default and (field.default_factory is dataclasses.MISSING or found != field.default_factory()):
            yield field.name, found


def _brief(value: object) -> str:
    if isinstance(value, Enum):
        return str(value.value) if value is UNSET else repr(value.value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, Mapping) and len(value) > 3:
        return f"{{{len(value)} entries}}"
    if isinstance(value, tuple | frozenset) and len(value) > 3:
        return f"({len(value)} entries)"
    return repr(value)


R = TypeVar("R", bound=Value)
"""A kind of thing that an inventory holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[T]):
    """A part of a list."""

    items: tuple[T, ...]
    """The entries."""
    total: int
    """How many entries there are in all that meet the query's conditions, as of this reading."""
    next: str | None = None
    """Where the next part begins; none when this was the last."""

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        from . import _html

        return _html.of(self)


def to_json(value: object) -> Any:
    """The JSON form of a value."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return value
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Value):
        return _value_to_json(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidError(
                f"the time {value.isoformat()} has no time zone",
                code="python.time_zone",
                remedy="say which: datetime(..., tzinfo=timezone.utc), or value.astimezone() for the zone of this machine",
            )
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {to_json(k): to_json(v) for k, v in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(to_json(v) for v in value)
    if isinstance(value, list | tuple):
        return [to_json(v) for v in value]
    found = getattr(value, "id", None)
    if isinstance(found, str):
        return found
    raise InvalidError(f"{type(value).__name__} has no JSON form", code="python.argument")


def _value_to_json(value: Value) -> Any:
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        found = getattr(value, field.name)
        if found is UNSET:
            continue
        if field.name in value._flat:
            fields.update(to_json(found))
        else:
            fields[_wire(field.name)] = to_json(found)
    if value._tag is not None:
        fields[value._tag] = getattr(value, _spelt(value._tag))
    if value._external is not None:
        if not value._bare:
            return {value._external: fields}
        return {value._external: fields["value"]} if fields else value._external
    return fields


def _wire(name: str) -> str:
    return name.removesuffix("_")


def _spelt(name: str) -> str:
    return f"{name}_" if name == "is" else name


_encode = json.JSONEncoder(ensure_ascii=False).encode
_quote = json.encoder.encode_basestring
_decode = json.JSONDecoder().raw_decode


def dumps(arguments: Mapping[str, object]) -> bytes:
    """Arguments as the native half takes them."""
    # Most are ids: a text by itself is written at a quarter of the cost.
    parts = [f'"{name}":{_quote(value) if type(value) is str else _encode(to_json(value))}' for name, value in arguments.items()]
    return f"{{{','.join(parts)}}}".encode()


def loads(answer: bytes, of: Any) -> Any:
    """An answer of the native half."""
    plain, _ = _decode(answer.decode())
    read = _reader(of)
    return plain if read is None else read(plain)


Read = Callable[[Any], Any]


def reader(of: Any) -> Read | None:
    """What makes a value of its JSON form; none where it is its JSON form."""
    return _reader(of)


def entry_reader(of: Any) -> Read:
    """The same for the entries of a list."""
    return _reader(of) or _same


_MAKING: set[Any] = set()
"""Classes whose readers are being made: one that leads to itself is looked up when it is met."""


def _reader(of: Any) -> Read | None:
    """What makes a value of its JSON form; none where it is its JSON form."""
    return _later(of) if of in _MAKING else _made(of)


@cache
def _made(of: Any) -> Read | None:
    origin = typing.get_origin(of)
    inside = typing.get_args(of)
    if of is Secret:
        return Secret
    if of is bytes:
        return base64.b64decode
    if of is datetime:
        return datetime.fromisoformat
    if of is date:
        return date.fromisoformat
    if origin in (typing.Union, types.UnionType):
        return _union(inside)
    if origin is tuple:
        if inside[1:] == (...,):
            return _each(tuple, _reader(inside[0]))
        readers = [_reader(i) or _same for i in inside]
        return lambda plain: tuple(read(v) for read, v in zip(readers, plain, strict=True))
    if origin is frozenset:
        return _each(frozenset, _reader(inside[0]))
    if origin is not None and issubclass(origin, Mapping):
        key, value = _reader(inside[0]) or _same, _reader(inside[1])
        if value is None and key is _same:
            return None
        entry = value or _same
        return lambda plain: {key(k): entry(v) for k, v in plain.items()}
    if origin is Listing:
        items = _each(tuple, _reader(inside[0]))
        return lambda plain: Listing(items=items(plain["items"]), total=plain["total"], next=plain["next"])
    if isinstance(of, type) and issubclass(of, Enum):
        members = {member.value: member for member in of}
        return lambda plain: members.get(plain) or of(plain)
    if dataclasses.is_dataclass(of) and isinstance(of, type):
        _MAKING.add(of)
        try:
            return _fields_reader(of)
        finally:
            _MAKING.discard(of)
    return None


def _same(plain: Any) -> Any:
    return plain


def _each(make: Callable[..., Any], read: Read | None) -> Read:
    return make if read is None else lambda plain: make(map(read, plain))


def _union(inside: tuple[Any, ...]) -> Read | None:
    parts = [p for p in inside if p not in (type(None), Unset)]
    if len(parts) == 1:
        read = _reader(parts[0])
        return None if read is None else lambda plain: None if plain is None else read(plain)
    classes = [p for p in parts if isinstance(p, type) and issubclass(p, Value)]
    if not classes:
        return None
    optional = len(parts) != len(inside)
    tag = "kind" if all(c._kind for c in classes) else classes[0]._tag
    if tag is not None:
        by_tag = {c._kind or getattr(c, _spelt(tag)): _reader(c) or _same for c in classes}

        def tagged(plain: Any) -> Any:
            if plain is None and optional:
                return None
            read = by_tag.get(plain[tag])
            if read is None:
                raise InternalError(f"{plain[tag]!r} is not known here", code="python.decode", field=tag)
            return read(plain)

        return tagged
    by_name = {c._external: c for c in classes}

    def external(plain: Any) -> Any:
        if plain is None and optional:
            return None
        name, held = (plain, None) if isinstance(plain, str) else next(iter(plain.items()))
        made = by_name[name]
        read = _reader(made) or _same
        if held is None:
            return made()
        return read({"value": held}) if made._bare else read(held)

    return external


def _fields_reader(of: type[Any]) -> Read:
    """Made once for each class, as source: an inventory has many rows."""
    hints = typing.get_type_hints(of)
    names: dict[str, Any] = {"new": object.__new__, "of": of, "missing": dataclasses.MISSING}
    lines = ["def read(plain):", "    made = new(of)"]
    for at, field in enumerate(dataclasses.fields(of)):
        names[f"set{at}"] = of.__dict__[field.name].__set__
        wire = _wire(field.name)
        names[f"read{at}"] = _reader(hints[field.name])
        value = f"read{at}(value)" if names[f"read{at}"] else "value"
        if field.name in getattr(of, "_flat", ()):
            lines.append(f"    set{at}(made, read{at}(plain))")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            lines.append(f"    set{at}(made, {value.replace('value', f'plain[{wire!r}]')})")
        else:
            if field.default_factory is not dataclasses.MISSING:
                names[f"else{at}"] = field.default_factory
                otherwise = f"else{at}()"
            else:
                names[f"else{at}"] = field.default
                otherwise = f"else{at}"
            lines.append(f"    value = plain.get({wire!r}, missing)")
            lines.append(f"    set{at}(made, {otherwise} if value is missing else {value})")
    lines.append("    return made")
    exec("\n".join(lines), names)  # noqa: S102
    read: Read = names["read"]
    return read


def _later(of: Any) -> Read:
    def read(plain: Any) -> Any:
        reader = _reader(of)
        return plain if reader is None else reader(plain)

    return read
