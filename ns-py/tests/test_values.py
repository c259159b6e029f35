"""Values: frozen, readable, and the same after a way to JSON and back."""

from __future__ import annotations

import dataclasses
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone

import neverstop
import pytest
from neverstop import UNSET, Secret, _values, model

from conftest import Site, group_request


def there_and_back(value: object, of: object) -> object:
    return _values.loads(json.dumps(_values.to_json(value)).encode(), of)


@pytest.mark.parametrize("name", [n for n in model.__all__ if dataclasses.is_dataclass(getattr(model, n))])
def test_every_value_has_a_reader(name: str) -> None:
    if name != "Listing":
        assert _values._reader(getattr(model, name)) is not None


def test_what_the_engine_says_is_the_same_after_a_way_to_json_and_back(site: Site) -> None:
    group, plan = site.protect()
    drill = site.dr.jobs.create(neverstop.JobRequest.drill(group, plan))
    drill.wait(check=True)
    drill.rollback("test")
    drill.wait()
    point = site.dr.points.list(group).first()
    for value in (group, plan, point, drill.get(), drill.view(), drill.report(), site.dr.health.report(), site.dr.inventory.whole(site.source)):
        assert there_and_back(value, type(value)) == value
    for entry in drill.watch():
        assert there_and_back(entry, neverstop.Entry) == entry
    assert there_and_back(site.dr.jobs.explain(neverstop.JobRequest.failover(group, plan)), neverstop.Explanation)


def test_a_value_is_frozen_and_pickles(site: Site) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        site.source.name = "other"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(site.source)) == site.source
    assert site.source.to_dict()["sync"]["state"] == "done"
    assert "seoul" in repr(site.source) and "<td" in site.source._repr_html_()


def test_a_notebook_shows_tables(site: Site) -> None:
    group, plan = site.protect()
    drill = site.dr.jobs.create(neverstop.JobRequest.drill(group, plan))
    drill.wait(check=True)
    # As it stands now, asked when it is shown.
    assert drill._repr_html_() == drill.get()._repr_html_() and "completed" in drill._repr_html_()
    drill.rollback("test")
    drill.wait()
    report = drill.report()._repr_html_()
    # A row for each instance, with its name as it is; what is much is folded.
    assert all(f">web-{n}</td>" in report for n in (1, 2, 3)) and "<details><summary>" in report
    told = site.dr.jobs.explain(neverstop.JobRequest.drill(group, plan))._repr_html_()
    assert "<th>sentence</th>" in told and "entries</summary>" in told
    listing = site.dr.inventory.list(neverstop.Instance, site.source).page()
    assert "<th>name</th>" in listing._repr_html_()
    odd = neverstop.Listing(items=tuple(neverstop.ClusterRequest(name="<b>", owner_group_id="o") for _ in range(150)), total=150)
    assert "<b>" not in odd._repr_html_() and "&lt;b&gt;" in odd._repr_html_() and "and 50 more" in odd._repr_html_()
    assert neverstop.Listing(items=(), total=0)._repr_html_() == ""


def test_alternatives_are_told_apart() -> None:
    for value, plain in (
        (neverstop.SyncStateInit(), {"state": "init"}),
        (neverstop.SyncStateFailed(reason="no"), {"state": "failed", "reason": "no", "complete_at": None}),
    ):
        assert _values.to_json(value) == plain
        assert there_and_back(value, neverstop.SyncState) == value
    for days in (neverstop.DayOfMonthDay(day=5), neverstop.DayOfMonthLast()):
        assert there_and_back(days, neverstop.DayOfMonth) == days
    assert _values.to_json(neverstop.DayOfMonthDay(day=5)) == {"is": "day", "day": 5}
    for condition in (neverstop.IsAbsent(), neverstop.IsOneOf(value=("a", "b"))):
        assert there_and_back(condition, neverstop.Is) == condition
    assert _values.to_json(neverstop.IsAbsent()) == "absent"


def test_pg_15_a_field_left_out_is_left_and_none_is_meant(site: Site) -> None:
    every = neverstop.SnapshotInterval(every=20, unit=neverstop.IntervalUnit.MINUTES)
    request = dataclasses.replace(group_request(site.source, site.servers), rpo_minutes=60, snapshot_interval=every)
    group = site.dr.protection_groups.create(request)
    update = site.dr.protection_groups.update
    assert neverstop.GroupUpdate().snapshot_interval is UNSET
    assert update(group, neverstop.GroupUpdate(name="h"))[0].snapshot_interval == every
    assert update(group, neverstop.GroupUpdate(snapshot_interval=None))[0].snapshot_interval is None


def test_times_have_a_zone() -> None:
    seoul = timezone(timedelta(hours=9))
    assert _values.to_json(datetime(2026, 1, 1, 9, tzinfo=seoul)) == "2026-01-01T00:00:00Z"
    assert _values.loads(b'"2026-01-01T00:00:00.123456789Z"', datetime) == datetime(2026, 1, 1, microsecond=123456, tzinfo=UTC)
    with pytest.raises(neverstop.InvalidError) as caught:
        _values.to_json(datetime(2026, 1, 1))
    assert caught.value.code == "python.time_zone" and caught.value.remedy


def test_sec_15_a_secret_is_not_shown() -> None:
    half = neverstop.HalfConnection(kind="openstack", secrets={"password": Secret("horse-17")})
    assert "horse" not in repr(half) + str(half) + half._repr_html_()
    assert half.to_dict()["secrets"] == {"password": "horse-17"}


def test_ui_04_questions() -> None:
    query = neverstop.where(status=["ACTIVE", "ERROR"], owner=None, enabled=True, search="web", sort=["name", "-at"], limit=7)
    assert query.to_dict() == {
        "filter": [
            {"field": "status", "is": {"one_of": ["ACTIVE", "ERROR"]}},
            {"field": "owner", "is": "absent"},
            {"field": "enabled", "is": {"one_of": ["true"]}},
        ],
        "search": "web",
        "sort": [{"field": "name", "descending": False}, {"field": "at", "descending": True}],
        "page": {"after": None, "limit": 7},
    }
