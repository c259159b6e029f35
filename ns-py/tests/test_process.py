"""The package as a part of a process: threads, the interpreter's lock, signals, forks, the end."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import neverstop
import pytest
from neverstop import Secret, sim
from neverstop._ports import NativeStorageProvider

RUNS = int(os.environ.get("NEVERSTOP_RUNS", "1000"))


def run(script: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_threads_share_a_session() -> None:
    with neverstop.connect() as dr, ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: dr.user_groups.create(neverstop.UserGroupRequest(name=f"g{n}")).name, range(40)))
        assert sorted(g.name for g in dr.user_groups.list(neverstop.where(limit=7))) == sorted(made)


WORLD = sim.World()


class Slow(NativeStorageProvider):
    """Says after half a second that it is too slow."""

    kind = "slow"

    @classmethod
    async def connect(cls, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> Self:
        return cls(WORLD._native.storage("a"))

    async def check(self) -> neverstop.StorageReport:
        await asyncio.sleep(0.5)
        raise neverstop.UnavailableError("too slow", code="slow")


def a_stream(dr: neverstop.Session) -> None:
    stream = dr._native.stream("events.watch", b'{"place": "00000000000000000000"}')
    with pytest.raises(TimeoutError):
        stream.next(timeout=0.5)


def a_verb(dr: neverstop.Session) -> None:
    half = neverstop.HalfConnection(kind="slow", settings={}, secrets={})
    with pytest.raises(neverstop.UnavailableError):
        dr.clusters.connect_and_check(neverstop.Connection(cloud=WORLD.connection("a").cloud, storage=half))


def making_an_engine(_: neverstop.Session) -> None:
    # A database that takes its time to say nothing.
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Timer(0.5, server.close).start()
        with pytest.raises(neverstop.NeverStopError):
            neverstop.connect(f"postgresql://anna@127.0.0.1:{server.getsockname()[1]}/dr")


@pytest.mark.parametrize("blocking", [a_stream, a_verb, making_an_engine])
def test_the_lock_is_let_go_of_while_somebody_waits(blocking: Callable[[neverstop.Session], None]) -> None:
    with neverstop.connect(world=WORLD, storages=[Slow]) as dr, ThreadPoolExecutor(1) as pool:
        begun = time.monotonic()
        waiting = pool.submit(blocking, dr)
        counted = 0
        while not waiting.done():
            counted += 1
        waiting.result()
        assert time.monotonic() - begun > 0.4
        # Holding the lock through the wait would leave a handful.
        assert counted > 10_000


def test_a_signal_ends_a_wait_at_once_and_harms_nothing(request: pytest.FixtureRequest) -> None:
    # A shell that begins the tests in the background has it ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    with neverstop.connect() as dr:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            next(iter(dr.events.watch()))
        assert time.monotonic() - begun < 1
        assert dr.health.report().worst is None


def test_a_forked_process_is_told_so_and_can_connect_itself() -> None:
    done = run(
        """
        import os, warnings
        import neverstop
        warnings.simplefilter("ignore")
        dr = neverstop.connect()
        dr.settings.get()
        child = os.fork()
        if child == 0:
            try:
                dr.settings.get()
            except neverstop.ForkError as error:
                print(error.kind, error.remedy is not None, flush=True)
            with neverstop.connect() as own:
                print(own.health.report().worst, flush=True)
        else:
            _, status = os.waitpid(child, 0)
            print("child", status, flush=True)
            dr.settings.get()
            dr.close()
            print("parent", flush=True)
        """
    )
    assert (done.returncode, done.stdout.split("\n")[:4], done.stderr) == (0, ["fork True", "None", "child 0", "parent"], "")


ENDINGS = {
    "closed": "with neverstop.connect() as dr: dr.settings.get()",
    "not closed": "dr = neverstop.connect(); dr.settings.get()",
    "a thread waits": """
dr = neverstop.connect()
import threading, time
threading.Thread(target=lambda: next(iter(dr.events.watch())), daemon=True).start()
time.sleep(0.01)
""",
    "a loop ended in the middle": """
import asyncio
async def main():
    dr = await neverstop.aio.connect()
    asyncio.create_task(dr.settings.get())
    asyncio.create_task(anext(dr.events.watch()))
    await asyncio.sleep(0)
asyncio.run(main())
""",
    "a provider works": """
import asyncio, threading, time
class Slow(neverstop.StorageProvider):
    kind = "slow"
    async def check(self):
        await asyncio.sleep(100)
Slow.__abstractmethods__ = frozenset()
Slow.capabilities = lambda self: neverstop.StorageCapabilities(modes=(), clone_replica=False)
world = neverstop.sim.World()
dr = neverstop.connect(world=world, storages=[Slow])
half = neverstop.HalfConnection(kind="slow", settings={}, secrets={})
both = neverstop.Connection(cloud=world.connection("a").cloud, storage=half)
threading.Thread(target=dr.clusters.connect_and_check, args=(both,), daemon=True).start()
time.sleep(0.1)
""",
    "a job runs": """
world = neverstop.sim.World()
servers = world.sample_group(2)
dr = neverstop.connect(world=world)
a, b = (dr.clusters.add(neverstop.ClusterRequest(name=n, owner_group_id="o"), world.connection(n)) for n in "ab")
group = dr.protection_groups.create(neverstop.GroupRequest(name="g", owner_group_id="o", source_cluster=a.id, instances=servers, rpo_minutes=15, rto_minutes=30))
dr.plans.create(dr.plans.suggest(group, b))
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_interpreter_goes_without_a_crash(ending: str) -> None:
    script = "import neverstop\n" + ENDINGS[ending]

    def once(_: int) -> tuple[int, str]:
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stderr if ending not in ("a thread waits", "a provider works") else ""

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(once, range(math.ceil(RUNS / len(ENDINGS)))))
    assert found == {(0, "")}
