"""Spawning and following children: the leash, the grace, the certainty of an end."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponton_operator.cluster.local_children import Children, Place, Running
from ponton_operator.cluster.local_spawn import Child, SpawnOptions, spawn_child, started_at
from ponton_operator.plan.values import Process
from tests.integration.local_world import alive, kill, until

SLEEP = "import time; time.sleep(60)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); {SLEEP}"


def options(tmp_path: Path) -> SpawnOptions:
    """Spawn into the test's folder, our own stderr."""
    return SpawnOptions(tmp_path, 2)


def python(code: str) -> list[str]:
    """Give a command line that runs code."""
    return [sys.executable, "-I", "-S", "-c", code]


async def test_gives_the_exit_code(tmp_path: Path) -> None:
    """The code of an exit is given as it is, a signal as a negative number, and to everybody who asks."""
    child = spawn_child(python("raise SystemExit(75)"), {}, options(tmp_path))
    assert (75, 75) == tuple(await asyncio.gather(child.wait(), child.wait()))
    child = spawn_child(python(SLEEP), {}, options(tmp_path))
    child.send(signal.SIGKILL)
    assert -9 == await child.wait()
    child.send(signal.SIGKILL)  # harmless: it has been reaped
    assert None is started_at(child.pid)


async def test_waiting_may_be_given_up(tmp_path: Path) -> None:
    """Who stops waiting takes the end from nobody else."""
    child = spawn_child(python(SLEEP), {}, options(tmp_path))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(child.wait(), 0.01)
    child.send(signal.SIGTERM)
    assert -15 == await child.wait()


async def test_what_a_child_is_like(tmp_path: Path) -> None:
    """It has only its own environment and descriptors, a session of its own, no core dumps, no new privileges."""
    code = (
        "import json, os, resource, sys; status = open('/proc/self/status').read();"
        "print(json.dumps({'env': dict(os.environ), 'cwd': os.getcwd(), 'sid': os.getsid(0) == os.getpid(),"
        " 'core': resource.getrlimit(resource.RLIMIT_CORE), 'umask': os.umask(0),"
        " 'stdin': os.readlink('/proc/self/fd/0'),"
        " 'nnp': status.split('NoNewPrivs:')[1].split()[0], 'fds': sorted(map(int, os.listdir('/proc/self/fd')))}))"
    )
    secret = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(secret, True)  # noqa: FBT003  # as a careless library does
    reader, writer = os.pipe()
    child = spawn_child(python(code), {"ONLY": "this", "LC_ALL": "C.UTF-8"}, SpawnOptions(tmp_path, writer))
    assert 0 == await child.wait()
    told = json.loads(os.read(reader, 65536))
    for number in (secret, reader, writer):
        os.close(number)
    assert {"ONLY": "this", "LC_ALL": "C.UTF-8"} == told["env"]
    assert (str(tmp_path), True, [0, 0], 0o077, "/dev/null", "1") == (
        told["cwd"], told["sid"], told["core"], told["umask"], told["stdin"], told["nnp"],
    )  # fmt: skip
    assert [0, 1, 2, 3] == told["fds"]  # 3 is the listing itself


async def test_a_child_gives_way_as_it_is_told(tmp_path: Path) -> None:
    """Its niceness lies so much above ours."""
    child = spawn_child(
        python(f"import os; raise SystemExit(os.nice(0) - {os.nice(0)})"), {}, SpawnOptions(tmp_path, 2, nice=5)
    )
    assert 5 == await child.wait()


async def test_what_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    """A program that is not there, and a folder that is not there, are OSErrors; nothing is left behind."""
    with pytest.raises(FileNotFoundError):
        spawn_child(["/no/such/program"], {}, options(tmp_path))
    with pytest.raises(FileNotFoundError):
        spawn_child(python("0"), {}, SpawnOptions(tmp_path / "nowhere", 2))


async def test_a_process_of_others_has_no_code(tmp_path: Path) -> None:
    """The end of a process that is not our child is seen, but its code nobody knows."""
    process = await asyncio.create_subprocess_exec(*python(SLEEP))
    child = Child(process.pid)
    process.kill()
    await process.wait()
    assert None is await child.wait()


def test_a_start_time_names_a_process() -> None:
    """It is the same each time, another for others, and none for a pid that nobody has."""
    assert started_at(os.getpid()) == started_at(os.getpid())
    assert started_at(1) != started_at(os.getpid())
    assert None is started_at(2**22 + 1)


class Nursery:
    """Children with what they called back."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.changed: list[str] = []
        self.killed: list[str] = []
        self.children = Children(spawn_child, self.changed.append, self.killed.append)

    def place(self, name: str = "a") -> Place:
        """Give the place of a child."""
        return Place(self.root, self.root / f"{name}.pid", self.root / f"{name}.log")

    def start(self, name: str, epoch: int, code: str) -> int:
        """Start a child; gives its pid."""
        running = Running(epoch, f"i{epoch}", None)
        self.children.start(name, running, python(code), {"LC_ALL": "C.UTF-8"}, self.place(name))
        assert running.child
        return running.child.pid


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    """Children in the test's folder; what is left is killed."""
    made = Nursery(tmp_path)
    yield made
    for file in tmp_path.glob("*.pid"):
        kill(json.loads(file.read_text())["pid"])


