"""Messages: from the one stanza that a device writes to what each device gets."""

import pytest

from tests.sandbox.node import JID, Node, StanzaError, node
from tests.sandbox.world import Account, Sender
from tests.unit.sandbox_net import NOW, Handset, Line, Net

OWN, BOB = JID("100", "lid"), JID("200", "lid")


class Scene:
    """The owner with two linked devices, Bob with a phone and one."""

    def __init__(self) -> None:
        self.net = Net()
        self.owner, self.phone = self.net.account("33601", "100", "Owner")
        self.bob, self.bobs_phone = self.net.account("33602", "200", "Bob")
        self.first, self.first_line = self.net.device(self.owner, 1)
        self.second, self.second_line = self.net.device(self.owner, 2)
        self.bobs, self.bobs_line = self.net.device(self.bob, 3)

    def submit(self, sender: JID, stanza: Node) -> None:
        """Let a device write."""
        self.net.router.submit(sender, stanza)


@pytest.fixture
def scene() -> Scene:
    """The scene of every test here."""
    return Scene()


def enc(kind: str = "msg", data: bytes = b"sealed") -> Node:
    """A ciphertext."""
    return node("enc", data, v=2, type=kind)


def to(jid: JID, *sealed: Node) -> Node:
    """One device's entry."""
    return node("to", *(sealed or (enc(),)), jid=jid)


def message(*entries: Node, chat: JID = BOB, extra: tuple[Node, ...] = (), **attrs: str | JID) -> Node:
    """A message as a client writes it."""
    return node("message", node("participants", *entries), *extra, to=chat, id="M1", type="text", **attrs)


def acks(line: Line) -> list[str]:
    """The acknowledgements that a session was sent."""
    return [str(stanza) for stanza in line.sent if stanza.tag == "ack"]


def test_each_device_gets_its_own_ciphertext(scene: Scene) -> None:
    """Bob's phone and device get what was sealed for them, with the sender's two addresses and name."""
    scene.submit(scene.first.lid, message(to(BOB, enc(data=b"12345")), to(BOB.of_device(3), enc(data=b"123"))))
    head = f"<message id=M1 t={NOW} type=text from=100:1@lid sender_pn=33601:1@s.whatsapp.net notify=Owner>"
    assert [head + "<enc v=2 type=msg>[5]</></message>"] == scene.bobs_phone.take()
    assert [head + "<enc v=2 type=msg>[3]</></message>"] == scene.bobs_line.take()


def test_sender_is_acknowledged(scene: Scene) -> None:
    """The device that wrote gets the acknowledgement, nobody else."""
    scene.submit(scene.first.lid, message(to(BOB)))
    assert [f"<ack class=message id=M1 from=200@lid t={NOW}/>"] == acks(scene.first_line)
    assert [] == acks(scene.second_line) + acks(scene.bobs_line)


def test_own_devices_get_copies(scene: Scene) -> None:
    """The own phone and the other linked device learn which chat it was written in."""
    scene.submit(scene.first.lid, message(to(BOB), to(OWN), to(OWN.of_device(2))))
    head = f"<message id=M1 t={NOW} type=text from=100:1@lid recipient=200@lid"
    head += " peer_recipient_pn=33602@s.whatsapp.net>"
    assert [head + "<enc v=2 type=msg>[6]</></message>"] == scene.phone.take()
    assert [head + "<enc v=2 type=msg>[6]</></message>"] == scene.second_line.take()


def test_identity_travels_with_first_messages_only(scene: Scene) -> None:
    """Who gets a pkmsg gets the sender's device identity, the others do not."""
    identity = node("device-identity", b"identity")
    entries = to(BOB, enc("pkmsg")), to(BOB.of_device(3), enc("msg"))
    scene.submit(scene.first.lid, message(*entries, extra=(identity,)))
    assert "<device-identity>[8]</>" in scene.bobs_phone.take()[0]
    assert "device-identity" not in scene.bobs_line.take()[0]


def test_what_travels_on(scene: Scene) -> None:
    """Kind, edit and further children travel on; what only the server needs does not."""
    extra = node("tctoken", b"t"), node("meta", polltype="creation")
    stanza = message(to(BOB), extra=extra, edit="7", addressing_mode="lid", push_priority="high")
    scene.submit(scene.first.lid, stanza.with_attrs(phash="2:x", peer_recipient_pn=scene.bob.pn))
    got = scene.bobs_phone.got[0]
    assert ("7", "lid", "high") == (got.get("edit"), got.get("addressing_mode"), got.get("push_priority"))
    assert not {"phash", "peer_recipient_pn", "to"} & set(got.attrs)
    assert ["enc", "meta"] == [child.tag for child in got.children]


def test_number_as_address(scene: Scene) -> None:
    """A message to the number reaches the same account."""
    scene.submit(scene.first.lid, message(to(BOB), chat=scene.bob.pn))
    assert 1 == len(scene.bobs_phone.got)


def test_phone_writes_like_a_device(scene: Scene) -> None:
    """A phone's message reaches its own companions as copies and the chat as a message; the phone is acknowledged."""
    scene.submit(OWN, message(to(BOB.of_device(3)), to(OWN.of_device(1))))
    assert "from=100@lid sender_pn=33601@s.whatsapp.net notify=Owner" in scene.bobs_line.take()[0]
    assert "from=100@lid recipient=200@lid" in scene.first_line.take()[0]
    assert [f"<ack class=message id=M1 from=200@lid t={NOW}/>"] == scene.phone.take()


