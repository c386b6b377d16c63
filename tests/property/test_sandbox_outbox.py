"""The outbox and the delivery against a plain model: nothing lost, order kept, repeats only without acknowledgement."""

from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.sandbox.node import JID, Node, node
from tests.sandbox.outbox import Outbox
from tests.unit.sandbox_net import Line, Net

FRIEND = JID("200", "lid")
stanza_kinds = st.sampled_from(["message", "receipt", "notification", "call"])
identifiers = st.integers(0, 5).map(str)  # few, so that ids are shared


@dataclass
class Model:
    """What a device has not acknowledged, and what it was sent on its present session."""

    waiting: list[tuple[str, str, str]] = field(default_factory=list)
    heard: list[tuple[str, str, str]] = field(default_factory=list)


def brief(stanza: Node) -> tuple[str, str, str]:
    """What tells stanzas apart here."""
    return stanza.tag, stanza.get("id"), stanza.get("type")


class DeliveryMachine(RuleBasedStateMachine):
    """A device that comes, goes, is written to and acknowledges in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net()
        account, _ = self.net.account("33601", "100")
        self.device, _ = self.net.device(account, online=False)
        self.line: Line | None = None
        self.model = Model()

    @rule(tag=stanza_kinds, identifier=identifiers, kind=st.sampled_from(["", "read"]))
    def write(self, tag: str, identifier: str, kind: str) -> None:
        """Somebody writes to the device."""
        stanza = node(tag, from_=FRIEND, id=identifier, type=kind)
        self.net.router.deliver(self.device.lid, stanza)
        self.model.waiting.append(brief(stanza))
        if self.device.active:
            self.model.heard.append(brief(stanza))

    @rule()
    @precondition(lambda self: self.line is None)
    def login(self) -> None:
        """The device logs in and asks for its stanzas."""
        self.line = Line()
        self.net.companions.attach(self.device, self.line)
        self.net.companions.activated(self.device)
        self.model.heard = list(self.model.waiting)

    @rule()
    @precondition(lambda self: self.line is not None)
    def leave(self) -> None:
        """The device's connection breaks."""
        self.net.companions.departed(self.device)
        self.line, self.model.heard = None, []

    @rule()
    @precondition(lambda self: self.line is not None)
    def replace(self) -> None:
        """The device logs in a second time."""
        self.line = None
        self.login()

    @rule(place=st.integers(0))
    @precondition(lambda self: self.model.waiting)
    def acknowledge(self, place: int) -> None:
        """The device acknowledges one of the stanzas that wait."""
        tag, identifier, kind = self.model.waiting[place % len(self.model.waiting)]
        # A message is acknowledged without its type: then the oldest of that id is meant.
        meant = [w for w in self.model.waiting if w[:2] == (tag, identifier)]
        wanted = "" if tag == "message" else kind
        chosen = next((w for w in meant if w[2] == wanted), meant[0])
        self.model.waiting.remove(chosen)
        ack = node("ack", class_=tag, id=identifier, to=FRIEND, type=None if tag == "message" else kind)
        self.net.router.submit(self.device.lid, ack)

    @rule(tag=stanza_kinds)
    def acknowledge_nothing(self, tag: str) -> None:
        """The device acknowledges what it never got."""
        self.net.router.submit(self.device.lid, node("ack", class_=tag, id="never", to=FRIEND))

    @invariant()
    def waits_as_in_the_model(self) -> None:
        """Exactly what was not acknowledged waits, in order."""
        assert self.model.waiting == [brief(entry.stanza) for entry in self.device.outbox]

    @invariant()
    def heard_as_in_the_model(self) -> None:
        """On its present session the device was sent all that waited at its login and all that came since, in order."""
        if self.line is not None:
            stanzas = [stanza for stanza in self.line.sent if stanza.tag != "ib"]
            assert self.model.heard == [brief(stanza) for stanza in stanzas]

    @invariant()
    def index_is_consistent(self) -> None:
        """The outbox's index holds exactly what waits."""
        outbox: Outbox = self.device.outbox
        indexed = [number for numbers in outbox._by_id.values() for number in numbers]
        assert sorted(outbox.waiting) == sorted(indexed)
        assert all(outbox._by_id.values())


TestDelivery = DeliveryMachine.TestCase
