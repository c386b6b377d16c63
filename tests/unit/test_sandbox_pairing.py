"""The cryptography of linking: the phone's half against a companion written out here, and the server's checks."""

import base64
import hmac
from hashlib import pbkdf2_hmac
from random import Random

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tests.sandbox import pairing
from tests.sandbox.contract import PairingRefused
from tests.sandbox.keys import KeyPair
from tests.sandbox.proto import wa_adv
from tests.sandbox.signal import xeddsa
from tests.unit.sandbox_wire import Keys

CODE = "ABCD-1234"
REF = "2@c29tZSByZWZlcmVuY2U="


@pytest.fixture
def random() -> Random:
    """Seeded randomness."""
    return Random(3)


@pytest.fixture
def account(random: Random) -> KeyPair:
    """The key pair that lives on the phone."""
    return KeyPair.of(random.randbytes(32))


@pytest.fixture
def keys(random: Random) -> Keys:
    """A companion's keys."""
    return Keys.make(random)


def derive(secret: bytes, info: bytes, salt: bytes | None = None) -> bytes:
    """HKDF by another library."""
    return HKDF(SHA256(), 32, salt, info).derive(secret)


def wrap(code: str, public: bytes, salt: bytes, iv: bytes) -> bytes:
    """An ephemeral key under a code, as either side sends it."""
    key = pbkdf2_hmac("sha256", code.replace("-", "").encode(), salt, 131_072, 32)
    return salt + iv + Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor().update(public)


class Companion:
    """A companion that shows a code: its ephemeral key, and the bundle that it seals after primary_hello."""

    def __init__(self, keys: Keys, random: Random) -> None:
        self.keys, self.random = keys, random
        self.ephemeral = KeyPair.of(random.randbytes(32))
        self.secret = random.randbytes(32)

    def hello(self, code: str = CODE) -> bytes:
        """Its wrapped ephemeral key."""
        return wrap(code, self.ephemeral.public, self.random.randbytes(32), self.random.randbytes(16))

    def finish(self, wrapped_primary: bytes, account: bytes, code: str = CODE) -> bytes:
        """Its wrapped key bundle, for the account key that it was shown."""
        salt, iv, sealed = wrapped_primary[:32], wrapped_primary[32:48], wrapped_primary[48:]
        primary = wrap(code, sealed, salt, iv)[48:]
        self.shared = self.ephemeral.shared(primary)
        salt, nonce = self.random.randbytes(32), self.random.randbytes(12)
        key = derive(self.shared, b"link_code_pairing_key_bundle_encryption_key", salt)
        bundle = self.keys.identity.public + account + self.secret
        return salt + nonce + AESGCM(key).encrypt(nonce, bundle, b"")

    def adv_secret(self, account: bytes) -> bytes:
        """The secret that it expects the container under."""
        return derive(self.shared + self.keys.identity.shared(account) + self.secret, b"adv_secret")


@pytest.mark.parametrize("prefix", ["", "https://wa.me/settings/linked_devices#"])
@pytest.mark.parametrize("suffix", ["", ",1"])
def test_code_is_read_in_both_forms(keys: Keys, prefix: str, suffix: str) -> None:
    """The URL with the client's type and the four bare fields say the same."""
    assert pairing.QR(REF, keys.noise.public, keys.identity.public, keys.adv_secret) == pairing.read_qr(
        prefix + keys.code(REF) + suffix
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("https://example.org/", id="a URL"),
        pytest.param("2@a,b,c", id="too few fields"),
        pytest.param("2@a,!!,!!,!!", id="no base64"),
        pytest.param(",".join(["2@a", *[base64.b64encode(b"short").decode()] * 3]), id="short keys"),
    ],
)
def test_what_is_no_code(text: str) -> None:
    """Anything else that a camera may see is refused with a sentence."""
    with pytest.raises(PairingRefused):
        pairing.read_qr(text)


def test_container_convinces_the_companion(account: KeyPair, keys: Keys, random: Random) -> None:
    """HMAC and account signature are what the companion checks, over its own identity."""
    made = pairing.container(account, keys.identity.public, keys.adv_secret, 3, 1_700_000_000, random.randbytes)
    sealed = wa_adv.ADVSignedDeviceIdentityHMAC.FromString(made)
    assert hmac.digest(keys.adv_secret, sealed.details, "sha256") == sealed.HMAC
    signed = wa_adv.ADVSignedDeviceIdentity.FromString(sealed.details)
    assert account.public == signed.accountSignatureKey
    message = b"\x06\x00" + signed.details + keys.identity.public
    assert xeddsa.verify(account.public, message, signed.accountSignature)
    details = wa_adv.ADVDeviceIdentity.FromString(signed.details)
    assert (3, 1_700_000_000) == (details.keyIndex, details.timestamp)


def test_answer_completes_the_identity(account: KeyPair, keys: Keys, random: Random) -> None:
    """The companion's signature and the account's key end up in what key bundles carry."""
    sent = pairing.container(account, keys.identity.public, keys.adv_secret, 3, 0, random.randbytes)
    complete, key_index = pairing.complete_identity(sent, keys.sign(sent), keys.identity.public)
    stored = wa_adv.ADVSignedDeviceIdentity.FromString(complete)
    assert 3 == key_index
    assert account.public == stored.accountSignatureKey
    assert stored.accountSignature
    assert stored.deviceSignature


