"""The stage of a device that wants to be linked, played by hand from both sides."""

from random import Random

import pytest

from tests.sandbox import pairing
from tests.sandbox.contract import PairingRefused
from tests.sandbox.keys import KeyPair
from tests.sandbox.linking import Linking
from tests.sandbox.node import JID, SERVER_JID, Node, StanzaError, node
from tests.sandbox.proto import wa_adv
from tests.unit.sandbox_net import NOW, Line, Net
from tests.unit.sandbox_wire import Keys

NUMBER = JID("33601", "s.whatsapp.net")


class Scene:
    """An account with a phone, and one unlinked device on a line."""

    def __init__(self) -> None:
        self.net, self.random = Net(), Random(5)
        self.account, self.phone = self.net.account("33601", "100", "Owner")
        self.key = KeyPair.of(self.random.randbytes(32))
        self.keys = Keys.make(self.random)
        self.line = Line()
        self.stage = self.begin(self.line)

    def begin(self, line: Line) -> Linking:
        """Another connection of the same device."""
        registration = pairing.check_registration(self.keys.payload().devicePairingData)
        stage = Linking(self.net.router.lobby, line, self.keys.noise.public, registration)
        stage.begin()
        return stage

    def refs(self) -> list[str]:
        """The references that were offered."""
        return [ref.text for ref in self.line.sent[0].need("pair-device").children]

    def container(self, number: int = 1) -> bytes:
        """What the phone makes of the code."""
        args = self.keys.identity.public, self.keys.adv_secret, number, NOW
        return pairing.container(self.key, *args, self.random.randbytes)

    def link(self) -> Node:
        """Let the phone accept the device; the pair-success that it gets."""
        pending = self.net.router.pending_qr(self.refs()[0])
        assert pending is not None
        self.net.router.link(pending, self.account, self.net.router.next_device(self.account), self.container())
        return self.line.sent[-1]

    def sign(self, success: Node, keys: Keys | None = None) -> None:
        """Let the device answer pair-success."""
        signed = (keys or self.keys).sign(success.need("pair-success").need("device-identity").data)
        identity = node("device-identity", signed, **{"key-index": 1})
        self.stage.receive(self.result(success, node("pair-device-sign", identity)))

    @staticmethod
    def result(query: Node, *content: Node, kind: str = "result") -> Node:
        """An answer of the device."""
        return node("iq", *content, type=kind, id=query.get("id"), to=SERVER_JID)

    def ask(self, *content: Node, xmlns: str = "md", kind: str = "set") -> str:
        """A query of the device; the server's answer."""
        self.stage.receive(node("iq", *content, type=kind, xmlns=xmlns, id="q1", to=SERVER_JID))
        return str(self.line.sent[-1])


@pytest.fixture
def scene() -> Scene:
    """The scene of every test here."""
    return Scene()


def hello(jid: JID | None = NUMBER, wrapped: bytes = bytes(80)) -> Node:
    """The request for a typed code."""
    content = node("link_code_pairing_wrapped_companion_ephemeral_pub", wrapped)
    return node("link_code_companion_reg", content, jid=jid, stage="companion_hello")


def finish(ref: bytes, jid: JID | None = NUMBER) -> Node:
    """The end of the exchange for a typed code."""
    content = (
        node("link_code_pairing_wrapped_key_bundle", b"bundle"),
        node("companion_identity_public", b"identity"),
        node("link_code_pairing_ref", ref),
    )
    return node("link_code_companion_reg", *content, jid=jid, stage="companion_finish")


def test_references_are_offered(scene: Scene) -> None:
    """As many references as the settings say, all different, none with a comma, each leads to the connection."""
    refs = scene.refs()
    assert 6 == len(set(refs))
    assert not any("," in ref for ref in refs)
    for ref in refs:
        assert scene.stage is scene.net.router.pending_qr(ref)
    offer = scene.line.sent[0]
    assert ("set", "md", SERVER_JID) == (offer.get("type"), offer.get("xmlns"), offer.jid("from"))


def test_phone_sees_the_connections_keys(scene: Scene) -> None:
    """What the phone compares the code with is what the device registered with."""
    pending = scene.net.router.pending_qr(scene.refs()[3])
    assert pending is not None
    assert scene.keys.noise.public == pending.noise_public
    assert scene.keys.identity.public == pending.identity_public


def test_pair_success_names_both_addresses(scene: Scene) -> None:
    """The device learns its two addresses and the platform of the phone."""
    success = scene.link().need("pair-success")
    device = success.need("device")
    assert (JID("33601", "s.whatsapp.net", 1), JID("100", "lid", 1)) == (device.jid("jid"), device.jid("lid"))
    assert "android" == success.need("platform").get("name")


