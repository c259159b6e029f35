"""The package has every verb of the engine, under its name and with its arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import neverstop
import pytest
from neverstop import _native, aio

HERE = Path(os.environ.get("NEVERSTOP_SOURCE", Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(HERE))

import generate  # noqa: E402


def test_the_native_table_has_every_verb_of_the_rust_face() -> None:
    assert {name: takes for name, takes in _native.verbs()} == generate.signatures()


def test_what_is_made_from_the_source_is_current() -> None:
    made = subprocess.run([sys.executable, HERE / "generate.py", "--check"], capture_output=True, text=True, check=False)
    assert (made.returncode, made.stderr) == (0, "")


def test_both_faces_have_every_verb() -> None:
    for name in generate.signatures():
        area, verb = name.split(".")
        for session in (neverstop.Session, aio.Session):
            part = _part(session, area)
            assert callable(getattr(part, verb)), name
            assert getattr(part, verb).__doc__, name


def _part(session: type, area: str) -> type:
    import typing

    return typing.get_type_hints(session)[area]  # type: ignore[no-any-return]


def test_an_unknown_verb_is_refused_by_name(site: object) -> None:
    with pytest.raises(neverstop.InvalidError) as caught:
        site.dr._native.call("clusters.explode", b"{}")  # type: ignore[attr-defined]
    assert (caught.value.code, caught.value.field) == ("python.verb", "verb")
    assert "clusters.explode" in caught.value.message


@pytest.mark.parametrize(
    ("verb", "args", "field", "code"),
    [
        ("clusters.get", b'{"id": "x", "more": 1}', "more", "python.argument"),
        ("clusters.get", b'{"id": 7}', "id", "python.argument"),
        ("clusters.get", b"{}", "id", "python.argument"),
        ("clusters.get", b"[]", None, "python.arguments"),
        ("clusters.check", b"{}", "providers", "python.providers"),
        ("protection_groups.create", b'{"request": {"name": "x", "colour": "red"}}', "request", "python.argument"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(site: object, verb: str, args: bytes, field: str | None, code: str) -> None:
    before = list(site.dr.clusters.list())  # type: ignore[attr-defined]
    with pytest.raises(neverstop.InvalidError) as caught:
        site.dr._native.call(verb, args)  # type: ignore[attr-defined]
    assert (caught.value.kind, caught.value.code, caught.value.field) == ("invalid", code, field)
    assert list(site.dr.clusters.list()) == before  # type: ignore[attr-defined]


def test_sec_15_a_secret_of_a_wrong_form_is_not_quoted(site: object) -> None:
    with pytest.raises(neverstop.InvalidError) as caught:
        site.dr._native.call("account.change_password", b'{"current": ["horse-17"], "new": "x"}')  # type: ignore[attr-defined]
    assert "horse" not in str(caught.value) and caught.value.field == "current"
    for connection in (b'{"cloud": {"secrets": {"password": ["horse-17"]}}, "storage": {}}', b'{"cloud": {"secrets": "horse-17"}, "storage": {}}'):
        with pytest.raises(neverstop.InvalidError) as caught:
            site.dr._native.call("clusters.connect_and_check", b'{"connection": ' + connection + b"}")  # type: ignore[attr-defined]
        assert "horse" not in str(caught.value) and caught.value.field == "connection"