def test_answer_of_another_device(account: KeyPair, keys: Keys, random: Random) -> None:
    """A signature by another identity is refused."""
    sent = pairing.container(account, keys.identity.public, keys.adv_secret, 1, 0, random.randbytes)
    with pytest.raises(PairingRefused, match="signature"):
        pairing.complete_identity(sent, Keys.make(random).sign(sent), keys.identity.public)


def test_answer_about_other_details(account: KeyPair, keys: Keys, random: Random) -> None:
    """A signature over details that were not sent is refused."""
    sent, other = (
        pairing.container(account, keys.identity.public, keys.adv_secret, index, 0, random.randbytes)
        for index in (1, 2)
    )
    with pytest.raises(PairingRefused, match="signature"):
        pairing.complete_identity(sent, keys.sign(other), keys.identity.public)


@pytest.mark.parametrize("which", [0, 1])
def test_answer_that_is_none(account: KeyPair, keys: Keys, random: Random, which: int) -> None:
    """Bytes that are no device identity, on either side, are refused."""
    sent = pairing.container(account, keys.identity.public, keys.adv_secret, 1, 0, random.randbytes)
    pair = [sent, keys.sign(sent)]
    pair[which] = b"\xff\xff\xff"
    with pytest.raises(PairingRefused, match="none"):
        pairing.complete_identity(pair[0], pair[1], keys.identity.public)


def test_registration_is_checked(keys: Keys) -> None:
    """A registration yields the keys that bundles are made of."""
    checked = pairing.check_registration(keys.payload().devicePairingData)
    assert (77, keys.identity.public) == (checked.registration, checked.identity)
    assert (1, keys.signed.public, keys.signature) == tuple(checked.signed)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("eIdent", b"short"),
        ("eSkeyVal", b"short"),
        ("eSkeyID", b"\x01"),
        ("eKeytype", b"\x06"),
        ("eSkeySig", bytes(64)),
        ("eSkeyVal", bytes(32)),
    ],
    ids=["identity", "key size", "id", "type", "signature", "other key"],
)
def test_registration_that_is_not_signed(keys: Keys, field: str, value: bytes) -> None:
    """A registration with a wrong size, type or signature is refused."""
    data = keys.payload().devicePairingData
    setattr(data, field, value)
    with pytest.raises(PairingRefused):
        pairing.check_registration(data)


def test_code_exchange(account: KeyPair, keys: Keys, random: Random) -> None:
    """With the same code on both sides, both come to the same secret for the container."""
    companion, ephemeral = Companion(keys, random), KeyPair.of(random.randbytes(32))
    wrapped, theirs = pairing.code_primary(CODE, companion.hello(), ephemeral, random.randbytes)
    assert companion.ephemeral.public == theirs
    bundle = companion.finish(wrapped, account.public)
    secret = pairing.code_finish(account, ephemeral, theirs, keys.identity.public, bundle)
    assert companion.adv_secret(account.public) == secret


@pytest.mark.parametrize("typed", ["abcd1234", "ABCD1234", "abcd-1234"])
def test_code_is_read_as_people_type_it(account: KeyPair, keys: Keys, random: Random, typed: str) -> None:
    """Case and dash do not matter."""
    companion, ephemeral = Companion(keys, random), KeyPair.of(random.randbytes(32))
    _, theirs = pairing.code_primary(typed, companion.hello(), ephemeral, random.randbytes)
    assert companion.ephemeral.public == theirs


def test_wrong_code(account: KeyPair, keys: Keys, random: Random) -> None:
    """With another code the bundle does not open."""
    companion, ephemeral = Companion(keys, random), KeyPair.of(random.randbytes(32))
    wrapped, theirs = pairing.code_primary("ABCD1235", companion.hello(), ephemeral, random.randbytes)
    bundle = companion.finish(wrapped, account.public)
    with pytest.raises(PairingRefused, match="code is wrong"):
        pairing.code_finish(account, ephemeral, theirs, keys.identity.public, bundle)


@pytest.mark.parametrize("who", ["companion", "account"])
def test_code_for_somebody_else(account: KeyPair, keys: Keys, random: Random, who: str) -> None:
    """A bundle that names another companion or another account is refused, although it opens."""
    companion, ephemeral = Companion(keys, random), KeyPair.of(random.randbytes(32))
    wrapped, theirs = pairing.code_primary(CODE, companion.hello(), ephemeral, random.randbytes)
    bundle = companion.finish(wrapped, bytes(32) if who == "account" else account.public)
    identity = bytes(32) if who == "companion" else keys.identity.public
    with pytest.raises(PairingRefused, match="another identity"):
        pairing.code_finish(account, ephemeral, theirs, identity, bundle)


@pytest.mark.parametrize("bundle", [b"", bytes(40), bytes(200)], ids=["empty", "cut", "zeros"])
def test_bundle_that_is_none(account: KeyPair, keys: Keys, random: Random, bundle: bytes) -> None:
    """Bytes that are no bundle are refused."""
    ephemeral = KeyPair.of(random.randbytes(32))
    with pytest.raises(PairingRefused):
        pairing.code_finish(account, ephemeral, keys.noise.public, keys.identity.public, bundle)


def test_ephemeral_of_low_order(account: KeyPair, keys: Keys, random: Random) -> None:
    """A companion's key without a shared secret is refused."""
    with pytest.raises(PairingRefused, match="low order"):
        pairing.code_finish(account, KeyPair.of(random.randbytes(32)), bytes(32), keys.identity.public, bytes(200))