def test_signed_device_is_linked(scene: Scene) -> None:
    """With the right signature the device has its place, is told to come back, and the phone knows."""
    scene.sign(scene.link())
    device = scene.account.devices[1]
    assert scene.keys.noise.public == device.noise
    assert (scene.keys.identity.public, 77, 1) == (device.identity, device.registration, device.key_index)
    stored = wa_adv.ADVSignedDeviceIdentity.FromString(device.device_identity)
    assert scene.key.public == stored.accountSignatureKey
    assert [("<stream:error code=515/>", 2.0)] == [(str(stanza), linger) for stanza, linger in scene.line.ends]
    assert [("linked", 1)] == scene.phone.told


def test_used_codes_are_forgotten(scene: Scene) -> None:
    """A linked connection's references lead nowhere any more, and it cannot be linked again."""
    pending, refs = scene.stage, scene.refs()
    scene.sign(scene.link())
    assert not any(scene.net.router.pending_qr(ref) for ref in refs)
    with pytest.raises(PairingRefused, match="gone"):
        scene.net.router.link(pending, scene.account, 2, b"again")


def test_wrong_signature_links_nothing(scene: Scene) -> None:
    """A device that signs with another identity is cut off and the phone told."""
    scene.sign(scene.link(), Keys.make(scene.random))
    assert {} == scene.account.devices
    assert [("refused", "the device's signature is wrong")] == scene.phone.told
    assert [(None, None)] == scene.line.ends


@pytest.mark.parametrize(
    ("content", "reason"),
    [((node("error", code=401, text="hmac-mismatch"),), "hmac-mismatch"), ((), "refused without a reason")],
)
def test_refusal_by_the_device(scene: Scene, content: tuple[Node, ...], reason: str) -> None:
    """What the device does not believe the phone is told in the device's words; the codes stay good."""
    success = scene.link()
    scene.stage.receive(scene.result(success, *content, kind="error"))
    assert [("refused", reason)] == scene.phone.told
    assert {} == scene.account.devices
    scene.sign(scene.link())
    assert [2] == list(scene.account.devices)  # the first number was used up


def test_answer_without_a_signature(scene: Scene) -> None:
    """A result that lacks the signed identity is the device's mistake."""
    with pytest.raises(StanzaError):
        scene.stage.receive(scene.result(scene.link()))


def test_other_results_mean_nothing(scene: Scene) -> None:
    """The answer to the offer, and answers to nothing, change nothing."""
    scene.stage.receive(scene.result(scene.line.sent[0]))
    scene.link()
    scene.stage.receive(node("iq", type="result", id="other"))
    assert {} == scene.account.devices
    assert [] == scene.phone.told


def test_connection_lost_before_anything(scene: Scene) -> None:
    """An unlinked device that goes away takes its codes along, and nobody is told."""
    refs = scene.refs()
    scene.stage.closed()
    assert not any(scene.net.router.pending_qr(ref) for ref in refs)
    assert [] == scene.phone.told


def test_connection_lost_in_between(scene: Scene) -> None:
    """When the connection breaks after the phone's consent, the phone is told."""
    scene.link()
    scene.stage.closed()
    assert [("refused", "the connection was lost")] == scene.phone.told


def test_connection_closed_after_linking(scene: Scene) -> None:
    """The client closes after 515: that is no failure."""
    scene.sign(scene.link())
    scene.stage.closed()
    assert [("linked", 1)] == scene.phone.told


def test_ping_is_answered(scene: Scene) -> None:
    """A keep-alive is answered before login like after it."""
    assert "<iq type=result id=q1 from=s.whatsapp.net/>" == scene.ask(xmlns="w:p", kind="get")


def test_queries_before_login(scene: Scene) -> None:
    """Any other query is refused until the device is linked."""
    assert "code=501" in scene.ask(node("count"), xmlns="encrypt", kind="get")


@pytest.mark.parametrize("stanza", [node("ib", node("unified_session", id=1)), node("presence", type="available")])
def test_other_stanzas_mean_nothing(scene: Scene, stanza: Node) -> None:
    """Everything else of an unlinked device is heard and ignored, also after its end."""
    before = len(scene.line.sent)
    scene.stage.receive(stanza)
    scene.stage.late(stanza)
    assert before == len(scene.line.sent)
    assert 1 == scene.net.world.counts["heard_unlinked"]


def test_code_is_asked_for(scene: Scene) -> None:
    """A request for a typed code gets a reference, and the phone finds the attempt under its number."""
    answer = scene.ask(hello())
    pending = scene.net.router.pending_code(scene.account)
    assert pending is not None
    assert bytes(80) == pending.wrapped_companion_ephemeral
    assert f"<link_code_pairing_ref>[{len(pending.ref)}]</>" in answer
    assert "stage=companion_hello" in answer


