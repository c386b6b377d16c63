"""The driver's small parts: addresses, threads, timers, the environment, and what Go prints."""

import asyncio
import functools
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponton_bridge.model.address import Address
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import followup, port
from ponton_bridge.whatsapp.followup import FINAL_AFTER, MAX_UNREADABLE, REFRESH, Followup
from ponton_bridge.whatsapp.neonize_driver import environment, jids, protos
from ponton_bridge.whatsapp.neonize_driver.feed import Feed
from ponton_bridge.whatsapp.neonize_driver.native import Callbacks
from ponton_bridge.whatsapp.neonize_driver.session import Session
from ponton_bridge.whatsapp.neonize_driver.threads import MAX_WAITING, Crew

ANA = Address(number="447700900123", lid="1001")
PATIENCE = 5.0  # seconds

digits = st.from_regex(r"[1-9][0-9]{4,14}", fullmatch=True)


@given(st.builds(Address, lid=digits) | st.builds(Address, number=digits) | st.builds(Address, group=digits))
def test_addresses_survive_the_way_there_and_back(who: Address) -> None:
    """A JID made of an address is read as that address."""
    assert who == jids.address(jids.jid(who))


@pytest.mark.parametrize(
    ("user", "server", "expected"),
    [
        ("447700900123", "c.us", Address(number="447700900123")),
        ("447700900123", "hosted", Address(number="447700900123")),
        ("1001", "hosted.lid", Address(lid="1001")),
        ("447700900123-1400000000", "g.us", Address(group="447700900123-1400000000")),
        ("status", "broadcast", None),
        ("1", "newsletter", None),
        ("", "s.whatsapp.net", None),
        ("٣", "lid", None),
    ],
)
def test_jid_of_every_server(user: str, server: str, expected: Address | None) -> None:
    """What is neither person nor group has no address; digits are ASCII digits."""
    jid = protos.neonize("JID", User=user, RawAgent=0, Device=3, Integrator=0, Server=server)
    assert expected == jids.address(jid)


def python(program: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], env=env, capture_output=True, text=True, check=True
    )


def test_installed_library_has_the_version_that_is_described() -> None:
    """The functions are those of exactly this version; it is loaded by the first call, not by an import."""
    program = (
        "from ponton_bridge.whatsapp.neonize_driver import driver, native; from pathlib import Path;"
        "maps = Path('/proc/self/maps').read_text;"
        "before = 'neonize-linux' in maps(); native.library(); print(before, 'neonize-linux' in maps())"
    )
    assert "False True\n" == python(program).stdout


