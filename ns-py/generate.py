#!/usr/bin/env python3
"""Makes the typed half of the package from the engine's own source, so that neither names nor words are kept twice.

``python generate.py`` writes ``model.py`` (the values: frozen dataclasses and enumerations), ``_areas.py`` and ``_aio_areas.py`` (the verbs)
and ``_ports.py`` (what providers do) into ``python/neverstop``; ``--check`` only says whether they are what the source gives. It reads Rust as rustfmt writes it, and stops at
anything that it does not understand rather than leave it out.
"""

from __future__ import annotations

import keyword
import re
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORE = HERE.parent / "ns-core" / "src"
OUT = HERE / "python" / "neverstop"
WIDTH = 140
PLACES = ["error.rs", "model", "session", "journal", "planning", "report", "provider", "engine", "rules/mod.rs"]

# What has no form of its own in Python.
PLAIN = {
    "String": "str",
    "str": "str",
    "bool": "bool",
    "u8": "int",
    "u16": "int",
    "u32": "int",
    "u64": "int",
    "i64": "int",
    "usize": "int",
    "f64": "float",
    "Timestamp": "datetime",
    "Date": "date",
    "Value": "Any",
    "SecretString": "Secret",
    "ConnectionSettings": "Mapping[str, str]",
    "Secrets": "Mapping[str, Secret | str]",
    "Settings": "Mapping[str, bool | int | str]",
    "SettingsUpdate": "Mapping[str, bool | int | str]",
    "SettingValue": "bool | int | str",
}
# Kept by hand: what the engine gives in a form of its own.
WRITTEN = {"Listing", "SupportBundle"}
# What the Rust types have as `Default` of their own.
WRITTEN_DEFAULTS = {("Page", "limit"): "100", ("InstanceMapping", "boot"): "True"}
KINDS = dict(
    re.findall(
        r"Self::(\w+) => \"(\w+)\"",
        re.search(r"impl ErrorKind \{.*?\n\}", (CORE / "error.rs").read_text(), re.S)[0],  # type: ignore[index]
    )
)


class NotUnderstood(Exception):
    """The source has a form that this program does not know."""


@dataclass
class Member:
    name: str
    type: str
    doc: list[str]
    serde: str = ""


@dataclass
class Variant:
    name: str
    doc: list[str]
    wire: str
    members: list[Member] | None = None
    inner: str | None = None


@dataclass
class Struct:
    name: str
    doc: list[str]
    serde: str
    members: list[Member]


@dataclass
class Enum:
    name: str
    doc: list[str]
    serde: str
    variants: list[Variant]

    @property
    def is_plain(self) -> bool:
        return "tag" not in self.serde and all(v.members is None and v.inner is None for v in self.variants)


@dataclass
class Verb:
    area: str
    name: str
    doc: list[str]
    params: list[tuple[str, str]]
    answer: str
    streams: bool


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def documented(lines: list[str], end: int) -> tuple[list[str], str]:
    """The doc comment and the serde attributes that stand above a line."""
    doc: list[str] = []
    serde: list[str] = []
    at = end - 1
    while at >= 0:
        line = lines[at].strip()
        if line.startswith("///"):
            doc.insert(0, line[3:].removeprefix(" "))
        elif line.startswith("#[serde("):
            serde.insert(0, line[len("#[serde(") : -2])
        elif not (line.startswith("#[") or line.startswith("//")):
            break
        at -= 1
    return doc, ", ".join(serde)


def members_of(lines: list[str], where: str, public: bool) -> list[Member]:
    """Fields, one a line."""
    found = []
    for at, line in enumerate(lines):
        text = line.strip()
        if not text or text.startswith(("//", "#[")):
            continue
        match = re.fullmatch((r"pub " if public else r"") + r"(\w+): (.+?),?", text)
        if not match:
            raise NotUnderstood(f"{where}: {text}")
        doc, serde = documented(lines, at)
        if not re.search(r"\bskip\b(?!_)", serde):
            found.append(Member(match[1], match[2], doc, serde))
    return found


def block(lines: list[str], start: int) -> int:
    """Where what begins at this line ends: the next line of its indentation that closes."""
    indent = len(lines[start]) - len(lines[start].lstrip())
    for at in range(start + 1, len(lines)):
        line = lines[at]
        if line.strip() and len(line) - len(line.lstrip()) == indent and line.strip()[0] in "})":
            return at
    raise NotUnderstood(f"no end of {lines[start]}")


def variants_of(lines: list[str], where: str, serde: str) -> list[Variant]:
    found: list[Variant] = []
    at = 0
    snaked = 'rename_all = "snake_case"' in serde
    while at < len(lines):
        text = lines[at].strip()
        if not text or text.startswith(("//", "#[")):
            at += 1
            continue
        doc, own = documented(lines, at)
        renamed = re.search(r'rename = "([^"]+)"', own)
        if match := re.fullmatch(r"(\w+),", text):
            variant = Variant(match[1], doc, "")
        elif match := re.fullmatch(r"(\w+)\((.+)\),", text):
            variant = Variant(match[1], doc, "", inner=match[2])
        elif match := re.fullmatch(r"(\w+) \{ (.+) \},", text):
            split = [f"{part}," for part in re.split(r",\s+(?=\w+: )", match[2])]
            variant = Variant(match[1], doc, "", members=members_of(split, where, False))
        elif match := re.fullmatch(r"(\w+) \{", text):
            end = block(lines, at)
            variant = Variant(match[1], doc, "", members=members_of(lines[at + 1 : end], where, False))
            at = end
        else:
            raise NotUnderstood(f"{where}: {text}")
        variant.wire = renamed[1] if renamed else snake(variant.name) if snaked else variant.name
        found.append(variant)
        at += 1
    return found