def test_newest_attempt_counts(scene: Scene) -> None:
    """Asking again makes a new reference; another connection's request takes the older one's place."""
    scene.ask(hello())
    first = scene.stage.ref
    scene.ask(hello())
    assert first != scene.stage.ref
    other = scene.begin(Line())
    other.receive(node("iq", hello(), type="set", xmlns="md", id="q2"))
    assert other is scene.net.router.pending_code(scene.account)
    scene.stage.closed()
    assert other is scene.net.router.pending_code(scene.account)
    other.closed()
    assert scene.net.router.pending_code(scene.account) is None


def test_code_for_an_unknown_number(scene: Scene) -> None:
    """A number without an account is not found."""
    assert "<error code=404 text=item-not-found/>" in scene.ask(hello(JID("33699", "s.whatsapp.net")))


def test_primary_hello(scene: Scene) -> None:
    """The phone's half reaches the device as a notification with the reference."""
    scene.ask(hello())
    scene.net.router.primary_hello(scene.stage, b"w" * 80, b"K" * 32)
    told = scene.line.sent[-1]
    assert ("notification", "link_code_companion_reg") == (told.tag, told.get("type"))
    parts = {child.tag: child.data for child in told.need("link_code_companion_reg").children}
    expected = {
        "link_code_pairing_wrapped_primary_ephemeral_pub": b"w" * 80,
        "primary_identity_pub": b"K" * 32,
        "link_code_pairing_ref": scene.stage.ref,
    }
    assert expected == parts


def test_typed_code_links(scene: Scene) -> None:
    """When the phone accepts the bundle, the device gets an empty result and then pair-success."""
    scene.phone.container = scene.container()
    scene.ask(hello())
    ref = scene.stage.ref
    scene.ask(finish(ref))
    assert [("code", ref, b"bundle", b"identity")] == scene.phone.told
    assert "<iq type=result id=q1 from=s.whatsapp.net/>" == str(scene.line.sent[-2])
    scene.sign(scene.line.sent[-1])
    assert [1] == list(scene.account.devices)


def test_finish_without_a_number(scene: Scene) -> None:
    """The end of the exchange belongs to the number that it began with."""
    scene.phone.container = scene.container()
    scene.ask(hello())
    scene.ask(finish(scene.stage.ref, jid=None))
    assert "pair-success" == str(scene.line.sent[-1].children[0].tag)


def test_wrong_code(scene: Scene) -> None:
    """A bundle that the phone refuses is error 400; the attempt can be repeated."""
    scene.phone.accepts = False
    scene.ask(hello())
    assert "<error code=400 text=bad-request/>" in scene.ask(finish(scene.stage.ref))
    assert 1 == scene.net.world.counts["code_refused"]
    assert scene.stage is scene.net.router.pending_code(scene.account)


@pytest.mark.parametrize("ref", [b"", b"2@other"])
def test_finish_of_another_attempt(scene: Scene, ref: bytes) -> None:
    """The end of an exchange that is not the present one is not found, and the phone is not asked."""
    scene.ask(hello())
    assert "code=404" in scene.ask(finish(ref))
    assert [] == scene.phone.told


def test_code_without_a_phone(scene: Scene) -> None:
    """Where no phone is simulated, nobody can accept a code."""
    scene.ask(hello())
    scene.account.phone = None
    assert "code=404" in scene.ask(finish(scene.stage.ref))


def test_finish_before_hello(scene: Scene) -> None:
    """An exchange cannot end before it began."""
    assert "code=404" in scene.ask(finish(b"", jid=None))


def test_two_devices_at_the_same_time(scene: Scene) -> None:
    """Two devices that are linked to one account at once get numbers of their own."""
    other_keys, other_line = Keys.make(scene.random), Line()
    registration = pairing.check_registration(other_keys.payload().devicePairingData)
    other = Linking(scene.net.router.lobby, other_line, other_keys.noise.public, registration)
    first = scene.link()
    number = scene.net.router.next_device(scene.account)
    args = other_keys.identity.public, other_keys.adv_secret, number, NOW
    scene.net.router.link(other, scene.account, number, pairing.container(scene.key, *args, scene.random.randbytes))
    second = other_line.sent[-1]
    signed = other_keys.sign(second.need("pair-success").need("device-identity").data)
    other.receive(scene.result(second, node("pair-device-sign", node("device-identity", signed))))
    scene.sign(first)
    assert {1: scene.keys.noise.public, 2: other_keys.noise.public} == {
        number: device.noise for number, device in scene.account.devices.items()
    }


def test_code_for_another_number(scene: Scene) -> None:
    """A device that asks for a code for another number is no longer found under the first."""
    other, _ = scene.net.account("33602", "200")
    scene.ask(hello())
    scene.ask(hello(other.pn))
    assert scene.net.router.pending_code(scene.account) is None
    assert scene.stage is scene.net.router.pending_code(other)