def test_driver_drags_in_no_other_library() -> None:
    """Of the Go library's Python package nothing is imported: its web, image and phone-number libraries stay out."""
    program = (
        "import sys; from ponton_bridge.whatsapp.neonize_driver import driver, native; native.library();"
        "heavy = 'neonize requests httpx PIL phonenumbers linkpreview segno tqdm magic bs4 aiohttp'.split();"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert "[]\n" == python(program).stdout


# ---- environment and output -----------------------------------------------------------------------------------


def test_environment_is_the_one_of_exec() -> None:
    """What is set inside the process is not seen, as the library does not see it."""
    program = (
        "import os; os.environ['NEONIZE_BOT_TAG'] = 'off';"
        "from ponton_bridge.whatsapp.neonize_driver import environment; print(environment.lacking())"
    )
    bare = {k: v for k, v in os.environ.items() if k not in environment.WANTED}

    def run(env: dict[str, str]) -> str:
        return subprocess.run(
            [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
        ).stdout

    assert "['NEONIZE_BOT_TAG']\n" == run(bare)
    assert "[]\n" == run(bare | environment.WANTED)


def test_output_of_go_is_kept_apart(tmp_path: Path) -> None:
    """Our own streams go where they went; what is written to 1 and 2 by number does not, and last words are kept."""
    program = (
        "import os, sys, pathlib; from ponton_bridge.whatsapp.neonize_driver import stdio;"
        "stdio.keep_apart(pathlib.Path(sys.argv[1])); os.write(1, b'noise'); os.write(2, b'last words');"
        "print('ours'); print('error', file=sys.stderr)"
    )
    words = tmp_path / "words"
    for _ in range(2):
        run = python(program, str(words))
        assert ("ours\n", "error\n") == (run.stdout, run.stderr)
    assert ["last words", "last words"] == [words.read_text(), words.with_name("words.before").read_text()]
    assert 0o600 == words.stat().st_mode & 0o777


# ---- threads --------------------------------------------------------------------------------------------------


def test_crew_works_in_order_and_gives_errors_on() -> None:
    """One thread is one order; an error goes to who waits for it, and the thread lives on."""
    crew = Crew("test", 1)
    done: list[int] = []
    jobs = [crew.submit(functools.partial(done.append, number)) for number in range(50)]
    with pytest.raises(ZeroDivisionError):
        crew.submit(lambda: 1 / 0).result(PATIENCE)
    assert all(job.done() for job in jobs)
    assert list(range(50)) == done
    crew.end()


def test_crew_is_bounded_and_withdraws_what_waits() -> None:
    """More than so many jobs are refused; at the end those not begun are cancelled."""
    crew, began, going = Crew("test", 1), threading.Event(), threading.Event()

    def hold() -> bool:
        began.set()
        return going.wait(PATIENCE)

    first = crew.submit(hold)
    assert began.wait(PATIENCE)
    waiting = [crew.submit(lambda: None) for _ in range(MAX_WAITING)]
    with pytest.raises(queue.Full):
        crew.submit(lambda: None)
    crew.end()
    assert all(job.cancelled() for job in waiting)
    going.set()
    assert first.result(PATIENCE)


class Mute:
    """A library whose client shows no sign of life, then lives until it is stopped."""

    def __init__(self) -> None:
        self.callbacks: Callbacks | None = None
        self.began, self.ends = threading.Event(), threading.Event()
        self.stops = 0

    def run(self, _database: str, _client: bytes, _events: bytes, _props: bytes, callbacks: Callbacks) -> str:
        """Stay until stopped."""
        self.callbacks = callbacks
        self.began.set()
        self.ends.wait(PATIENCE)
        return ""

    def stop(self, _client: bytes) -> None:
        """End the client."""
        self.stops += 1
        self.ends.set()


class Ear:
    """Hears a session."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.over = threading.Event()

    def code(self, _session: Session, text: str) -> None:
        """Note a code."""
        self.heard.append(text)

    def status(self, _session: Session, how: str) -> None:
        """Note a status."""
        self.heard.append(how)

    def event(self, _session: Session, number: int, _data: bytes) -> None:
        """Note an event."""
        self.heard.append(str(number))

    def ended(self, _session: Session, problem: str) -> None:
        """Note the end."""
        self.heard.append(f"ended {problem}")
        self.over.set()


def test_session_never_calls_for_a_client_that_go_does_not_know() -> None:
    """Before the first sign of life and after the stop no call gets through: it could end the process."""
    go, ear = Mute(), Ear()
    session = Session(go, "db", b"", b"", ear)  # type: ignore[arg-type]  # as much of a library as is needed
    other = Session(go, "db", b"", b"", ear)  # type: ignore[arg-type]  # the same
    assert session.client != other.client
    session.start()
    assert go.began.wait(PATIENCE)
    for guarded in (session.call, session.look):
        with pytest.raises(port.NotConnected):
            guarded(lambda _go, _me: "called")
    assert go.callbacks is not None
    go.callbacks.code("2@x")
    assert "called" == session.call(lambda _go, _me: "called") == session.look(lambda _go, _me: "called")
    session.stop()
    session.stop()
    for guarded in (session.call, session.look):
        with pytest.raises(port.NotConnected):
            guarded(lambda _go, _me: "called")
    go.callbacks.event(3, b"")
    go.callbacks.status("timeout")
    assert ear.over.wait(PATIENCE)
    assert (1, ["2@x", "ended "]) == (go.stops, ear.heard)


class Strict(Mute):
    """A library that dies of a look at a client that it does not know any more, as the real one does."""

    def __init__(self) -> None:
        super().__init__()
        self.known = True
        self.deaths = 0

    def stop(self, client: bytes) -> None:
        """Forget the client."""
        self.known = False
        super().stop(client)

    def look(self) -> None:
        """Look into the client's store."""
        self.deaths += not self.known


def test_stop_waits_for_looks_into_the_store() -> None:
    """Many threads look while one stops: none of them ever meets a client that Go has forgotten."""
    for _ in range(20):
        go, ear = Strict(), Ear()
        session = Session(go, "db", b"", b"", ear)  # type: ignore[arg-type]  # as much of a library as is needed
        session.start()
        assert go.began.wait(PATIENCE)
        assert go.callbacks is not None
        go.callbacks.code("2@x")
        looked = threading.Barrier(9)

        def look(session: Session = session, go: Strict = go, looked: threading.Barrier = looked) -> None:
            looked.wait(PATIENCE)
            try:
                while True:
                    session.look(lambda _go, _me: go.look())
            except port.NotConnected:
                return

        crowd = [threading.Thread(target=look, daemon=True) for _ in range(8)]
        for thread in crowd:
            thread.start()
        looked.wait(PATIENCE)
        session.stop()
        for thread in crowd:
            thread.join(PATIENCE)
        assert (0, [False] * 8) == (go.deaths, [thread.is_alive() for thread in crowd])


# ---- timers ---------------------------------------------------------------------------------------------------


class Timer:
    """One timer of the clock."""

    def __init__(self, when: float, fire: Callable[[], None]) -> None:
        self.when, self.fire, self.off = when, fire, False

    def cancel(self) -> None:
        """Never fire."""
        self.off = True


class Clock:
    """A loop that has only timers, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Timer] = []

    def call_later(self, delay: float, callback: Callable[..., None], *arguments: object) -> Timer:
        """Note a timer."""
        timer = Timer(self.now + delay, lambda: callback(*arguments))
        self.timers.append(timer)
        return timer

    def pass_(self, seconds: float) -> None:
        """Let time pass; timers fire in their order."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer.when <= end]:
            timer = min(due, key=lambda one: one.when)
            self.timers.remove(timer)
            self.now = timer.when
            if not timer.off:
                timer.fire()
        self.now = end


class Stream:
    """A feed that keeps what it is given."""

    def __init__(self) -> None:
        self.told: list[port.Event] = []
        self.put = self.bring = self.told.append


@pytest.fixture
def timers() -> tuple[Clock, Stream, list[float], Followup]:
    """A followup on a clock, with the times at which it wanted the address book."""
    clock, stream, refreshed = Clock(), Stream(), []
    follow = Followup(
        clock,  # type: ignore[arg-type]  # a stand-in
        put=stream.put,
        bring=stream.bring,
        refresh=lambda: refreshed.append(clock.now),
    )
    return clock, stream, refreshed, follow


Timers = tuple[Clock, Stream, list[float], Followup]


def unreadable(id_: str) -> port.Undecryptable:
    """A message that could not be read yet."""
    return port.Undecryptable(id_, ANA, ANA, 0)


def test_unreadable_message_becomes_final(timers: Timers) -> None:
    """Told once, when no retry has brought it in time; not at all when one has."""
    clock, stream, _, follow = timers
    follow.heard(unreadable("1"))
    follow.heard(unreadable("2"))
    follow.heard(unreadable("1"))
    follow.heard(port.Message("2", ANA, ANA, port.Text("here"), 0))
    clock.pass_(FINAL_AFTER + 1)
    assert [port.Undecryptable("1", ANA, ANA, 0, final=True)] == stream.told


def test_unreadable_messages_are_bounded_and_told_at_the_end(timers: Timers) -> None:
    """The oldest is final when too many wait, and all are when the driver stops."""
    _, stream, _, follow = timers
    for number in range(MAX_UNREADABLE + 1):
        follow.heard(unreadable(str(number)))
    assert ["0"] == [event.id for event in stream.told if isinstance(event, port.Undecryptable)]
    follow.stop()
    assert MAX_UNREADABLE + 1 == len(stream.told)


def test_address_book_is_read_soon_and_then_now_and_then(timers: Timers) -> None:
    """Often after each connect, seldom later, never without a session."""
    clock, _, refreshed, follow = timers
    follow.heard(port.Link(Reason.CONNECTED))
    clock.pass_(sum(REFRESH) + 2 * followup.REFRESH_EVERY)
    due = [sum(REFRESH[: n + 1]) for n in range(len(REFRESH))]
    assert [*due, due[-1] + followup.REFRESH_EVERY, due[-1] + 2 * followup.REFRESH_EVERY] == refreshed
    follow.pause()
    clock.pass_(10_000)
    assert len(REFRESH) + 2 == len(refreshed)


def test_address_book_is_told_when_it_changed(timers: Timers) -> None:
    """A new book is told as it is, the same once more as complete, then no more; an empty one never."""
    _, stream, _, follow = timers
    ana, bob = port.Contact(ANA, "Ana"), port.Contact(Address(lid="1002"), "Bob")
    for entries in ((), (ana,), (ana,), (ana,), (ana, bob), (ana, bob)):
        follow.learned(port.Contacts(entries, complete=bool(entries)), ())
    told = [(len(book.entries), book.complete) for book in stream.told if isinstance(book, port.Contacts)]
    assert [(1, False), (1, True), (2, False), (2, True)] == told


def test_names_of_groups_are_told_each_time(timers: Timers) -> None:
    """They come once after each connect."""
    _, stream, _, follow = timers
    groups = (port.Contact(Address(group="120363001122334455"), "Family"),)
    follow.learned(port.Contacts(()), groups)
    assert [port.Contacts(groups)] == stream.told


async def test_feed_lets_go_of_a_held_thread_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that waits for room is free once nobody reads any more."""
    feed = Feed(asyncio.get_running_loop())
    monkeypatch.setattr("ponton_bridge.whatsapp.neonize_driver.feed.LOOK", 0.01)
    feed._room = threading.BoundedSemaphore(1)
    feed._room.acquire()
    waiting = asyncio.create_task(asyncio.to_thread(feed.bring, port.Lost("x")))
    await asyncio.sleep(0)
    feed.end()
    await asyncio.wait_for(waiting, PATIENCE)
    assert [] == [delivery async for delivery in feed.read()]