def wired(lines: list[str], where: str) -> list[Variant]:
    """Variants of `wire_enum!`."""
    found = []
    for at, line in enumerate(lines):
        text = line.strip()
        if match := re.fullmatch(r'(\w+) = "([^"]+)",?', text):
            found.append(Variant(match[1], documented(lines, at)[0], match[2]))
        elif text and not text.startswith("//"):
            raise NotUnderstood(f"{where}: {text}")
    return found


def read_types() -> dict[str, list[Struct | Enum | str]]:
    """Everything public that could cross; a text for what is text."""
    types: dict[str, list[Struct | Enum | str]] = {}
    files = [f for p in PLACES for f in ([CORE / p] if (CORE / p).is_file() else sorted((CORE / p).rglob("*.rs")))]
    for file in files:
        # An attribute on several lines is one.
        whole = re.sub(r"#\[serde\(\n.*?\)\]", lambda m: re.sub(r"\s*\n\s*", " ", m[0]), file.read_text(), flags=re.S)
        lines = whole.split("#[cfg(test)]\nmod tests")[0].splitlines()
        for at, line in enumerate(lines):
            where = f"{file.name}:{at + 1}"
            made: Struct | Enum | str | None = None
            name = ""
            if match := re.fullmatch(r"pub struct (\w+)(?:<T>)? \{", line):
                name = match[1]
                doc, serde = documented(lines, at)
                if name in WRITTEN or name == "Settings" or not any(x in above(lines, at) for x in ("Serialize", "Deserialize")) and name not in ("Login", "PairingOffer"):
                    continue
                made = Struct(name, doc, serde, members_of(lines[at + 1 : block(lines, at)], where, True))
            elif match := re.fullmatch(r"pub struct (\w+)\((?:pub\(crate\) )?String\);", line):
                name, made = match[1], "str"
            elif match := re.fullmatch(r"pub enum (\w+) \{", line):
                name = match[1]
                doc, serde = documented(lines, at)
                if "Serialize" not in above(lines, at):
                    continue
                made = Enum(name, doc, serde, variants_of(lines[at + 1 : block(lines, at)], where, serde))
            elif line == "wire_enum! {":
                inside = [x.removeprefix("    ") for x in lines[at + 1 : block(lines, at)]]
                start = next(i for i, x in enumerate(inside) if re.fullmatch(r"\w+ \{", x))
                name = inside[start][:-2]
                made = Enum(name, documented(inside, start)[0], "", wired(inside[start + 1 : block(inside, start)], where))
            elif line == "id! {":
                for text in lines[at + 1 : block(lines, at)]:
                    if match := re.fullmatch(r"\s+(\w+),", text):
                        types.setdefault(match[1], []).append("str")
                continue
            elif line == "catalogue! {":
                inside = lines[at + 1 : block(lines, at)]
                codes = [
                    Variant(match[1], documented(inside, i)[0], match[2])
                    for i, x in enumerate(inside)
                    if (match := re.match(r'    (\w+) = "([^"]+)", \w+, \w+, \{', x))
                ]
                name, made = "EventCode", Enum("EventCode", ["What an event tells. Codes are stable."], "", codes)
            elif line == "resources! {":
                inside = lines[at + 1 : block(lines, at)]
                rows = [
                    (match[1], match[2], match[3], documented(inside, i)[0])
                    for i, x in enumerate(inside)
                    if (match := re.match(r'    (\w+)\(\w+\) in (\w+) .*= "(\w+)",', x) or re.match(r'    (\w+)\(\w+\) in (\w+) = "(\w+)",', x))
                ]
                kinds = [Variant(kind, doc, wire) for kind, _, wire, doc in rows]
                fields = [Member(plural, f"BTreeMap<CloudId, {kind}>", doc, "default") for kind, plural, _, doc in rows]
                types["ResourceKind"] = [Enum("ResourceKind", ["The kinds of things an inventory holds."], "", kinds)]
                types["Inventory"] = [Struct("Inventory", ["Everything one cluster holds, by kind and id."], "default", fields)]
                resource = [Variant(kind, doc, wire, inner=kind) for kind, _, wire, doc in rows]
                types["Resource"] = [Enum("Resource", ["One thing of an inventory."], 'tag = "kind"', resource)]
                continue
            if made is not None:
                types.setdefault(name, []).append(made)
    return types


def above(lines: list[str], at: int) -> str:
    """The attributes above a line."""
    text = ""
    while at > 0 and lines[at - 1].startswith(("#", "/")):
        at -= 1
        text += lines[at]
    return text


