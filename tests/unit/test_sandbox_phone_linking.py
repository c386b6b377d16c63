"""Linking from the phone's side: scanning, typing, and every way in which it ends otherwise."""

import base64
from dataclasses import dataclass, field
from hashlib import pbkdf2_hmac

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.sandbox import pairing
from tests.sandbox.keys import KEY_TYPE, KeyPair, SignedPrekey
from tests.sandbox.linking import Linking
from tests.sandbox.node import JID, Node, node
from tests.sandbox.phones.line import PhoneError
from tests.sandbox.proto import wa_adv
from tests.sandbox.signal import xeddsa
from tests.sandbox.signal.kdf import hkdf
from tests.unit.sandbox_box import Box, records

CODE = "ABCD-1234"
NUMBER = "33612000001"


@dataclass(eq=False)
class Stranger:
    """A device that is not linked yet: the client's half of both ways, written out from the protocol."""

    box: Box
    got: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        random = self.box.random.randbytes
        self.noise, self.identity, self.ephemeral = (KeyPair.of(random(32)) for _ in range(3))
        self.secret = random(32)
        signed = KeyPair.of(random(32))
        signature = xeddsa.sign(self.identity.private, KEY_TYPE + signed.public, random(64))
        keys = pairing.Registration(7, self.identity.public, SignedPrekey(1, signed.public, signature))
        self.stage = Linking(self.box.router.lobby, self, self.noise.public, keys)
        self.stage.begin()

    def send(self, stanza: Node, delay: float = 0) -> None:  # noqa: ARG002 - the protocol has it
        """Take a stanza from the server."""
        self.got.append(stanza)

    def end(self, stanza: Node | None = None, linger: float | None = None) -> None:
        """End the session."""

    def freeze(self) -> None:
        """Nothing to freeze."""

    def thaw(self) -> None:
        """Nothing to thaw."""

    def qr(self, identity: bytes | None = None) -> str:
        """The first QR code's text."""
        ref = next(iter(self.got[0].need("pair-device").all("ref"))).text
        keys = self.noise.public, identity or self.identity.public, self.secret
        return ",".join([ref, *(base64.b64encode(key).decode() for key in keys)])

    def accept(self) -> None:
        """Check pair-success and answer it with the device's own signature."""
        success = self.got[-1]
        container = success.need("pair-success").need("device-identity").data
        sealed = wa_adv.ADVSignedDeviceIdentityHMAC.FromString(container)
        identity = wa_adv.ADVSignedDeviceIdentity.FromString(sealed.details)
        signed = b"\x06\x01" + identity.details + self.identity.public + identity.accountSignatureKey
        identity.deviceSignature = xeddsa.sign(self.identity.private, signed, self.box.random.randbytes(64))
        identity.accountSignatureKey = b""
        answer = node("device-identity", identity.SerializeToString())
        iq = node("iq", node("pair-device-sign", answer), type="result", id=success.get("id"))
        self.stage.receive(iq)

    def ask_code(self) -> None:
        """Ask to be linked by a code."""
        random = self.box.random.randbytes
        salt, iv = random(32), random(16)
        wrapped = salt + iv + wrap(CODE, salt, iv, self.ephemeral.public)
        hello = node(
            "link_code_companion_reg",
            node("link_code_pairing_wrapped_companion_ephemeral_pub", wrapped),
            jid=JID(NUMBER, "s.whatsapp.net"),
            stage="companion_hello",
        )
        self.stage.receive(node("iq", hello, type="set", id="hello"))

    def finish(self, code: str = CODE) -> Node:
        """Open the phone's half with a code and send the key bundle; returns what the server answered."""
        hello = self.got[-1].need("link_code_companion_reg")
        wrapped = hello.need("link_code_pairing_wrapped_primary_ephemeral_pub").data
        primary = wrap(code, wrapped[:32], wrapped[32:48], wrapped[48:])
        account = hello.need("primary_identity_pub").data
        random = self.box.random.randbytes
        secret, salt, nonce = random(32), random(32), random(12)
        shared = self.ephemeral.shared(primary)
        key = hkdf(shared, b"link_code_pairing_key_bundle_encryption_key", 32, salt)
        bundle = AESGCM(key).encrypt(nonce, self.identity.public + account + secret, b"")
        self.secret = hkdf(shared + self.identity.shared(account) + secret, b"adv_secret", 32)
        request = node(
            "link_code_companion_reg",
            node("link_code_pairing_wrapped_key_bundle", salt + nonce + bundle),
            node("companion_identity_public", self.identity.public),
            node("link_code_pairing_ref", self.stage.ref),
            jid=JID(NUMBER, "s.whatsapp.net"),
            stage="companion_finish",
        )
        before = len(self.got)
        self.stage.receive(node("iq", request, type="set", id="finish"))
        return self.got[before]


