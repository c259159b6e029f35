"""What the engine says is in Python's ``logging``."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
import threading

import neverstop
import pytest
from neverstop import ClusterRequest, Connection, HalfConnection, sim


class Heard(logging.Handler):
    """Keeps what it hears, and can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.more = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self.more:
            self.records.append(record)
            self.more.notify_all()

    def find(self, text: str) -> logging.LogRecord:
        with self.more:
            found: list[logging.LogRecord] = []

            def there() -> bool:
                found[:] = [r for r in self.records if text in r.getMessage()]
                return bool(found)

            assert self.more.wait_for(there, 30), [r.getMessage() for r in self.records]
            return found[0]


@pytest.fixture
def heard() -> Heard:
    return Heard()


def protect(dr: neverstop.Session, world: sim.World) -> neverstop.Job:
    a, b = (dr.clusters.add(ClusterRequest(name=n, owner_group_id="ops"), world.connection(n)) for n in "ab")
    servers = tuple(server.id for server in dr.protection_groups.unprotected(a))
    request = neverstop.GroupRequest(name="g", owner_group_id="ops", source_cluster=a.id, instances=servers, rpo_minutes=15, rto_minutes=30)
    _, job = dr.plans.create(dr.plans.suggest(dr.protection_groups.create(request), b))
    return job


def test_a_job_is_heard_with_its_fields(heard: Heard, request: pytest.FixtureRequest) -> None:
    logger = logging.getLogger("neverstop.core")
    logger.setLevel(logging.DEBUG)
    request.addfinalizer(lambda: logger.setLevel(logging.NOTSET))
    logger.addHandler(heard)
    request.addfinalizer(lambda: logger.removeHandler(heard))
    world = sim.World(servers=1)
    with neverstop.connect(world=world) as dr:
        job = protect(dr, world)
        job.wait(check=True)
        record = heard.find(f"job={job.id}")
    assert record.name.startswith("neverstop.core.engine.") and record.pathname.endswith(".rs") and record.lineno > 0
    assert record.__dict__["neverstop"]["job"] == job.id
    # Of our own crates alone.
    assert {r.name.split(".")[1] for r in heard.records} == {"core"}


def test_what_nobody_wants_is_not_heard(heard: Heard, request: pytest.FixtureRequest) -> None:
    logger = logging.getLogger("neverstop")
    logger.addHandler(heard)
    request.addfinalizer(lambda: logger.removeHandler(heard))
    with neverstop.connect() as dr:
        half = HalfConnection(kind="ceph-rbd", settings={}, secrets={"key": "horse-17"})
        with pytest.raises(neverstop.NeverStopError):
            dr.clusters.connect_and_check(Connection(cloud=half, storage=half))
    assert all(r.levelno >= logging.WARNING for r in heard.records)
    assert not any("horse" in r.getMessage() for r in heard.records)


SCRIPT = """
import logging, os, sys
import neverstop
from neverstop import sim
logging.basicConfig(stream=sys.stdout, level={level}, format="%(name)s %(levelname)s %(message)s")
def life():
    world = sim.World(servers=1)
    with neverstop.connect(world=world) as dr:
        a = dr.clusters.add(neverstop.ClusterRequest(name="a", owner_group_id="o"), world.connection("a"))
        world.kill("a")
        world.advance(3600)
        try:
            dr.clusters.probe(a)
        except neverstop.NeverStopError:
            pass
life()
sys.stdout.flush()
if os.fork() == 0:
    print("child", flush=True)
    life()
else:
    os.wait()
"""


@pytest.mark.parametrize(("level", "said"), [(logging.DEBUG, True), (logging.CRITICAL, False)])
def test_all_of_it_is_told_before_the_interpreter_goes_also_of_a_forked_one(level: int, said: bool) -> None:
    script = textwrap.dedent(SCRIPT).replace("{level}", str(level))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    parent, child = done.stdout.split("child\n", 1)
    for told in parent, child:
        assert ("neverstop.core." in told) is said, told


def test_without_handlers_it_is_silent() -> None:
    script = SCRIPT.replace("logging.basicConfig", "dict").replace("{level}", "0").split("sys.stdout.flush()")[0]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