def split(text: str) -> list[str]:
    """Type arguments."""
    parts, depth, last = [], 0, 0
    for at, char in enumerate(text):
        depth += (char in "<([") - (char in ">)]")
        if char == "," and not depth:
            parts.append(text[last:at].strip())
            last = at + 1
    parts.append(text[last:].strip())
    return [p for p in parts if p]


class Types:
    """The types that cross, and what they are in Python."""

    def __init__(self) -> None:
        self.known = read_types()
        self.used: dict[str, Struct | Enum] = {}

    def python(self, rust: str) -> str:
        rust = re.sub(r"^&(?:'\w+ )?", "", rust.strip())
        if rust == "()":
            return "None"
        if rust.startswith("("):
            return f"tuple[{', '.join(self.python(x) for x in split(rust[1:-1]))}]"
        if rust == "Vec<u8>":
            return "bytes"
        if match := re.fullmatch(r"\[(.+)\]", rust):
            return f"Sequence[{self.python(match[1])}]"
        if match := re.fullmatch(r"(\w+)<(.+)>", rust):
            inside = split(match[2])
            kind = match[1]
            if kind in ("Arc", "Box"):
                return self.python(inside[0])
            if kind == "Option":
                inner = self.python(inside[0])
                return inner if inner.endswith("| None") else f"{inner} | None"
            if kind == "Vec":
                return f"tuple[{self.python(inside[0])}, ...]"
            if kind == "BTreeSet":
                return f"frozenset[{self.python(inside[0])}]"
            if kind == "BTreeMap":
                return f"Mapping[{self.python(inside[0])}, {self.python(inside[1])}]"
            if kind == "Listing":
                return f"Listing[{self.python(inside[0])}]"
            raise NotUnderstood(rust)
        if rust.startswith("&"):
            return self.python(rust)
        rust = rust.split("::")[-1]
        if rust in PLAIN:
            return PLAIN[rust]
        if rust in WRITTEN:
            return rust
        found = self.known.get(rust, [])
        if len(found) != 1:
            raise NotUnderstood(f"{len(found)} types are called {rust}")
        if isinstance(found[0], str):
            return rust if rust.endswith("Id") and rust != "EventId" else "str"
        if rust not in self.used:
            self.used[rust] = found[0]
            self.follow(found[0])
        return rust

    def follow(self, thing: Struct | Enum) -> None:
        members = thing.members if isinstance(thing, Struct) else [m for v in thing.variants for m in v.members or []]
        for member in members:
            self.python(member.type)
        if isinstance(thing, Enum):
            for variant in thing.variants:
                if variant.inner:
                    self.python(variant.inner)

    def ids(self) -> list[str]:
        return sorted(n for n, found in self.known.items() if n.endswith("Id") and found == ["str"] and n != "EventId")

    def default(self, of: str, member: Member, container: str) -> str | None:
        """What a field is when it is left out; none when it cannot be."""
        python = self.python(member.type)
        if (of, member.name) in WRITTEN_DEFAULTS:
            return WRITTEN_DEFAULTS[of, member.name]
        if re.match(r"Option<Option<", member.type):
            return "UNSET"
        if python.endswith("| None"):
            return "None"
        if not re.search(r"\bdefault\b", member.serde) and not re.search(r"\bdefault\b", container):
            return None
        if python.startswith("tuple"):
            return "()"
        if python.startswith("frozenset"):
            return "frozenset()"
        if python.startswith("Mapping"):
            return "_field(default_factory=dict)"
        plain = {"str": '""', "int": "0", "bool": "False"}
        if python in plain or python.endswith("Id"):
            return plain.get(python, '""')
        return f"_field(default_factory=lambda: {python}())"


def words(doc: list[str]) -> list[str]:
    """A doc comment as Python's help shows it: without examples, links as what they name, kinds of errors as exceptions."""
    text, fenced = [], False
    for line in doc:
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            text.append(line)
    joined = "\n".join(text)
    joined = re.sub(r"\[(`[^`\]]+`)\]\([^)]*\)", r"\1", joined)
    joined = re.sub(r"\[(`[^`\]]+`)\]", r"\1", joined)
    joined = re.sub(r"\[([^\]`]+)\]\([^)]*\)", r"\1", joined)

    def code(match: re.Match[str]) -> str:
        inner = match[1]
        if inner in KINDS:
            return "``UnknownOutcomeError``" if inner == "Timeout" else f"``{inner}Error``"
        return f"``{inner.replace('::', '.')}``"

    joined = re.sub(r"`([^`]+)`", code, joined)
    joined = joined.replace("# Errors\n", "Raises:\n").replace("# Errors", "Raises:").replace("\\", "")
    out: list[str] = []
    for paragraph in re.split(r"\n\s*\n", joined.strip()):
        if out:
            out.append("")
        if paragraph.startswith("Raises:"):
            out += ["Raises:", *textwrap.wrap(" ".join(paragraph[7:].split()), WIDTH - 12, initial_indent="    ", subsequent_indent="    ")]
        elif re.match(r"\s*[-*|]", paragraph):
            out += paragraph.splitlines()
        else:
            out += textwrap.wrap(" ".join(paragraph.split()), WIDTH - 8)
    return out


