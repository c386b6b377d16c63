"""Signal sessions under shuffles, loss, repeats, spoiled bytes and crossing first messages."""

import pickle
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.sandbox.signal.device import Device, Sealed
from tests.sandbox.signal.errors import RepeatedCounter, SignalError
from tests.sandbox.signal.ratchet import MAX_RECEIVING
from tests.sandbox.signal.session import MAX_ARCHIVED

MAX_TURNS = MAX_RECEIVING - 1  # a message older than this many turns may be unreadable by design


class Line:
    """One direction between two devices: what is on its way and what was read."""

    def __init__(self) -> None:
        self.flying: list[tuple[int, bytes, Sealed]] = []
        self.read: list[tuple[bytes, Sealed]] = []


class TwoDevices(RuleBasedStateMachine):
    """Two devices that write, read in any order, lose, repeat and spoil messages, and open new sessions."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        """Make both devices; each opens a session before it first writes."""
        self.random = Random(seed)
        self.devices = [Device.create(self.random.randbytes) for _ in range(2)]
        self.lines = [Line(), Line()]
        self.written = 0
        self.turn = 0

    def _open(self, to: int, sealed: Sealed) -> bytes:
        return self.devices[to].open(1 - to, sealed.kind, sealed.data, self.random.randbytes)

    @rule(who=st.integers(0, 1), size=st.integers(0, 40))
    def write(self, who: int, size: int) -> None:
        """One side writes; without a session it takes a bundle first."""
        writer, reader = self.devices[who], self.devices[1 - who]
        if not writer.has_session(1 - who):
            writer.open_session(1 - who, reader.bundle(self.random.randbytes), self.random.randbytes)
        self.written += 1
        plain = b"%d" % self.written + bytes(size)
        self.lines[who].flying.append((self.turn, plain, writer.seal(1 - who, plain)))

    @rule(who=st.integers(0, 1))
    def renew(self, who: int) -> None:
        """One side opens a new session on top, as a retry with keys makes it do."""
        bundle = self.devices[1 - who].bundle(self.random.randbytes)
        self.devices[who].open_session(1 - who, bundle, self.random.randbytes)

    @precondition(lambda self: any(line.flying for line in self.lines))
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        """Any message on its way is read as written."""
        who = data.draw(st.sampled_from([n for n in (0, 1) if self.lines[n].flying]))
        line = self.lines[who]
        _, plain, sealed = line.flying.pop(data.draw(st.integers(0, len(line.flying) - 1)))
        assert plain == self._open(1 - who, sealed)
        line.read.append((plain, sealed))
        self.turn += 1
        # A message that waited for more turns than receiving chains are kept may be lost: take it away.
        for each in self.lines:
            each.flying = [f for f in each.flying if self.turn - f[0] < MAX_TURNS]

    @precondition(lambda self: any(line.read for line in self.lines))
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """A message that was read before raises and changes nothing."""
        who = data.draw(st.sampled_from([n for n in (0, 1) if self.lines[n].read]))
        _, sealed = data.draw(st.sampled_from(self.lines[who].read[-MAX_TURNS:]))
        before = pickle.dumps(self.devices)
        try:
            self._open(1 - who, sealed)
        except RepeatedCounter:
            pass
        except SignalError:  # its chain or session is out of the archive by now
            assert len(self.lines[who].read) > MAX_TURNS
        else:
            raise AssertionError("read twice")
        assert before == pickle.dumps(self.devices)

    @precondition(lambda self: any(line.flying for line in self.lines))
    @rule(data=st.data())
    def spoil(self, data: st.DataObject) -> None:
        """A changed byte is either refused without a trace, or lay outside the MAC and changes no text."""
        who = data.draw(st.sampled_from([n for n in (0, 1) if self.lines[n].flying]))
        line = self.lines[who]
        at = data.draw(st.integers(0, len(line.flying) - 1))
        _, plain, sealed = line.flying[at]
        spoiled = bytearray(sealed.data)
        spoiled[data.draw(st.integers(0, len(spoiled) - 1))] ^= data.draw(st.integers(1, 255))
        before = pickle.dumps(self.devices)
        try:
            read = self._open(1 - who, sealed._replace(data=bytes(spoiled)))
        except SignalError:
            assert before == pickle.dumps(self.devices)
        else:
            assert "pkmsg" == sealed.kind or spoiled[0] != sealed.data[0]
            assert plain == read
            line.flying.pop(at)

    @rule()
    def restart(self) -> None:
        """Both devices come back from their stored state."""
        self.devices = pickle.loads(pickle.dumps(self.devices))  # noqa: S301 - pickled in this line

    @invariant()
    def bounded(self) -> None:
        """No list grows without end."""
        for device in getattr(self, "devices", []):
            for session in device.sessions.values():
                assert len(session.ratchets) <= MAX_ARCHIVED + 1
                assert all(len(ratchet.receiving) <= MAX_RECEIVING for ratchet in session.ratchets)


TestTwoDevices = TwoDevices.TestCase
TestTwoDevices.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 60), data=st.data())
def test_reads_a_shuffled_batch_with_gaps(seed: int, count: int, data: st.DataObject) -> None:
    """Reads any subset of a burst in any order, each message once."""
    random = Random(seed)
    alice, bob = Device.create(random.randbytes), Device.create(random.randbytes)
    alice.open_session("bob", bob.bundle(random.randbytes), random.randbytes)
    batch = [(b"%d" % n, alice.seal("bob", b"%d" % n)) for n in range(count)]
    arriving = data.draw(st.lists(st.sampled_from(batch), unique_by=lambda m: m[0], min_size=1))
    for plain, sealed in arriving:
        assert plain == bob.open("alice", sealed.kind, sealed.data, random.randbytes)
    reply = bob.seal("alice", b"reply")
    assert b"reply" == alice.open("bob", reply.kind, reply.data, random.randbytes)
