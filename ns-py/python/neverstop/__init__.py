"""Disaster recovery of virtual machines between clouds.

>>> import neverstop
>>> with neverstop.connect() as dr:
...     [c.kind for c in dr.clusters.connectors()]
['openstack', 'ceph-rbd']

``connect`` gives a :class:`Session`: clusters, protection groups, plans, jobs and everything else by the names they have in Rust.
``neverstop.aio`` is the same for asyncio, ``neverstop.model`` the values, ``neverstop.sim`` clouds to practise on. A cloud or a storage of
your own is a :class:`CloudProvider` or :class:`StorageProvider`; ``neverstop.conformance`` says whether it does what it must.
"""

from . import aio, exceptions, model, sim
from ._connections import ceph, openstack, site
from ._ports import CloudProvider, StorageProvider
from ._query import containing, where
from ._session import Engine, Session, connect
from ._sync import Job, Paged
from ._values import UNSET, Secret
from .exceptions import *  # noqa: F403
from .model import *  # noqa: F403

__all__ = [
    "UNSET",
    "CloudProvider",
    "Engine",
    "Job",
    "Paged",
    "Secret",
    "Session",
    "StorageProvider",
    "aio",
    "ceph",
    "connect",
    "containing",
    "exceptions",
    "model",
    "openstack",
    "sim",
    "site",
    "where",
]
__all__ += exceptions.__all__
__all__ += model.__all__