# Ways to make a value that its Rust type has too.
MADE_BY = {
    "CloudCapabilities": [
        f"""    @classmethod
    def {name}(cls) -> Self:
        \"\"\"{what}\"\"\"
        return cls(**dict.fromkeys(cls.__slots__, {value}))
"""
        for name, what, value in (("none", "Nothing.", False), ("all", "Everything.", True))
    ],
    "JobRequest": [
        *(
            f"""    @classmethod
    def {name}(
        cls,
        group: str | HasId,
        plan: str | HasId,
        *,
        data_point: DataPoint | None = None,
        execution: ExecutionType | None = None,
        force: ForceRight | None = None,
        exclude: Iterable[CloudId] = (),
    ) -> Self:
        \"\"\"A {name} {what}, at once, unless something else is said.\"\"\"
        return cls(
            job_type=JobType.{name.upper()},
            execution=execution or ExecutionTypeImmediate(),
            data_point=data_point or {point}(),
            group_id=str(getattr(group, "id", group)),
            plan_id=str(getattr(plan, "id", plan)),
            force=force,
            exclude=frozenset(exclude),
        )
"""
            for name, what, point in (
                ("drill", "from the newest recovery point", "DataPointLatestSnapshot"),
                ("failover", "of the latest data", "DataPointLatestData"),
            )
        )
    ],
    "Actor": [
        """    @classmethod
    def admin(cls, name: str) -> Self:
        \"\"\"Somebody who may do everything.\"\"\"
        return cls(name=name, role=UserRole.ADMIN)
""",
        """    @classmethod
    def member(cls, name: str, role: UserRole, groups: Iterable[OwnerGroupId]) -> Self:
        \"\"\"Somebody who may do what their role allows with what their groups own.\"\"\"
        return cls(name=name, role=role, groups=frozenset(groups))
""",
    ],
}


def docstring(doc: list[str], indent: str) -> list[str]:
    lines = words(doc) or ["See the name."]
    lines[0] = lines[0][0].upper() + lines[0][1:]
    if len(lines) == 1:
        return [f'{indent}"""{lines[0]}"""']
    return [f'{indent}"""{lines[0]}', *[f"{indent}{x}" if x else "" for x in lines[1:]], f'{indent}"""']


def spelt(name: str) -> str:
    """A field's name; a word of Python gets a stroke, which is left out again in JSON."""
    return f"{name}_" if keyword.iskeyword(name) else name


def value_class(types: Types, name: str, doc: list[str], members: list[Member], container: str, extra: list[str]) -> list[str]:
    out = ["@dataclass(frozen=True, slots=True, kw_only=True, repr=False)", f"class {name}(Value):", *docstring(doc, "    "), ""]
    flat = [m.name for m in members if "flatten" in m.serde]
    out += extra
    if flat:
        out.append(f"    _flat: ClassVar[tuple[str, ...]] = {tuple(flat)!r}")
    for member in members:
        python = types.python(member.type)
        default = types.default(name, member, container)
        if default == "UNSET":
            python += " | Unset"
        out.append(f"    {spelt(member.name)}: {python}" + (f" = {default}" if default else ""))
        out += docstring(member.doc or [member.name], "    ")
    if out[-1] == "":
        out.pop()
    for method in MADE_BY.get(name, []):
        out += ["", *method.rstrip().splitlines()]
    return [*out, "", ""]


def model(types: Types) -> str:
    out = [
        HEADER.format(what="The values of the product: what requests are made of and what answers hold."),
        "from __future__ import annotations",
        "",
        "import builtins",
        "from collections.abc import Iterable, Mapping",
        "from dataclasses import dataclass",
        "from dataclasses import field as _field",
        "from datetime import date, datetime",
        "from enum import StrEnum",
        "from typing import Any, ClassVar, Literal, Self, TypeAlias",
        "",
        "from ._values import UNSET, HasId, Listing, Secret, Unset, Value",
        "",
        "__all__ = [",
    ]
    body: list[str] = []
    names: list[str] = ["Listing", "SupportBundle"]
    for name in types.ids():
        body.append(f"{name}: TypeAlias = str")
        names.append(name)
    body += ["", ""]
    aliases: list[str] = []
    for name in sorted(types.used):
        thing = types.used[name]
        names.append(name)
        if isinstance(thing, Struct):
            body += value_class(types, name, thing.doc, thing.members, thing.serde, [])
        elif thing.is_plain:
            body += [f"class {name}(StrEnum):", *docstring(thing.doc, "    "), ""]
            for variant in thing.variants:
                body.append(f'    {snake(variant.name).upper()} = "{variant.wire}"')
                if variant.doc:
                    body += docstring(variant.doc, "    ")
            body += ["", ""]
        else:
            parts = []
            tag = re.search(r'tag = "(\w+)"', thing.serde)
            content = re.search(r'content = "(\w+)"', thing.serde)
            for variant in thing.variants:
                own = f"{name}{variant.name}"
                if name == "Resource":
                    parts.append(variant.inner or "")
                    continue
                parts.append(own)
                names.append(own)
                members = list(variant.members or [])
                extra = []
                if tag:
                    extra = [f'    {spelt(tag[1])}: ClassVar[Literal["{variant.wire}"]] = "{variant.wire}"', f'    _tag: ClassVar[str | None] = "{tag[1]}"']
                else:
                    extra = [f'    _external: ClassVar[str | None] = "{variant.wire}"']
                if variant.inner is not None:
                    inner = types.used.get(variant.inner.removeprefix("Box<").removesuffix(">"))
                    if tag and not content:
                        assert isinstance(inner, Struct), variant
                        members = inner.members
                    else:
                        key = content[1] if content else "value"
                        members = [Member(key, variant.inner, ["What it says."])]
                        if not tag:
                            extra.append("    _bare: ClassVar[bool] = True")
                elif variant.members is None and not tag:
                    extra.append("    _bare: ClassVar[bool] = True")
                body += value_class(types, own, variant.doc, members, "", extra)
            if name == "Resource":
                aliases += [f"{name}: TypeAlias = {' | '.join(parts)}", *docstring(thing.doc, "")]
                continue
            union = f"{name}: TypeAlias = {' | '.join(parts)}"
            if len(union) > WIDTH:
                union = f"{name}: TypeAlias = (\n    " + "\n    | ".join(parts) + "\n)"
            aliases += [union, *docstring(thing.doc, "")]
    bundle = types.used.get("BundleManifest")
    assert bundle is not None
    body += [
        "@dataclass(frozen=True, slots=True, kw_only=True, repr=False)",
        "class SupportBundle(Value):",
        '    """A support bundle."""',
        "",
        "    file_name: str",
        '    """What to call the file: ``neverstop_2026-11-23.tar.gz``."""',
        "    manifest: BundleManifest",
        '    """What is in it."""',
        "    bytes: builtins.bytes",
        '    """The file: a tar archive, compressed with gzip."""',
        "",
        "",
    ]
    out += [f'    "{n}",' for n in sorted(set(names))] + ["]", ""]
    return "\n".join([*out, *body, *aliases]).rstrip() + "\n"


