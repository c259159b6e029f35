"""Connections from what the tools of OpenStack and Ceph keep (CL-08)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import neverstop
import pytest
from neverstop import Secret, ceph, openstack, site

CLOUDS = """
clouds:
  seoul:
    auth: {auth_url: "https://c.example:5000", username: anna, project_name: admin, user_domain_name: Default}
    region_name: RegionOne
"""


@pytest.fixture(autouse=True)
def no_cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in [n for n in os.environ if n.startswith("OS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_cl_08_a_name_of_clouds_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clouds.yaml").write_text(CLOUDS)
    (tmp_path / "secure.yaml").write_text("clouds: {seoul: {auth: {password: horse-17}}}")
    half = openstack("seoul", interface="internal", config_drive=True)
    assert half.kind == "openstack" and half.secrets == {"password": Secret("horse-17")}
    assert half.settings == {
        "auth_url": "https://c.example:5000/v3",
        "username": "anna",
        "project_name": "admin",
        "user_domain_name": "Default",
        "project_domain_id": "default",
        "region_name": "RegionOne",
        "interface": "internal",
        "config_drive": "true",
    }
    assert "horse" not in repr(half)
    monkeypatch.setenv("OS_CLOUD", "seoul")
    assert openstack(file=tmp_path / "clouds.yaml").settings["username"] == "anna"
    with pytest.raises(neverstop.NotFoundError) as caught:
        openstack("busan")
    assert (caught.value.code, caught.value.field) == ("clouds_yaml.cloud", "cloud")


def test_cl_08_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(neverstop.InvalidError) as caught:
        openstack()
    assert caught.value.field == "cloud" and caught.value.remedy
    said = {"AUTH_URL": "https://c:5000", "USERNAME": "anna", "PASSWORD": "horse-17", "TENANT_NAME": "admin", "DEFAULT_DOMAIN": "d"}
    for name, text in said.items():
        monkeypatch.setenv(f"OS_{name}", text)
    half = openstack(allow_http=True)
    assert half.settings == {
        "auth_url": "https://c:5000",
        "username": "anna",
        "project_name": "admin",
        "user_domain_id": "d",
        "project_domain_id": "d",
        "interface": "public",
        "allow_http": "true",
    }
    assert half.secrets == {"password": Secret("horse-17")}


def test_cl_08_a_connection_of_openstacksdk() -> None:
    auth = {"auth_url": "https://c:5000", "application_credential_id": "i", "application_credential_secret": "horse-17"}
    connection = SimpleNamespace(config=SimpleNamespace(config={"auth": auth, "region_name": "R", "interface": "internalURL"}))
    half = openstack(connection)
    assert half.settings == {"auth_url": "https://c:5000", "region_name": "R", "interface": "internal"}
    assert half.secrets == {"application_credential_id": Secret("i"), "application_credential_secret": Secret("horse-17")}
    with pytest.raises(neverstop.InvalidError):
        openstack(7)


def test_cl_08_ceph_by_its_own_files(tmp_path: Path) -> None:
    conf, keyring = tmp_path / "seoul.conf", tmp_path / "seoul.client.dr.keyring"
    with pytest.raises(neverstop.NotFoundError) as missing:
        ceph(conf, user="dr", pools=["volumes"], site_name="seoul")
    assert missing.value.field == "conf"
    conf.write_text("[global]\n  mon host = 10.0.0.1,10.0.0.2  # both\n\tfsid = 1\n")
    with pytest.raises(neverstop.NotFoundError) as missing:
        ceph(conf, user="dr", pools=["volumes"], site_name="seoul")
    assert missing.value.field == "keyring"
    keyring.write_text('[client.dr]\n\tkey = AQ==\n\tcaps mon = "allow r"\n')
    half = ceph(conf, user="dr", pools=["volumes", "fast/a"], site_name="seoul", admin_user="dr")
    assert half.settings == {
        "mon_host": "10.0.0.1,10.0.0.2",
        "user": "dr",
        "pools": "volumes,fast/a",
        "site_name": "seoul",
        "admin_user": "dr",
    }
    assert half.secrets == {"key": Secret("AQ=="), "admin_key": Secret("AQ==")}
    keyring.write_text("horse-17\n")
    with pytest.raises(neverstop.InvalidError) as caught:
        ceph(conf, user="dr", pools=["volumes"], site_name="seoul")
    assert "horse" not in str(caught.value) and caught.value.__cause__ is None


def test_cl_08_a_cloud_and_the_storage_under_it_by_one_name(tmp_path: Path) -> None:
    conf = tmp_path / "a.conf"
    conf.write_text("[global]\nmon_host = 10.0.0.1\n")
    (tmp_path / "a.client.neverstop.keyring").write_text("[client.neverstop]\nkey = AQ==\n")

    def told(section: str) -> neverstop.Connection:
        (tmp_path / "clouds.yaml").write_text(CLOUDS.replace("username: anna", "username: anna, password: horse-17") + section)
        return site("seoul")

    connection = told(f"    neverstop: {{allow_http: true, storage: {{conf: {conf}, pools: [volumes, fast/a]}}}}\n")
    assert connection.cloud == openstack("seoul") and connection.cloud.settings["allow_http"] == "true"
    assert connection.storage == ceph(conf, user="neverstop", pools=["volumes", "fast/a"], site_name="seoul")
    # Nothing said: the file of the cloud's name.
    with pytest.raises(neverstop.NotFoundError) as missing:
        told("")
    assert missing.value.field == "conf" and missing.value.context["file"] == "/etc/ceph/seoul.conf"
    for storage, field in [
        ("horse-18", "neverstop.storage"),
        ("{key: horse-18}", "neverstop.storage.key"),
        ("{pools: horse-18}", "neverstop.storage.pools"),
        ("{user: [horse-18]}", "neverstop.storage.user"),
    ]:
        with pytest.raises(neverstop.InvalidError) as caught:
            told(f"    neverstop: {{storage: {storage}}}\n")
        assert caught.value.field == field and caught.value.remedy and "horse" not in repr(caught.value)


def test_the_engine_takes_such_a_connection() -> None:
    with neverstop.connect() as dr:
        half = neverstop.HalfConnection(kind="openstack", settings={"auth_url": "http://127.0.0.1:1"}, secrets={"password": "p"})
        connection = neverstop.Connection(cloud=half, storage=neverstop.HalfConnection(kind="ceph-rbd"))
        with pytest.raises(neverstop.InvalidError) as caught:
            dr.clusters.connect_and_check(connection)
        assert caught.value.field and "settings" in caught.value.field