async def test_a_life_in_the_table(nursery: Nursery) -> None:
    """Started, told, ended, collected: each is seen, and the pid file is there as long as the process."""
    children = nursery.children
    pid = nursery.start("a", 7, SLEEP)
    assert ((Process(7),), True) == (children.processes("a"), children.is_running("a"))
    note = json.loads((nursery.root / "a.pid").read_text())
    assert {"pid": pid, "start": started_at(pid), "epoch": 7} == note
    children.collect("a", 7)  # not yet: it runs
    children.stop("a", 7)
    children.stop("a", 7)
    assert (Process(7, told=True),) == children.processes("a")
    await until(lambda: nursery.changed)
    assert (Process(7, ended=True, exit_code=-15, told=True),) == children.processes("a")
    assert (["a"], [], False) == (nursery.changed, nursery.killed, children.is_running("a"))
    assert not (nursery.root / "a.pid").exists()
    children.collect("a", 7)
    assert () == children.processes("a")


async def test_an_unknown_process_is_nobodys(nursery: Nursery) -> None:
    """Telling, collecting and asking for what is not there is harmless."""
    nursery.children.stop("nobody", 1)
    nursery.children.collect("nobody", 1)
    assert (None, False) == (nursery.children.running("nobody", 1), nursery.children.is_running("nobody"))
    await nursery.children.stop_all()


async def test_the_deaf_are_killed(nursery: Nursery) -> None:
    """Who does not end in the grace is killed, and that is told once."""
    nursery.start("a", 7, DEAF)
    await until(lambda: "deaf" in (nursery.root / "a.log").read_text())
    nursery.children.stop("a", 7, grace=0.05)
    await until(lambda: nursery.changed)
    assert ["a"] == nursery.killed
    assert -9 == nursery.children.processes("a")[0].exit_code


async def test_an_early_end_is_not_killed(nursery: Nursery) -> None:
    """The grace's timer goes with the process: a successor is not hit by it."""
    nursery.start("a", 7, SLEEP)
    nursery.children.stop("a", 7, grace=0.2)
    await until(lambda: nursery.changed)
    nursery.children.collect("a", 7)
    pid = nursery.start("a", 8, SLEEP)
    await asyncio.sleep(0.3)
    assert alive(pid)
    assert [] == nursery.killed
    await nursery.children.stop_all()


async def test_all_are_ended_together(nursery: Nursery) -> None:
    """Ending all waits for all, the deaf included."""
    pids = [nursery.start(name, 7, DEAF if name == "b" else SLEEP) for name in "abc"]
    await until(lambda: "deaf" in (nursery.root / "b.log").read_text())
    await nursery.children.stop_all(grace=0.1)
    assert [False] * 3 == [alive(pid) for pid in pids]
    assert {"a", "b", "c"} == set(nursery.changed)


async def test_a_start_that_fails_leaves_no_trace(nursery: Nursery) -> None:
    """The error is the caller's; there is no process, no pid file, no open log."""
    fds = len(list(os.scandir("/proc/self/fd")))
    with pytest.raises(FileNotFoundError):
        nursery.children.start("a", Running(7, "i", None), ["/no/such"], {}, nursery.place())
    assert () == nursery.children.processes("a")
    assert not (nursery.root / "a.pid").exists()
    assert fds == len(list(os.scandir("/proc/self/fd")))
    nursery.children.failed("a", 7, 78)
    assert (Process(7, ended=True, exit_code=78),) == nursery.children.processes("a")


async def test_without_a_pid_file_it_runs_all_the_same(nursery: Nursery) -> None:
    """A note that cannot be written is no reason to end: the store's lock tells as much."""
    place = Place(nursery.root, nursery.root / "nowhere" / "pid", None)
    nursery.children.start("a", Running(7, "i", None), python(SLEEP), {}, place)
    assert nursery.children.is_running("a")
    await nursery.children.stop_all()


async def test_what_a_child_started_ends_with_it(nursery: Nursery) -> None:
    """Processes that a child left running are killed with its group; until then they do not hold up its end."""
    code = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-I', '-S', '-c', {SLEEP!r}]); print(p.pid)"
    nursery.start("a", 7, code)
    await until(lambda: nursery.changed)
    grandchild = int((nursery.root / "a.log").read_text())
    await until(lambda: not alive(grandchild))


async def test_a_runaway_does_not_hold_the_log(nursery: Nursery) -> None:
    """Even one that left the group and still has the output open does not keep the child's end from being seen."""
    code = (
        f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-I', '-S', '-c', {SLEEP!r}],"
        " start_new_session=True); print(p.pid)"
    )
    nursery.start("a", 7, code)
    await until(lambda: nursery.changed)
    kill(int((nursery.root / "a.log").read_text()))