HEADER = '"""{what}\n\nMade by generate.py from the source of the engine.\n"""\n'


def read_verbs() -> list[Verb]:
    session = (CORE / "session" / "mod.rs").read_text()
    areas = {t: a for a, t in re.findall(r"pub const fn (\w+)\(&self\) -> (\w+)<'_>", session)}
    verbs = []
    for file in sorted((CORE / "session").glob("*.rs")):
        if file.name == "mod.rs":
            continue
        lines = file.read_text().split("#[cfg(test)]\nmod tests")[0].splitlines()
        area = None
        for at, line in enumerate(lines):
            if match := re.fullmatch(r"impl(?:<'a>)? (\w+)<'(?:_|a)> \{", line):
                area = areas.get(match[1])
            elif re.match(r"impl|\}$", line):
                area = None
            if area is None or not re.match(r"    pub (async )?fn ", line):
                continue
            signature, end = line, at
            while not signature.rstrip().endswith("{"):
                end += 1
                signature += " " + lines[end].strip()
            if "impl FnOnce(" in signature:
                continue  # spares a copy, in Rust; its other form does the same
            match = re.fullmatch(
                r"    pub (async )?fn (\w+)(?:<T: InventoryKind>)?\(\s*&self(?:, )?(.*?),?\s*\) -> (.+) \{", signature
            )
            if not match:
                raise NotUnderstood(signature)
            params = [tuple(p.split(": ", 1)) for p in split(match[3])]
            answer = match[4]
            streams = answer.startswith("BoxStream")
            if streams:
                answer = re.fullmatch(r"BoxStream<'static, Result<(.+)>>", answer)[1]  # type: ignore[index]
            elif answer.startswith("Result<"):
                answer = answer[len("Result<") : -1]
            elif answer.startswith("impl Iterator<Item = "):
                answer = f"Vec<{answer[len('impl Iterator<Item = '):].split('> + ')[0]}>"
            verbs.append(Verb(area, match[2], documented(lines, at)[0], params, answer, streams))  # type: ignore[arg-type]
    return verbs


DEFAULTS = {
    ("events", "watch", "place"): '"0" * 20',
    ("events", "after", "place"): '"0" * 20',
    ("events", "after", "limit"): "100",
    ("jobs", "watch", "from"): "0",
    ("jobs", "monitor", "since"): "None",
    ("jobs", "delete", "leave_resources"): "False",
    ("inventory", "watch", "after"): "0",
    ("inventory", "events", "after"): "0",
    ("inventory", "events", "limit"): "100",
}
OPTIONAL = {"Query", "OperationRequest", "ReprotectRequest"}


