"""How to connect to clouds and storage, from what their own tools keep."""

from __future__ import annotations

import configparser
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import _native
from ._values import Secret
from .exceptions import InvalidError, NotFoundError
from .model import Connection, HalfConnection

_AUTH = (
    "auth_url",
    "username",
    "user_domain_name",
    "user_domain_id",
    "project_name",
    "project_id",
    "project_domain_name",
    "project_domain_id",
)
_AUTH_SECRET = ("password", "application_credential_id", "application_credential_secret")
_PLACE = ("region_name", "interface", "cacert")


def openstack(
    cloud: Any = None,
    *,
    file: str | os.PathLike[str] | None = None,
    allow_http: bool = False,
    config_drive: bool = False,
    **settings: str,
) -> HalfConnection:
    """How to connect to an OpenStack cloud.

    Args:
        cloud: a name in ``clouds.yaml``; nothing for the one that ``OS_CLOUD`` names, or what the other ``OS_*`` variables say; or an
            ``openstack.connection.Connection``, of which the configuration is taken.
        file: the ``clouds.yaml``; else the first of ``OS_CLIENT_CONFIG_FILE``, the working folder, ``~/.config/openstack`` and
            ``/etc/openstack``. ``secure.yaml`` beside it is laid over it.
        allow_http: whether plain http is allowed, for a test cloud.
        config_drive: whether servers need a config drive: the cloud has no metadata service.
        settings: other settings, by the names of the connector's fields (``region_name="RegionOne"``); they stand above the rest.

    Raises:
        ``NotFoundError`` when there is no such file or cloud; ``InvalidError`` for what cannot be understood, naming the field.
    """
    name = cloud if cloud is not None else os.environ.get("OS_CLOUD")
    if isinstance(name, str):
        told, kept = _native.clouds_yaml(name, None if file is None else os.fspath(file))
        given, secrets = dict(told), dict(kept)
    elif cloud is None:
        given, secrets = _of_section(_environment())
    else:
        given, secrets = _of_section(_configuration(cloud))
    given.update(settings)
    for flag, on in (("allow_http", allow_http), ("config_drive", config_drive)):
        if on:
            given[flag] = "true"
    return HalfConnection(kind="openstack", settings=given, secrets={n: Secret(s) for n, s in secrets.items()})


def _environment() -> dict[str, Any]:
    """What ``OS_*`` says, in the form of a cloud's section."""
    said = {name.removeprefix("OS_").lower(): text for name, text in os.environ.items() if name.startswith("OS_") and text}
    if "auth_url" not in said:
        raise InvalidError(
            "neither a cloud is named nor does the environment say where one is",
            code="python.openstack",
            field="cloud",
            remedy="name a cloud of clouds.yaml, or set OS_CLOUD or OS_AUTH_URL",
        )
    return {"auth": said, **{name: said[name] for name in _PLACE if name in said}}


def _configuration(connection: Any) -> dict[str, Any]:
    """The section that a connection of ``openstacksdk`` was made of."""
    config = getattr(getattr(connection, "config", None), "config", None)
    if not isinstance(config, Mapping):
        raise InvalidError(
            f"{type(connection).__name__} is neither the name of a cloud nor a connection of openstacksdk",
            code="python.openstack",
            field="cloud",
            remedy="give a name or an openstack.connection.Connection",
        )
    return dict(config)