def test_answer_to_a_retry_reaches_one_device(scene: Scene) -> None:
    """A message with its ciphertext directly inside goes to the device that it names, and to no other."""
    sealed = node("message", enc("pkmsg"), to=BOB.of_device(3), id="M1", type="text", device_fanout="false")
    scene.submit(scene.first.lid, sealed)
    assert 1 == len(scene.bobs_line.take())
    assert [] == scene.bobs_phone.take()


def test_answer_to_an_own_retry_names_the_chat(scene: Scene) -> None:
    """An own device that asked again for a copy learns the chat from the answer."""
    sealed = node("message", enc(), to=OWN.of_device(2), id="M1", type="text", recipient=BOB)
    scene.submit(OWN, sealed)
    assert "from=100@lid recipient=200@lid peer_recipient_pn=33602@s.whatsapp.net" in scene.second_line.take()[0]


def test_peer_messages_stay_in_the_family(scene: Scene) -> None:
    """A message of category peer goes to the own phone, or from it to one companion, under the number."""
    peer = node("message", node("meta", appdata="default"), enc(), id="P1", type="text", category="peer")
    scene.submit(scene.first.lid, peer.with_attrs(to=scene.owner.pn))
    head = f"<message id=P1 t={NOW} type=text category=peer"
    body = "<enc v=2 type=msg>[6]</><meta appdata=default/></message>"
    assert [f"{head} from=33601:1@s.whatsapp.net>{body}"] == scene.phone.take()
    scene.submit(OWN, peer.with_attrs(to=OWN.of_device(2)))
    assert [f"{head} from=33601@s.whatsapp.net>{body}"] == scene.second_line.take()


def test_nobody_is_an_error(scene: Scene) -> None:
    """A message to an unknown account is refused with 404."""
    scene.submit(scene.first.lid, message(to(JID("9", "lid")), chat=JID("9", "lid")))
    assert [f"<ack class=message id=M1 from=9@lid t={NOW} error=404/>"] == acks(scene.first_line)


def test_unserved_address_is_counted(scene: Scene) -> None:
    """A kind of address that nobody carries to is refused, and the gap shows in the count."""
    scene.submit(scene.first.lid, message(to(BOB), chat=JID("1", "broadcast")))
    assert "error=400" in acks(scene.first_line)[0]
    assert 1 == scene.net.world.unimplemented["message to broadcast"]


def test_further_carriers_are_asked(scene: Scene) -> None:
    """A registered carrier serves its kind of address and decides the error."""
    seen: list[str] = []

    def carry(sender: Sender, stanza: Node) -> int:
        seen.append(f"{sender.lid} {stanza.get('to')}")
        return 421

    scene.net.router.messages.carriers["g.us"] = carry
    scene.submit(scene.first.lid, message(to(BOB), chat=JID("1", "g.us")))
    assert ["100:1@lid 1@g.us"] == seen
    assert "error=421" in acks(scene.first_line)[0]


def test_unknown_devices_are_skipped(scene: Scene) -> None:
    """A device that has gone meanwhile is passed over, the others are served."""
    scene.submit(scene.first.lid, message(to(BOB.of_device(9)), to(BOB)))
    assert 1 == len(scene.bobs_phone.take())
    assert 1 == scene.net.world.counts["undeliverable"]


def test_account_without_a_phone(scene: Scene) -> None:
    """Where no phone is simulated, what is meant for it is recorded and lost."""
    scene.bob.phone = None
    scene.submit(scene.first.lid, message(to(BOB)))
    assert 1 == scene.net.world.counts["undeliverable"]
    assert 1 == len(acks(scene.first_line))


def test_message_without_address(scene: Scene) -> None:
    """A message to nobody at all is the writer's mistake."""
    with pytest.raises(StanzaError):
        scene.submit(scene.first.lid, node("message", id="M1"))


def test_refused_by_a_fault(scene: Scene) -> None:
    """A refused message reaches nobody and is answered with the error."""
    scene.net.faults.add("refuse_message", scene.owner.lid, count=1)
    scene.submit(scene.first.lid, message(to(BOB)))
    assert [f"<ack class=message id=M1 from=200@lid t={NOW} error=463/>"] == acks(scene.first_line)
    assert [] == scene.bobs_phone.take()


def test_missing_acknowledgement(scene: Scene) -> None:
    """With the knob turned the message arrives and the writer never hears of it."""
    scene.net.faults.add("missing_ack", scene.first.lid)
    scene.submit(scene.first.lid, message(to(BOB)))
    assert [] == acks(scene.first_line)
    assert 1 == len(scene.bobs_phone.take())


def test_stanza_from_nobody(scene: Scene) -> None:
    """An unknown sender is refused, an unknown tag is counted."""
    with pytest.raises(StanzaError, match="nobody"):
        scene.submit(JID("9", "lid", 1), message(to(BOB)))
    scene.submit(OWN, node("smoke-signal"))
    assert 1 == scene.net.world.unimplemented["smoke-signal"]


def test_addresses_of_accounts(scene: Scene) -> None:
    """The network knows both addresses and the devices of an account, and of nobody nothing."""
    router, stranger = scene.net.router, JID("9", "lid")
    assert (OWN, scene.owner.pn) == (router.lid(scene.first.pn), router.pn(scene.first.lid))
    assert ([0, 1, 2], 3) == (router.devices(scene.owner.pn), router.next_device(scene.owner))
    assert (None, None, []) == (router.lid(stranger), router.pn(stranger), router.devices(stranger))
    assert NOW == router.now()


def test_account_of_another_world(scene: Scene) -> None:
    """An account that is not of this world cannot be linked to."""
    stranger = Account(JID("1", "s.whatsapp.net"), JID("1", "lid"), phone=Handset())
    with pytest.raises(KeyError):
        scene.net.router.next_device(stranger)