def areas(types: Types, verbs: list[Verb], asynchronous: bool) -> str:
    prefix = "Async" if asynchronous else ""
    awaits, define = ("await ", "async def") if asynchronous else ("", "def")
    by_area: dict[str, list[Verb]] = {}
    for verb in verbs:
        by_area.setdefault(verb.area, []).append(verb)
    body: list[str] = []
    for area, own in by_area.items():
        title = "".join(w.capitalize() for w in area.split("_"))
        body += [f"class {prefix}{title}Part({prefix}Part):", f'    """``session.{area}``."""', ""]
        for verb in own:
            body += method(types, verb, prefix, awaits, define)
        body += [""]
    imports = sorted({n for n in re.findall(r"\b[A-Z]\w+\b", re.sub(r'""".*?"""', "", "\n".join(body), flags=re.S)) if n in EXPORTED(types)})
    words = ["from __future__ import annotations", "", f"from collections.abc import {'AsyncIterator, ' if asynchronous else ''}Collection, {'' if asynchronous else 'Iterator, '}Mapping, Sequence", "from datetime import datetime"]
    out = [
        HEADER.format(what=f"The verbs of the engine's face{', for asyncio' if asynchronous else ''}."),
        *words,
        "",
        f"from .{'_aio' if asynchronous else '_sync'} import {prefix}Job, {prefix}Paged, {prefix}Part",
        "from ._native import Providers",
        "from ._values import HasId, R, Secret",
        "from .model import (",
        *[f"    {n}," for n in imports],
        ")",
        "",
        "",
    ]
    session = [f"class {prefix}Areas:", '    """What a session can do, part by part."""', ""]
    session += [f"    {area}: {prefix}{''.join(w.capitalize() for w in area.split('_'))}Part" for area in by_area]
    session += ["", "    def _make_areas(self, session: object) -> None:"]
    session += [f"        self.{area} = {prefix}{''.join(w.capitalize() for w in area.split('_'))}Part(session)" for area in by_area]
    text = "\n".join([*out, *body, *session]) + "\n"
    for name in ("AsyncIterator", "Collection", "Iterator", "Mapping", "Sequence"):
        if not re.search(rf"\b{name}\[", text):
            text = re.sub(rf"(from collections.abc import .*?)\b{name}(, |$)", r"\1", text, count=1, flags=re.M).replace(", \n", "\n", 1)
    return text


def EXPORTED(types: Types) -> set[str]:
    return set(types.used) | WRITTEN | set(types.ids())


def method(types: Types, verb: Verb, prefix: str, awaits: str, define: str) -> list[str]:
    given, sent, providers = [], [], ""
    for name, rust in verb.params:
        own = "position" if name == "from" else name
        bare = rust.removeprefix("&")
        if bare == "Providers":
            given.append("providers: Providers")
            providers = ", providers=providers"
            continue
        if verb.area == "inventory" and bare == "CloudId" or types.known.get(bare) == ["str"]:
            python, value = "str | HasId", f"str(getattr({own}, 'id', {own}))"
        elif bare.startswith("BTreeSet<"):
            python, value = f"Collection[{types.python(bare[9:-1])}]", f"list({own})"
        elif bare == "SecretString":
            python, value = "Secret | str", own
        else:
            python, value = types.python(bare), own
        default = DEFAULTS.get((verb.area, verb.name, name))
        if bare in OPTIONAL:
            python, default = f"{python} | None", "None"
            value = f"{own} or {bare}()"
        given.append(f"{own}: {python}" + (f" = {default}" if default is not None else ""))
        sent.append(f'"{name}": {value}')
    waits = (verb.area, verb.name) == ("jobs", "wait")
    if waits:
        given.append("*, timeout: float | None = None")
    generic = "T" in (verb.answer, verb.answer.removeprefix("Listing<").removesuffix(">"))
    if generic:
        given.insert(0, "kind: type[R]")
        sent.insert(0, '"kind": kind._kind')
    arguments = "{" + ", ".join(sent) + "}"
    doc = docstring(verb.doc, "        ")
    if generic:
        answer = "R"
        runtime = "kind"
    else:
        answer = types.python(verb.answer)
        runtime = answer
    call = f'"{verb.area}.{verb.name}"'
    signature = ", ".join(["self", *given])
    if verb.streams:
        iterator = f"{'Async' if prefix else ''}Iterator[{answer}]"
        return [f"    def {verb.name}({signature}) -> {iterator}:", *doc, f"        return self._stream({call}, {arguments}, {runtime})", ""]
    if answer.startswith("Listing[") or verb.answer.startswith("Listing<"):
        item = "R" if generic else answer[len("Listing[") : -1]
        runtime = "kind" if generic else item
        sent = [s for s in sent if not s.startswith('"query"')]
        arguments = "{" + ", ".join(sent) + "}"
        return [
            f"    def {verb.name}({signature}) -> {prefix}Paged[{item}]:",
            *doc,
            f"        return {prefix}Paged(self, {call}, {arguments}, query or Query(), {runtime})",
            "",
        ]
    extra = providers + (", timeout=timeout" if waits else "")
    job = f"{prefix}Job"
    shown = re.sub(r"\bJobId\b", job, answer)
    lines = [f"    {define} {verb.name}({signature}) -> {shown}:", *doc]
    called = f"{awaits}self._call({call}, {arguments}, {runtime.replace('JobId', 'str')}{extra})"
    if answer == "None":
        return [*lines, f"        {called.replace(f', None{extra})', f', None{extra})')}", ""]
    if answer == "JobId":
        return [*lines, f"        return {job}(self._session, {called})", ""]
    if "JobId" in answer:
        if answer.endswith(", JobId]"):
            last = f"{job}(self._session, job)"
        elif answer.endswith(", JobId | None]"):
            last = f"None if job is None else {job}(self._session, job)"
        else:
            raise NotUnderstood(answer)
        made = ", ".join(f"made_{at}" for at in range(len(split(answer[len("tuple[") : -1])) - 1))
        return [*lines, f"        {made}, job = {called}", f"        return {made}, {last}", ""]
    return [*lines, f"        answer: {shown} = {called}", "        return answer", ""]


