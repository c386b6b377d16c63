"""The cryptography of linking a device, both ways, as pure functions.

The phone's half (`read_qr`, `container`, `code_primary`, `code_finish`) is called by the handsets, the server's
half (`check_registration`, `complete_identity`) by `linking`. Keys are raw 32 bytes everywhere.
"""

import base64
import binascii
import hmac
from collections.abc import Callable
from hashlib import pbkdf2_hmac
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError

from tests.sandbox.contract import PairingRefused
from tests.sandbox.keys import ID_SIZE, KEY_SIZE, KEY_TYPE, KeyPair, SignedPrekey
from tests.sandbox.proto import wa_adv, wa_wa6
from tests.sandbox.signal import xeddsa
from tests.sandbox.signal.kdf import hkdf

ACCOUNT_PREFIX, DEVICE_PREFIX = b"\x06\x00", b"\x06\x01"  # what the two signatures begin with
CODE_ROUNDS = 131_072  # of PBKDF2; the client's number
CODE_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"  # of the eight characters
SALT_SIZE, IV_SIZE, NONCE_SIZE = 32, 16, 12  # bytes
QR_FIELDS = 4  # reference, two keys, secret; the newer form adds the client's type


class QR(NamedTuple):
    """What a linking code shows: the server's reference, the companion's public keys and its secret."""

    ref: str
    noise: bytes
    identity: bytes
    adv_secret: bytes


class Registration(NamedTuple):
    """The public keys that a new device registers with."""

    registration: int
    identity: bytes
    signed: SignedPrekey


def read_qr(text: str) -> QR:
    """Read a QR code's text, the URL or the bare fields; raises `PairingRefused` if it is no linking code."""
    fields = text.rpartition("#")[2].split(",")
    try:
        ref, *keys = fields[:QR_FIELDS]
        noise, identity, secret = (base64.b64decode(key, validate=True) for key in keys)
    except (ValueError, binascii.Error):
        raise PairingRefused("this is not a linking code") from None
    if not {len(noise), len(identity), len(secret)} == {KEY_SIZE}:
        raise PairingRefused("this linking code holds a key of a wrong size")
    return QR(ref, noise, identity, secret)


def container(
    account: KeyPair,
    companion_identity: bytes,
    adv_secret: bytes,
    key_index: int,
    now: int,
    random: Callable[[int], bytes],
) -> bytes:
    """What the phone sends to the companion that it accepts: a serialized ADVSignedDeviceIdentityHMAC."""
    details = wa_adv.ADVDeviceIdentity(
        rawID=int.from_bytes(random(4)), timestamp=now, keyIndex=key_index
    ).SerializeToString()
    signed = wa_adv.ADVSignedDeviceIdentity(
        details=details,
        accountSignatureKey=account.public,
        accountSignature=xeddsa.sign(
            account.private, ACCOUNT_PREFIX + details + companion_identity, random(xeddsa.RANDOM_SIZE)
        ),
    ).SerializeToString()
    sealed: bytes = wa_adv.ADVSignedDeviceIdentityHMAC(
        details=signed, HMAC=hmac.digest(adv_secret, signed, "sha256")
    ).SerializeToString()
    return sealed


def code_primary(
    code: str, wrapped_companion: bytes, ephemeral: KeyPair, random: Callable[[int], bytes]
) -> tuple[bytes, bytes]:
    """The phone's first step after a code was typed: its own wrapped ephemeral key, and the companion's."""
    salt, iv = random(SALT_SIZE), random(IV_SIZE)
    wrapped = salt + iv + _with_code(code, salt, iv, ephemeral.public)
    salt, iv = wrapped_companion[:SALT_SIZE], wrapped_companion[SALT_SIZE : SALT_SIZE + IV_SIZE]
    return wrapped, _with_code(code, salt, iv, wrapped_companion[SALT_SIZE + IV_SIZE :])


def code_finish(
    account: KeyPair, ephemeral: KeyPair, companion_ephemeral: bytes, companion_identity: bytes, bundle: bytes
) -> bytes:
    """The phone's second step: the secret for `container`. Raises `PairingRefused` where the code was wrong."""
    shared = _agree(ephemeral, companion_ephemeral)
    salt, nonce = bundle[:SALT_SIZE], bundle[SALT_SIZE : SALT_SIZE + NONCE_SIZE]
    key = hkdf(shared, b"link_code_pairing_key_bundle_encryption_key", KEY_SIZE, salt)
    try:
        opened = AESGCM(key).decrypt(nonce, bundle[SALT_SIZE + NONCE_SIZE :], b"")
    except (InvalidTag, ValueError):
        raise PairingRefused("the code is wrong") from None
    identity, primary, secret = opened[:KEY_SIZE], opened[KEY_SIZE : 2 * KEY_SIZE], opened[2 * KEY_SIZE :]
    if identity != companion_identity or primary != account.public:
        raise PairingRefused("the companion means another identity")
    return hkdf(shared + _agree(account, companion_identity) + secret, b"adv_secret", KEY_SIZE)


def check_registration(data: "wa_wa6.ClientPayload.DevicePairingRegistrationData") -> Registration:
    """The keys of a registering device; raises `PairingRefused` if they are not signed as they must be."""
    signed = SignedPrekey(int.from_bytes(data.eSkeyID), data.eSkeyVal, data.eSkeySig)
    sizes = len(data.eIdent), len(data.eSkeyVal), len(data.eSkeyID)
    if sizes != (KEY_SIZE, KEY_SIZE, ID_SIZE) or data.eKeytype != KEY_TYPE:
        raise PairingRefused("a registration with keys of a wrong size or type")
    if not xeddsa.verify(data.eIdent, KEY_TYPE + signed.public, signed.signature):
        raise PairingRefused("the signed prekey is not signed by the identity")
    return Registration(int.from_bytes(data.eRegid), data.eIdent, signed)


def complete_identity(sent: bytes, returned: bytes, companion_identity: bytes) -> tuple[bytes, int]:
    """Check the companion's answer to `container` and complete it.

    Returns the serialized device identity with all signatures and the account's key, as key bundles carry it,
    and the key index. Raises `PairingRefused` if the companion signed something else.
    """
    try:
        offer = wa_adv.ADVSignedDeviceIdentity.FromString(wa_adv.ADVSignedDeviceIdentityHMAC.FromString(sent).details)
        answer = wa_adv.ADVSignedDeviceIdentity.FromString(returned)
        details = wa_adv.ADVDeviceIdentity.FromString(offer.details)
    except DecodeError:
        raise PairingRefused("a device identity that is none") from None
    signed = DEVICE_PREFIX + offer.details + companion_identity + offer.accountSignatureKey
    if answer.details != offer.details or not xeddsa.verify(companion_identity, signed, answer.deviceSignature):
        raise PairingRefused("the device's signature is wrong")
    answer.accountSignatureKey = offer.accountSignatureKey
    return answer.SerializeToString(), details.keyIndex


def _with_code(code: str, salt: bytes, iv: bytes, data: bytes) -> bytes:
    """AES-256-CTR under the key made of the code's characters (the dash does not count): seals and opens."""
    key = pbkdf2_hmac("sha256", code.replace("-", "").upper().encode(), salt, CODE_ROUNDS, KEY_SIZE)
    return Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor().update(data)


def _agree(own: KeyPair, peer: bytes) -> bytes:
    try:
        return own.shared(peer)
    except ValueError:
        raise PairingRefused("a key of low order") from None