def _of_section(section: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    auth = dict(section.get("auth") or {})
    auth.setdefault("project_name", auth.get("tenant_name"))
    for what in ("name", "id"):
        common = auth.get(f"domain_{what}") or (auth.get("default_domain") if what == "id" else None)
        for whose in ("user", "project"):
            if not auth.get(f"{whose}_domain_name") and not auth.get(f"{whose}_domain_id"):
                auth[f"{whose}_domain_{what}"] = common
    settings = {n: str(auth[n]) for n in _AUTH if auth.get(n)} | {n: str(section[n]) for n in _PLACE if section.get(n)}
    settings["interface"] = settings.get("interface", "public").removesuffix("URL")
    return settings, {n: str(auth[n]) for n in _AUTH_SECRET if auth.get(n)}


def ceph(
    conf: str | os.PathLike[str] = "/etc/ceph/ceph.conf",
    *,
    user: str,
    pools: Iterable[str],
    site_name: str,
    keyring: str | os.PathLike[str] | None = None,
    admin_user: str | None = None,
    admin_keyring: str | os.PathLike[str] | None = None,
) -> HalfConnection:
    """How to connect to a Ceph cluster.

    Args:
        conf: its ``ceph.conf``; the addresses of the monitors are taken from it.
        user: the Ceph user without ``client.``.
        pools: pools, or ``pool/namespace``, of the protected volumes.
        site_name: the name that this cluster has for its peers.
        keyring: the file with the user's key; else the one that ``ceph.conf`` names, or ``CLUSTER.client.USER.keyring`` beside it.
        admin_user: a user that may create Ceph users; only pairing needs one.
        admin_keyring: the file with that user's key, found in the same way.

    Raises:
        ``NotFoundError`` when a file is not there; ``InvalidError`` when it does not say what is needed.
    """
    place = Path(conf)
    said = _ini(place, "conf")
    wanted = said.get("global", {})
    mon_host = wanted.get("mon_host")
    if not mon_host:
        raise InvalidError(
            "the file does not say where the monitors are",
            code="python.ceph",
            field="conf",
            remedy="write mon_host into its section [global]",
            context={"file": str(place)},
        )
    settings = {"mon_host": mon_host, "user": user, "pools": ",".join(pools), "site_name": site_name}
    secrets = {"key": Secret(_key(place, said, user, keyring, "keyring"))}
    if admin_user is not None:
        settings["admin_user"] = admin_user
        secrets["admin_key"] = Secret(_key(place, said, admin_user, admin_keyring, "admin_keyring"))
    return HalfConnection(kind="ceph-rbd", settings=settings, secrets=secrets)


def _key(conf: Path, said: Mapping[str, Mapping[str, str]], user: str, given: str | os.PathLike[str] | None, field: str) -> str:
    named = said.get(f"client.{user}", {}).get("keyring")
    place = Path(given or named or conf.with_name(f"{conf.stem}.client.{user}.keyring"))
    key = _ini(place, field).get(f"client.{user}", {}).get("key")
    if not key:
        raise InvalidError(
            f"the file has no key of client.{user}", code="python.ceph", field=field, context={"file": str(place)}
        )
    return key


_BELOW = ("admin_keyring", "admin_user", "conf", "keyring", "pools", "site_name", "user")


def site(cloud: str, *, file: str | os.PathLike[str] | None = None) -> Connection:
    """How to connect to a cloud of ``clouds.yaml`` and the Ceph cluster under it, from the name alone.

    What ``ceph()`` needs may stand in the cloud's section, below a name that OpenStack's own tools pass over::

        clouds:
          seoul:
            auth: {...}
            neverstop:
              storage: {conf: /etc/ceph/seoul.conf, user: neverstop, pools: [volumes], site_name: seoul}

    These are also what counts where it does not say so: ``conf`` is of the cloud's name, and so is ``site_name``.

    Args:
        cloud: a name in ``clouds.yaml``.
        file: the ``clouds.yaml``, as ``openstack()`` has it.

    Raises:
        ``NotFoundError``, ``InvalidError``: those of ``openstack()`` and ``ceph()``, naming the field.
    """
    told = json.loads(_native.storage_yaml(cloud, None if file is None else os.fspath(file)))
    given = _below({} if told is None else told)
    defaults = {"conf": f"/etc/ceph/{cloud}.conf", "user": "neverstop", "pools": ["volumes"], "site_name": cloud}
    return Connection(cloud=openstack(cloud, file=file), storage=ceph(**{**defaults, **given}))


def _below(told: Any) -> dict[str, Any]:
    """What a cloud's section says of its storage. What it says is not quoted: it may be a secret in the wrong place."""

    def wrong(field: str, message: str, remedy: str) -> InvalidError:
        return InvalidError(message, code="python.site", field=field, remedy=remedy)

    if not isinstance(told, dict):
        raise wrong("neverstop.storage", "the section has the wrong form", "write it as names and values")
    for name, value in told.items():
        field = f"neverstop.storage.{name}"
        if name not in _BELOW:
            raise wrong(field, "there is no such setting", f"use one of {', '.join(_BELOW)}")
        good = isinstance(value, list) and all(isinstance(v, str) for v in value) if name == "pools" else isinstance(value, str)
        if not good:
            raise wrong(field, "the value has the wrong form", "write pools as a list of texts, everything else as a text")
    return told


def _ini(place: Path, field: str) -> dict[str, dict[str, str]]:
    """A file of Ceph's: sections of names and values. Names may have blanks for strokes, lines may be indented."""
    try:
        text = place.read_text()
    except FileNotFoundError as error:
        raise NotFoundError(
            "there is no such file", code="python.ceph", field=field, remedy="give its path", context={"file": str(place)}
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidError("the file cannot be read", code="python.ceph", field=field, context={"file": str(place)}) from error
    reader = configparser.ConfigParser(interpolation=None, strict=False, inline_comment_prefixes=("#", ";"))
    reader.optionxform = lambda name: "_".join(name.replace("_", " ").split())  # type: ignore[assignment,method-assign]
    try:
        reader.read_string("\n".join(line.strip() for line in text.splitlines()))
    except configparser.Error:
        # What it says would be quoted, and a keyring is secret.
        raise InvalidError(
            "the file has not the form of Ceph's files", code="python.ceph", field=field, context={"file": str(place)}
        ) from None
    return {name: dict(reader[name]) for name in reader.sections()}