@dataclass
class Port:
    name: str
    doc: list[str]
    verbs: list[Verb]


# What a provider need not write, as its Rust trait does it.
OPTIONAL_PORT_VERBS = {
    "probe": ["await self.check()"],
    "removal_command": ["return None"],
    "notices": [
        "raise UnsupportedError(",
        '    f"{self.platform} does not tell of changes by itself", code="cloud.notices", remedy="rely on synchronisation"',
        ")",
    ],
}
# Not verbs: what a provider is, and what it can do for good.
PORT_FACTS = {"platform", "kind", "capabilities"}


def read_ports() -> list[Port]:
    """The traits that a provider implements."""
    ports = []
    for file in ("cloud", "storage"):
        lines = (CORE / "provider" / f"{file}.rs").read_text().splitlines()
        start = next(at for at, line in enumerate(lines) if re.match(r"pub trait \w+Provider:", line))
        name = re.match(r"pub trait (\w+):", lines[start])[1]  # type: ignore[index]
        port = Port(name, documented(lines, start)[0], [])
        for at in range(start + 1, block(lines, start)):
            if not re.match(r"    (async )?fn ", lines[at]):
                continue
            form = r"    (?:async )?fn (\w+)(?:<'a>)?\(&(?:'a )?self(?:, )?(.*?)\) -> (.+?)(?:;| \{)"
            match = re.fullmatch(form, lines[at])
            if not match:
                raise NotUnderstood(lines[at])
            answer = match[3].removeprefix("Result<").removesuffix(">") if match[3].startswith("Result<") else match[3]
            streams = re.fullmatch(r"BoxStream<'\w+, Result<(.+)>>", answer)
            params = [(n, t.replace("'a ", "")) for n, t in (p.split(": ", 1) for p in split(match[2]))]
            answer = streams[1] if streams else answer
            port.verbs.append(Verb(file, match[1], documented(lines, at)[0], params, answer, bool(streams)))
        ports.append(port)
    return ports


def port_type(types: Types, rust: str) -> str:
    """What a provider is given: whole values."""
    return re.sub(r"^Sequence\[(.+)\]$", r"tuple[\1, ...]", types.python(rust))


def ports(types: Types, found: list[Port]) -> str:
    body: list[str] = []
    for port in found:
        half = port.verbs[0].area
        called = "platform" if half == "cloud" else "kind"
        body += [
            f"class {port.name}(ABC):",
            *docstring([*port_doc(port.doc), "", *PORT_NOTES], "    "),
            "",
            f"    {called}: str",
            *docstring(next(v.doc for v in port.verbs if v.name == called), "    "),
            "    fields: ClassVar[tuple[ConnectorField, ...]] = ()",
            '    """What is asked for to connect."""',
            "",
            "    @classmethod",
            "    async def connect(cls, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> Self:",
            '        """Makes a provider of settings and secrets, which were checked against ``fields``. Here: ``cls(**settings, **secrets)``.',
            "",
            "        Raises:",
            "            ``InvalidError``, naming the field, for settings that cannot work.",
            '        """',
            "        make: Any = cls",
            "        made: Self = make(**settings, **secrets)",
            "        return made",
            "",
            "    @abstractmethod",
            f"    def capabilities(self) -> {types.python(next(v.answer for v in port.verbs if v.name == 'capabilities'))}:",
            '        """What this provider can do. Asked once, when it was connected."""',
            "",
        ]
        native = [f"class Native{port.name}({port.name}):", '    """A provider of the engine\'s own, for whoever wraps or watches it."""', ""]
        native += ["    def __init__(self, native: Native) -> None:", "        self._native = native", f"        self.{called} = native.name()", ""]
        native += [
            f"    def capabilities(self) -> {types.python(next(v.answer for v in port.verbs if v.name == 'capabilities'))}:",
            f"        answer: {types.python(next(v.answer for v in port.verbs if v.name == 'capabilities'))} = loads(self._native.capabilities(), {types.python(next(v.answer for v in port.verbs if v.name == 'capabilities'))})",
            "        return answer",
            "",
        ]
        for verb in port.verbs:
            if verb.name in PORT_FACTS:
                continue
            given = "".join(f", {name}: {port_type(types, rust)}" for name, rust in verb.params)
            answer = types.python(verb.answer)
            at_once = verb.name == "removal_command"
            define = "def" if at_once or (verb.streams and verb.name != "notices") else "async def"
            full = f"AsyncIterator[{answer}]" if verb.streams else answer
            signature = f"    {define} {verb.name}(self{given}) -> {full}:"
            own = OPTIONAL_PORT_VERBS.get(verb.name)
            if own is None:
                body.append("    @abstractmethod")
            body += [signature, *docstring(port_doc(verb.doc), "        "), *(f"        {line}" for line in own or [])]
            body.append("")
            if at_once or verb.name == "notices":
                continue
            sent = "{" + ", ".join(f'"{name}": {name}' for name, _ in verb.params) + "}"
            native.append(signature)
            if verb.streams:
                native += [f"        return native_list(self._native, {verb.params[0][0]}, {answer})", ""]
            elif answer == "None":
                native += [f'        await native_call(self._native, "{verb.name}", {sent}, None)', ""]
            else:
                native += [f'        answer: {answer} = await native_call(self._native, "{verb.name}", {sent}, {answer})', "        return answer", ""]
        body += ["", *native, ""]
    text = re.sub(r'""".*?"""', "", "\n".join(body), flags=re.S)
    imports = sorted({n for n in re.findall(r"\b[A-Z]\w+\b", text) if n in EXPORTED(types)})
    head = [
        HEADER.format(what="What a cloud and a storage do, for providers that are written in Python."),
        "from __future__ import annotations",
        "",
        "from abc import ABC, abstractmethod",
        "from collections.abc import AsyncIterator, Mapping",
        "from typing import TYPE_CHECKING, Any, ClassVar, Self",
        "",
        "from ._providers import native_call, native_list",
        "from ._values import Secret, loads",
        "from .exceptions import UnsupportedError",
        "from .model import (",
        *[f"    {n}," for n in imports],
        ")",
        "",
        "if TYPE_CHECKING:",
        "    from ._native import Provider as Native",
        "",
        "__all__ = [" + ", ".join(f'"{port.name}"' for port in found) + "]",
        "",
        "",
    ]
    return "\n".join([*head, *body]).rstrip() + "\n"


