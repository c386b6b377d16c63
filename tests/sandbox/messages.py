"""Carrying messages: from the one stanza that a device writes to each device it is sealed for.

Called by the `router`, for linked devices and phones alike. Further kinds of address (groups) register a carrier.
"""

from collections.abc import Callable

from tests.sandbox.delivery import Delivery
from tests.sandbox.node import JID, LID, SERVER, Given, Node, node
from tests.sandbox.world import Sender

TRAVELS = ("type", "edit", "addressing_mode", "category", "push_priority")  # attributes passed on as they are
ADDRESSED = {"participants", "enc", "tctoken", "device-identity"}  # children that are not

# Serves messages to one kind of address; returns the error for the acknowledgement, 0 when all is well.
Carrier = Callable[[Sender, Node], int]


class Messages:
    """The rules of message traffic in one world."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery, self.world = delivery, delivery.world
        self.carriers: dict[str, Carrier] = {LID: self._to_user, SERVER: self._to_user}

    def message(self, sender: Sender, stanza: Node) -> None:
        """Carry a message to its devices and acknowledge it to the sender."""
        to = stanza.jid("to")
        error = self.delivery.faults.refused(*sender.names) or self._carry(sender, to, stanza)
        if self.delivery.faults.unacknowledged(*sender.names):
            return
        facts: Given = {"id": stanza.get("id"), "from_": to, "t": self.delivery.seconds(), "error": error or None}
        self.delivery.answer(sender, node("ack", class_="message", **facts))

    def _carry(self, sender: Sender, to: JID, stanza: Node) -> int:
        carrier = self.carriers.get(to.server)
        if carrier is None:
            self.world.unimplemented[f"message to {to.server}"] += 1
            return 400
        return carrier(sender, stanza)

    def _to_user(self, sender: Sender, stanza: Node) -> int:
        """Carry to the devices that the stanza lists, or (peer message, answer to a retry) to the one it names."""
        to = stanza.jid("to")
        target = self.world.account(to)
        if target is None:
            return 404
        participants = stanza.child("participants")
        if participants is None:
            self.hand_over(sender, target.lid.of_device(to.device), stanza, list(stanza.all("enc")))
            return 0
        for entry in participants.all("to"):
            self.hand_over(sender, entry.jid("jid"), stanza, entry.children)
        return 0

    def hand_over(self, sender: Sender, to: JID, stanza: Node, sealed: list[Node]) -> None:
        """Deliver one device's copy of a message: its own ciphertexts first, then what all devices get."""
        passed = [child for child in stanza.children if child.tag not in ADDRESSED]
        identity = stanza.child("device-identity")
        if identity is not None and any(enc.get("type") == "pkmsg" for enc in sealed):
            passed = [identity, *passed]
        copy = node("message", *sealed, *passed, id=stanza.get("id"), t=self.delivery.seconds())
        copy.attrs |= {name: stanza.attrs[name] for name in TRAVELS if name in stanza.attrs}
        # Who answers a retry for an own copy names the chat itself: `to` is then the device that asked.
        chat = self.world.account(stanza.jid("recipient" if "recipient" in stanza.attrs else "to"))
        if self.world.account(to) is not sender.account:
            copy.attrs |= {"from": sender.lid, "sender_pn": sender.pn, "notify": sender.account.push_name}
        elif stanza.get("category") == "peer":
            copy.attrs["from"] = sender.pn
        elif chat is not None:
            copy.attrs |= {"from": sender.lid, "recipient": chat.lid, "peer_recipient_pn": chat.pn}
        self.delivery.to_device(to, copy)