def wrap(code: str, salt: bytes, iv: bytes, data: bytes) -> bytes:
    """Encrypt or decrypt under a code."""
    key = pbkdf2_hmac("sha256", code.replace("-", "").encode(), salt, 131072, 32)
    return Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor().update(data)


@pytest.fixture
def box() -> Box:
    """A world."""
    return Box()


def test_scanning_links_a_device(box: Box) -> None:
    """Makes a container that the device can check, and records that it was linked."""
    phone, desk = box.phone(NUMBER), Stranger(box)
    assert 1 == phone.linking.scan("https://wa.me/settings/linked_devices#" + desk.qr() + ",1")
    desk.accept()
    assert [1] == [r["device"] for r in records(phone, "companion_linked")]
    assert [0, 1] == box.router.devices(phone.line.lid)


async def test_typing_a_code_links_a_device(box: Box) -> None:
    """Agrees on the secret with a device that knows the code; dash and case do not matter."""
    phone, desk = box.phone(NUMBER), Stranger(box)
    desk.ask_code()
    await phone.linking.type_code(CODE.lower())
    assert "result" == desk.finish().get("type")
    desk.accept()
    assert [1] == [r["device"] for r in records(phone, "companion_linked")]


async def test_a_wrong_code_links_nothing(box: Box) -> None:
    """Refuses a device that shows another code than was typed, and forgets the attempt."""
    phone, desk = box.phone(NUMBER), Stranger(box)
    desk.ask_code()
    await phone.linking.type_code("WXYZ-9999")
    assert ("error", "400") == outcome(desk.finish())
    assert ("error", "400") == outcome(desk_again(desk))
    assert [] == records(phone, "companion_linked")
    reasons = [r["reason"] for r in records(phone, "companion_refused")]
    assert ["the code is wrong", "no code was typed for this attempt"] == reasons


def desk_again(desk: Stranger) -> Node:
    """Send the bundle once more, now with the right code: the typed one was used up."""
    desk.got = [s for s in desk.got if s.tag == "notification"]
    return desk.finish()


def outcome(answer: Node) -> tuple[str, str]:
    """Type and error code of an answer."""
    return answer.get("type"), answer.need("error").get("code")


async def test_codes_that_cannot_be_typed_are_named(box: Box) -> None:
    """Says why a code is none, and that no device waits for one."""
    phone = box.phone(NUMBER)
    for text in ("", "ABCD-123", "ABCD-12345", "ABCD-0000"):
        with pytest.raises(PhoneError, match="eight letters"):
            await phone.linking.type_code(text)
    with pytest.raises(PhoneError, match="no companion waits"):
        await phone.linking.type_code(CODE)


async def test_a_code_for_an_older_attempt_is_refused(box: Box) -> None:
    """Notices that another device asked while the code was being derived."""
    phone, desk, other = box.phone(NUMBER), Stranger(box), Stranger(box)
    desk.ask_code()
    derive = pairing.code_primary

    def meanwhile(*args: object) -> tuple[bytes, bytes]:
        other.ask_code()
        return derive(*args)  # type: ignore[arg-type]  # passed on as they came

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairing, "code_primary", meanwhile)
        with pytest.raises(PhoneError, match="another code"):
            await phone.linking.type_code(CODE)


def test_codes_that_cannot_be_scanned_are_named(box: Box) -> None:
    """Says what is wrong with a text, an old code, or one with other keys."""
    phone, desk = box.phone(NUMBER), Stranger(box)
    with pytest.raises(PhoneError, match="not a linking code"):
        phone.linking.scan("https://example.org")
    with pytest.raises(PhoneError, match="keys are not those"):
        phone.linking.scan(desk.qr(identity=bytes(32)))
    text = desk.qr()
    desk.stage.closed()
    with pytest.raises(PhoneError, match="expired"):
        phone.linking.scan(text)


def test_a_device_that_refuses_is_recorded(box: Box) -> None:
    """Records the reason that the device gives, and a connection that is lost."""
    phone, desk = box.phone(NUMBER), Stranger(box)
    phone.linking.scan(desk.qr())
    error = node("error", code=401, text="hmac-mismatch")
    desk.stage.receive(node("iq", error, type="error", id=desk.got[-1].get("id")))
    other = Stranger(box)
    phone.linking.scan(other.qr())
    other.stage.closed()
    reasons = [r["reason"] for r in records(phone, "companion_refused")]
    assert ["hmac-mismatch", "the connection was lost"] == reasons
