"""The client's side of the wire, written out once more so that the server's side is tested against another hand.

`Initiator` is the Noise initiator, with the cryptography package's own HKDF; `mask` makes the
frames of a web socket client; `WireClient` is both on a real socket, through the proxy and TLS.
"""

import asyncio
import base64
import hashlib
import itertools
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tests.sandbox import binary, proto, tokens
from tests.sandbox.keys import ID_SIZE, KEY_TYPE, KeyPair
from tests.sandbox.node import Node, node
from tests.sandbox.proto import wa_adv, wa_cert, wa_wa6
from tests.sandbox.signal import xeddsa

PATTERN = b"Noise_XX_25519_AESGCM_SHA256\x00\x00\x00\x00"


def dictionaries() -> tokens.Dictionaries:
    """The real dictionaries, from the cache or the installed library."""
    return tokens.load(next(proto.library_folder().glob("neonize-linux*")))


def mask(payload: bytes, opcode: int = 2, *, fin: bool = True, key: bytes = b"\x11\x22\x33\x44") -> bytes:
    """A web socket client's frame."""
    size = len(payload)
    first = bytes(((0x80 if fin else 0) | opcode,))
    if size < 126:
        head = first + bytes((0x80 | size,))
    elif size < 1 << 16:
        head = first + b"\xfe" + size.to_bytes(2)
    else:
        head = first + b"\xff" + size.to_bytes(8)
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


class Initiator:
    """The client's half of the handshake, step by step."""

    def __init__(self, static: KeyPair, ephemeral: KeyPair, prologue: bytes = b"WA\x06\x03") -> None:
        self.static, self.ephemeral = static, ephemeral
        self.hash = self.chain = self.key = PATTERN
        self.number = 0
        self._mix(prologue)

    def hello(self) -> bytes:
        """The first frame."""
        message = wa_wa6.HandshakeMessage()
        message.clientHello.ephemeral = self.ephemeral.public
        self._mix(self.ephemeral.public)
        return bytes(message.SerializeToString())

    def finish(self, frame: bytes, payload: bytes) -> bytes:
        """Take the server's answer, check its chain for shape, and make the second frame."""
        answer = wa_wa6.HandshakeMessage.FromString(frame).serverHello
        self._mix(answer.ephemeral)
        self._agree(self.ephemeral, answer.ephemeral)
        self.server_static = self._open(answer.static)
        self._agree(self.ephemeral, self.server_static)
        self.chain_of_trust = wa_cert.CertChain.FromString(self._open(answer.payload))
        message = wa_wa6.HandshakeMessage()
        message.clientFinish.static = self._seal(self.static.public)
        self._agree(self.static, answer.ephemeral)
        message.clientFinish.payload = self._seal(payload)
        return bytes(message.SerializeToString())

    def split(self) -> tuple[AESGCM, AESGCM]:
        """The keys of the two directions: what we send with, what we receive with."""
        both = self._derive(b"")
        return AESGCM(both[:32]), AESGCM(both[32:])

    def _mix(self, data: bytes) -> None:
        self.hash = hashlib.sha256(self.hash + data).digest()

    def _derive(self, secret: bytes) -> bytes:
        return HKDF(hashes.SHA256(), 64, self.chain, b"").derive(secret)

    def _agree(self, own: KeyPair, peer: bytes) -> None:
        both = self._derive(own.shared(peer))
        self.chain, self.key, self.number = both[:32], both[32:], 0

    def _nonce(self) -> bytes:
        self.number += 1
        return bytes(8) + (self.number - 1).to_bytes(4)

    def _seal(self, plain: bytes) -> bytes:
        sealed = AESGCM(self.key).encrypt(self._nonce(), plain, self.hash)
        self._mix(sealed)
        return sealed

    def _open(self, sealed: bytes) -> bytes:
        plain = AESGCM(self.key).decrypt(self._nonce(), sealed, self.hash)
        self._mix(sealed)
        return plain