PORT_NOTES = [
    "It is called on an event loop of the package, in a thread of its own: what blocks belongs into `asyncio.to_thread`. A call that the",
    "engine gives up is cancelled. A `NeverStopError` of one of the engine's kinds is what it says to the engine; any other exception is a",
    "fault of the provider. What holds for every call:",
    "",
    "- Every creating call carries a token, which is kept with the thing, so that `find` finds it after a crash. Creating again with the",
    "  same token gives the same thing. Removing checks the token first.",
    "- A call that answers was seen to have taken effect: an accepted request is not a done one.",
    "- Every call may be made again after it succeeded, failed or was cancelled half way; it then finishes the work.",
    "- `Unavailable` is tried again; `Timeout` means that nobody knows the outcome; every other kind ends the task.",
]


def port_doc(doc: list[str]) -> list[str]:
    """A trait's words in those of Python."""
    text = "\n".join(doc).replace("`Ok` means", "its answer means").replace("`Ok`", "succeeds")
    text = re.sub(r"See \S+ (?:opening lines )?(?:for|module's opening lines for) what holds for every method\.", "", text)
    text = re.sub(r"See the module's opening lines for what holds for every method\.", "", text)
    return re.sub(r"(^|\. )(s)ucceeds", r"\1Succeeds", text, flags=re.M).split("\n")


def everything() -> dict[str, str]:
    types, verbs, found = Types(), [*read_verbs(), *beside()], read_ports()
    for verb in [v for port in found for v in port.verbs if v.name not in ("platform", "kind")]:
        for _, rust in verb.params:
            types.python(rust)
        types.python(verb.answer)
    for verb in verbs:
        for name, rust in verb.params:
            if rust.removeprefix("&") not in ("Providers",):
                types.python(rust)
        if verb.answer not in ("T", "Listing<T>"):
            types.python(verb.answer)
    for name in ("Login", "Actor", "BundleManifest", "ResourceKind", "ErrorKind", "Is", "JobPhase"):
        types.python(name)
    for kind in types.used["ResourceKind"].variants:  # type: ignore[union-attr]
        types.python(kind.name)
    text = model(types)
    kinds = {v.name: v.wire for v in types.used["ResourceKind"].variants}  # type: ignore[union-attr]
    for kind, wire in kinds.items():
        text = re.sub(
            rf'(class {kind}\(Value\):\n    """.*?"""\n)', rf'\1\n    _kind: ClassVar[str] = "{wire}"', text, count=1, flags=re.S
        )
    return {"model.py": text, "_areas.py": areas(types, verbs, False), "_aio_areas.py": areas(types, verbs, True), "_ports.py": ports(types, found)}


# Beside the verbs of the face: what the Rust type of an answer can do and its values here cannot.
BESIDE = [
    ("html", "The report as one HTML page that needs nothing else; its JSON document is in it."),
    ("json", "The report as the JSON document that ``verify`` takes."),
    ("removal_script", "The commands that remove what a job left behind, a line each, as far as they are known (SM-68)."),
]


def beside() -> list[Verb]:
    raises = ["", "# Errors", "As ``get``."]
    return [Verb("reports", name, [doc, *raises], [("job", "&JobId")], "String", False) for name, doc in BESIDE]


def signatures() -> dict[str, list[str]]:
    """Every verb that a session has, with the names of what it takes."""
    generic = {"inventory.list", "inventory.get"}
    every = {f"{v.area}.{v.name}": [name for name, _ in v.params] for v in [*read_verbs(), *beside()]}
    return {name: ["kind", *takes] if name in generic else takes for name, takes in every.items()}


def main() -> int:
    stale = []
    for name, text in everything().items():
        file = OUT / name
        if not file.exists() or file.read_text() != text:
            stale.append(name)
            if "--check" not in sys.argv:
                file.write_text(text)
    if "--check" in sys.argv and stale:
        print(f"not what the source gives: {', '.join(stale)}; run ns-py/generate.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
