"""Phones on a bad network: whatever is spoiled, doubled, swapped or renewed, each text is read exactly once."""

import pickle
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.sandbox.node import Node
from tests.sandbox.phones import content
from tests.sandbox.phones.phone import Phone
from tests.sandbox.phones.reception import Habits
from tests.sandbox.phones.retries import MAX_ASKS
from tests.sandbox.signal.device import Device
from tests.unit.sandbox_box import Box, records

PEOPLE = 3
who = st.integers(0, PEOPLE - 1)


class Held:
    """A handset that gets its stanzas only when the machine says so; everything else goes straight through."""

    def __init__(self, phone: Phone) -> None:
        self.phone = phone
        self.flying: list[Node] = []
        self.bundle = phone.bundle
        self.app_state_changed = phone.app_state_changed
        self.companion_linked, self.companion_refused = phone.companion_linked, phone.companion_refused
        self.companion_active, self.companion_gone = phone.companion_active, phone.companion_gone
        self.finish_code = phone.finish_code

    def receive(self, stanza: Node) -> None:
        """Keep a stanza on its way; acknowledgements of the server mean nothing here."""
        if stanza.tag != "ack":
            self.flying.append(stanza)


class BadNetwork(RuleBasedStateMachine):
    """Three phones that write to each other over a network that does everything except lose for ever."""

    @initialize(seed=st.integers(0, 2**32), echo=st.booleans())
    def begin(self, seed: int, echo: bool) -> None:  # noqa: FBT001 - hypothesis passes by name
        """Make three people; the first may have the habit of echoing."""
        self.box = Box(seed)
        self.phones, self.held = [], []
        for number in range(PEOPLE):
            habits = Habits(echo=0.05 if echo and number == 0 else None, app_state=False)
            phone = self.box.phone(f"3361200000{number}", f"Person {number}", habits)
            held = Held(phone)
            phone.line.account.phone = held  # type: ignore[attr-defined]  # the world's account has one
            self.phones.append(phone)
            self.held.append(held)
        self.written: dict[int, Counter[str]] = {number: Counter() for number in range(PEOPLE)}
        self.spoilings: Counter[tuple[int, str]] = Counter()
        self.number = 0

    @rule(sender=who, receiver=who)
    def write(self, sender: int, receiver: int) -> None:
        """One types a text to another."""
        if sender == receiver:
            return
        self.number += 1
        text = f"text {self.number}"
        self.phones[sender].send(self.phones[receiver].line.lid, content.text_message(text))
        self.written[receiver][text] += 1
        if receiver == 0 and self.phones[0].habits.echo is not None:
            self.written[sender][text] += 1

    @rule(to=who, data=st.data())
    def deliver(self, to: int, data: st.DataObject) -> None:
        """A stanza arrives, not always the oldest."""
        if flying := self.held[to].flying:
            self._hand(to, flying.pop(data.draw(st.integers(0, len(flying) - 1))))

    @rule(to=who)
    def double(self, to: int) -> None:
        """The oldest stanza arrives and stays on its way."""
        if flying := self.held[to].flying:
            self._hand(to, flying[0])

    @rule(to=who, at=st.integers(0, 10_000), flip=st.integers(1, 255))
    def spoil(self, to: int, at: int, flip: int) -> None:
        """The oldest message arrives with a changed byte, as often as the receiver may still ask."""
        messages = [s for s in self.held[to].flying if s.tag == "message"]
        if not messages:
            return
        stanza = messages[0]
        key = (to, stanza.get("id"))
        if self.spoilings[key] >= MAX_ASKS - 2:
            return
        self.spoilings[key] += 1
        self.held[to].flying.remove(stanza)
        enc = stanza.need("enc")
        data = bytearray(enc.data)
        data[at % len(data)] ^= flip
        spoiled = [Node("enc", enc.attrs, bytes(data)), *(c for c in stanza.children if c is not enc)]
        self._hand(to, Node("message", stanza.attrs, spoiled))

    @rule(of=who, towards=who)
    def renew(self, of: int, towards: int) -> None:
        """One side opens a new session on top, as a client does that thinks its own is broken."""
        peer = self.phones[towards].line
        if of != towards:
            line = self.phones[of].line
            line.device.open_session(peer.lid, peer.device.bundle(line.random), line.random)

    @rule(of=who)
    def restart(self, of: int) -> None:
        """A phone's keys and sessions come back from where they were stored."""
        device = self.phones[of].line.device
        stored: Device = pickle.loads(pickle.dumps(device))  # noqa: S301 - pickled in this line
        device.sessions, device.prekeys = stored.sessions, stored.prekeys
        device.next_prekey = stored.next_prekey

    @precondition(lambda self: hasattr(self, "box"))
    @invariant()
    def nothing_twice(self) -> None:
        """No text is ever read more often than it was written."""
        for number, phone in enumerate(self.phones):
            assert self._read(phone) <= self.written[number]

    def teardown(self) -> None:
        """When the network is good again, everything arrives."""
        if not hasattr(self, "box"):
            return
        for _ in range(50 * (self.number + 1)):
            if not any(held.flying for held in self.held):
                break
            for number, held in enumerate(self.held):
                flying, held.flying = held.flying, []
                for stanza in flying:
                    self._hand(number, stanza)
        for number, phone in enumerate(self.phones):
            assert self.written[number] == self._read(phone)
            assert [] == records(phone, "error")

    def _hand(self, to: int, stanza: Node) -> None:
        self.phones[to].receive(stanza)
        self.box.run()

    @staticmethod
    def _read(phone: Phone) -> "Counter[str]":
        return Counter(str(record["text"]) for record in records(phone, "message"))


TestBadNetwork = BadNetwork.TestCase
TestBadNetwork.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