@dataclass
class Keys:
    """What a device makes of itself before it registers."""

    noise: KeyPair
    identity: KeyPair
    signed: KeyPair
    signature: bytes
    adv_secret: bytes
    registration: int = 77
    signed_id: int = 1

    @classmethod
    def make(cls, random: Random) -> "Keys":
        """Keys of a seeded device."""
        noise, identity, signed = (KeyPair.of(random.randbytes(32)) for _ in range(3))
        signature = xeddsa.sign(identity.private, KEY_TYPE + signed.public, random.randbytes(64))
        return cls(noise, identity, signed, signature, random.randbytes(32))

    def payload(self) -> wa_wa6.ClientPayload:
        """The payload with which it registers."""
        payload = wa_wa6.ClientPayload()
        data = payload.devicePairingData
        data.eRegid = self.registration.to_bytes(4)
        data.eKeytype = KEY_TYPE
        data.eIdent = self.identity.public
        data.eSkeyID = self.signed_id.to_bytes(ID_SIZE)
        data.eSkeyVal = self.signed.public
        data.eSkeySig = self.signature
        return payload

    def sign(self, container: bytes) -> bytes:
        """The device's answer to the phone's container: its signature, without the account's key."""
        sealed = wa_adv.ADVSignedDeviceIdentityHMAC.FromString(container)
        identity = wa_adv.ADVSignedDeviceIdentity.FromString(sealed.details)
        signed = b"\x06\x01" + identity.details + self.identity.public + identity.accountSignatureKey
        identity.deviceSignature = xeddsa.sign(self.identity.private, signed, bytes(64))
        identity.ClearField("accountSignatureKey")
        return bytes(identity.SerializeToString())

    def code(self, ref: str) -> str:
        """The bare fields of the QR code that it shows for a reference."""
        keys = self.noise.public, self.identity.public, self.adv_secret
        return ",".join((ref, *(base64.b64encode(key).decode() for key in keys)))


@dataclass
class WireClient:
    """A device on a real socket: CONNECT, TLS, web socket, handshake, then stanzas."""

    port: int
    ca: Path
    keys: Keys
    payload: wa_wa6.ClientPayload | None = None
    heard: list[Node] = field(default_factory=list)

    async def open(self, host: str = "web.whatsapp.com") -> "WireClient":
        """Connect up to TLS."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
        self.greeting = await self.reader.readuntil(b"\r\n\r\n")
        context = ssl.create_default_context(cafile=str(self.ca))
        context.set_alpn_protocols(["h2", "http/1.1"])
        await self.writer.start_tls(context, server_hostname=host)
        return self

    async def upgrade(self) -> str:
        """Ask for the web socket; the status line of the answer."""
        self.writer.write(
            b"GET /ws/chat HTTP/1.1\r\nHost: web.whatsapp.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self.answer = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        return self.answer.partition("\r\n")[0]

    async def login(self) -> "WireClient":
        """Everything up to the first stanza."""
        await self.open()
        await self.upgrade()
        handshake = Initiator(self.keys.noise, KeyPair.of(bytes(range(32))))
        self._dictionaries = dictionaries()
        self._send_frame(handshake.hello(), prologue=b"WA\x06\x03")
        payload = self.payload or self.keys.payload()
        self._send_frame(handshake.finish(await self._frame(), payload.SerializeToString()))
        self._out, self._in = handshake.split()
        self._sent, self._received = itertools.count(), itertools.count()
        return self

    def send(self, *stanzas: Node) -> None:
        """Write stanzas."""
        for stanza in stanzas:
            nonce = next(self._sent).to_bytes(12)
            self._send_frame(self._out.encrypt(nonce, binary.encode(stanza, self._dictionaries), b""))

    async def next(self) -> Node:
        """Read one stanza; raises IncompleteReadError where the server has closed."""
        sealed = await self._frame()
        stanza = binary.decode(self._in.decrypt(next(self._received).to_bytes(12), sealed, b""), self._dictionaries)
        self.heard.append(stanza)
        return stanza

    async def until(self, accept: Callable[[Node], object]) -> Node:
        """Read stanzas up to the first that is accepted."""
        async with asyncio.timeout(10):
            while not accept(stanza := await self.next()):
                pass
        return stanza

    async def activate(self) -> Node:
        """Log in as far as the offline count."""
        await self.until(lambda stanza: stanza.tag == "success")
        self.send(node("iq", node("active"), type="set", xmlns="passive", id="active"))
        return await self.until(lambda stanza: stanza.child("offline"))

    async def ended(self) -> bool:
        """Whether the server has closed the connection, after reading what is left."""
        async with asyncio.timeout(10):
            try:
                while True:
                    await self.next()
            except (asyncio.IncompleteReadError, ConnectionError):
                return True

    def close(self) -> None:
        """Cut the connection."""
        self.writer.transport.abort()

    def _send_frame(self, body: bytes, prologue: bytes = b"") -> None:
        self.writer.write(mask(prologue + len(body).to_bytes(3) + body))

    async def _frame(self) -> bytes:
        """One frame; the server puts each into a web socket message of its own."""
        head = await self.reader.readexactly(2)
        size = head[1]
        if size >= 126:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8))
        message = await self.reader.readexactly(size)
        return message[3:]
