"""Errors: one hierarchy, with all that the engine says of them."""

from __future__ import annotations

import pickle

import neverstop
import pytest
from neverstop import exceptions

from conftest import Site, group_request

KINDS = {
    "invalid": ValueError,
    "not_found": LookupError,
    "denied": PermissionError,
    "unauthenticated": PermissionError,
    "unavailable": ConnectionError,
    "timeout": TimeoutError,
}


@pytest.mark.parametrize("kind", [k.value for k in neverstop.ErrorKind])
def test_every_kind_has_a_class_of_its_own(kind: str) -> None:
    error = exceptions._from_record(kind, "a.b", "no", "name", "do", [("request_id", "req-7")], ["broken", "cable"])
    assert type(error) is not neverstop.NeverStopError and isinstance(error, neverstop.NeverStopError)
    assert isinstance(error, KINDS.get(kind, Exception))
    assert error.retryable == (kind in ("unavailable", "timeout"))
    again = pickle.loads(pickle.dumps(error))
    for e in (error, again):
        assert (e.kind, e.code, e.message, e.field, e.remedy, e.request_id) == (kind, "a.b", "no", "name", "do", "req-7")
        assert str(e) == "no [a.b] (field name, request_id=req-7); do"
        assert e.__cause__ is not None
        assert (str(e.__cause__), str(e.__cause__.__cause__)) == ("broken", "cable")
    assert type(again) is type(error)


def test_a_kind_of_a_newer_engine_is_still_an_error() -> None:
    error = exceptions._from_record("haunted", "a.b", "no", None, None, [], [])
    assert type(error) is neverstop.NeverStopError and error.kind == "haunted"


def test_what_the_engine_refuses(site: Site) -> None:
    with pytest.raises(neverstop.NotFoundError) as missing:
        site.dr.clusters.get("nowhere")
    assert missing.value.kind == "not_found" and "nowhere" in str(missing.value)
    before = list(site.dr.protection_groups.list())
    with pytest.raises(neverstop.InvalidError) as caught:
        site.dr.protection_groups.create(group_request(site.source, site.servers, name="two words!"))
    assert caught.value.field == "name" and caught.value.remedy
    assert list(site.dr.protection_groups.list()) == before


def test_usr_03_what_is_not_theirs_is_not_there(site: Site) -> None:
    mina = site.dr.engine.session(neverstop.Actor.member("mina", neverstop.UserRole.VIEWER, ["shop"]))
    assert mina.actor.name == "mina" and list(mina.clusters.list()) == []
    with pytest.raises(neverstop.NotFoundError):
        mina.clusters.get(site.source)
    with pytest.raises(neverstop.DeniedError):
        mina.settings.update({"parallel": 2})


@pytest.mark.parametrize(
    ("store", "error", "field"),
    [
        ("mysql://user:horse-17@host/db", neverstop.InvalidError, "store"),
        ("sqlite:///no/such/folder/file.db", neverstop.NeverStopError, None),
    ],
)
def test_a_store_that_cannot_be_used(store: str, error: type[neverstop.NeverStopError], field: str | None, tmp_path: object) -> None:
    with pytest.raises(error) as caught:
        neverstop.connect(store, keys=f"{tmp_path}/keys")
    assert caught.value.field == field and caught.value.remedy and "horse" not in str(caught.value)


def test_settings_that_are_out_of_range() -> None:
    with pytest.raises(neverstop.InvalidError):
        neverstop.connect(settings={"parallel": 0})
