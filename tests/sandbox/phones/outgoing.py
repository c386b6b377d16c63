"""A phone's way out: encryption for every device that gets a message, and the stanzas that carry it.

Called by `phone` and `reception`. What is sent is remembered, so that a device which could not read it can ask
again.
"""

from dataclasses import dataclass, field

from tests.sandbox.contract import Bundle
from tests.sandbox.node import JID, Node, node
from tests.sandbox.phones import content
from tests.sandbox.phones.line import Line
from tests.sandbox.phones.retries import Answering, Recent
from tests.sandbox.proto import wa_e2e

ENC_VERSION = 2  # WhatsApp's own number beside the ciphertext; Signal's version is inside


@dataclass(slots=True, eq=False)
class Outgoing:
    """Sends the messages of one phone. `sent` holds chat and content by message id."""

    line: Line
    answering: Answering = field(default_factory=Answering)
    sent: Recent[str, tuple[JID, wa_e2e.Message]] = field(default_factory=Recent)

    def new_id(self) -> str:
        """A message id as phones make them: 3A and 18 hexadecimal digits."""
        return "3A" + self.line.random(9).hex().upper()

    def send(self, chat: JID, message: wa_e2e.Message, message_id: str) -> int:
        """Write to a chat (bare LID): to its devices, and copies to the own companions.

        Gives the number of devices that it was encrypted for; with none, nothing is sent.
        """
        own, network = self.line.lid, self.line.network
        self.sent.put(message_id, (chat, message))
        others = [chat.of_device(n) for n in network.devices(chat) if chat != own]
        companions = [own.of_device(n) for n in network.devices(own) if n]
        copy = content.device_sent(str(chat), message)
        sealed = [(to, self._enc(to, message, message_id)) for to in others]
        sealed += [(to, self._enc(to, copy, message_id)) for to in companions]
        entries = [node("to", enc, jid=to) for to, enc in sealed if enc is not None]
        if entries:
            label = content.label(message)
            participants = node("participants", *entries)
            self.line.submit(node("message", participants, to=chat, id=message_id, type=label.type, edit=label.edit))
        return len(entries)

    def to_companion(self, device: int, message: wa_e2e.Message, message_id: str) -> None:
        """Send a peer message, which no user sees, to one own companion."""
        to = self.line.lid.of_device(device)
        self.sent.put(message_id, (to, message))
        enc = self._enc(to, message, message_id)
        if enc is not None:
            meta = node("meta", appdata="default")
            self.line.submit(node("message", meta, enc, to=to, id=message_id, type="text", category="peer"))

    def again(self, device: JID, message_id: str, attempt: int, keys: Bundle | None) -> bool:
        """Answer a device that could not read a message; False if there is nothing to answer with."""
        remembered = self.sent.get(message_id)
        if remembered is None or not self.answering.answers(device, message_id):
            return False
        if self.answering.renews(device, message_id, self.line.device.current_base(device)):
            bundle = keys or self.line.network.bundle(device)
            if bundle is None:
                return False
            self.line.device.open_session(device, bundle, self.line.random)
        chat, message = remembered
        own = device.bare == self.line.lid
        copied, peer = own and chat != device, own and chat == device
        enc = self._enc(device, content.device_sent(str(chat), message) if copied else message, message_id)
        if enc is None:
            return False
        label = content.label(message)
        answer = node(
            "message",
            enc.with_attrs(count=str(attempt)),
            to=device,
            id=message_id,
            type=label.type,
            edit=label.edit,
            device_fanout="false",
            category="peer" if peer else None,
            recipient=chat if copied else None,
        )
        self.line.submit(answer)
        return True

    def _enc(self, to: JID, message: wa_e2e.Message, message_id: str) -> Node | None:
        """The message encrypted for one device, or None if that device has no keys."""
        device = self.line.device
        if not device.has_session(to):
            bundle = self.line.network.bundle(to)
            if bundle is None:
                return None
            device.open_session(to, bundle, self.line.random)
        sealed = device.seal(to, content.pad(message, self.line.random))
        self.answering.note(to, message_id, sealed.base)
        copy = content.sent_copy(message)
        label = content.label(copy[1] if copy else message)
        enc = node("enc", sealed.data, v=ENC_VERSION, type=sealed.kind, mediatype=label.media_type)
        return enc.with_attrs(**{"decrypt-fail": "hide"}) if label.hide_failure else enc
