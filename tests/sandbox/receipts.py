"""Receipts and acknowledgements: what they strike out of an outbox, and whom else they concern.

Called by the `router`, for linked devices and phones alike.
"""

from tests.sandbox.delivery import Delivery
from tests.sandbox.node import Given, Node, node
from tests.sandbox.world import Account, Sender

OWN_ONLY = {"sender", "peer_msg", "hist_sync"}  # receipts for messages of the own account
READ = {"read", "played"}  # receipts that the reader's other devices learn of as well
READ_PRIVATELY = "read-self"  # a receipt for the reader's other devices alone


class Receipts:
    """The rules of receipts in one world."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery, self.world = delivery, delivery.world

    def ack(self, sender: Sender, stanza: Node) -> None:
        """A device took a stanza, or refused a message: it need not be sent again."""
        tag = stanza.get("class")
        kind = "" if tag == "message" else stanza.get("type")
        if sender.device is not None:
            addresses = stanza.get("to"), stanza.get("participant")
            self.delivery.acknowledged(sender.device, tag, stanza.get("id"), kind, *addresses)

    def receipt(self, sender: Sender, stanza: Node) -> None:
        """Strike out what a receipt acknowledges, acknowledge the receipt, and tell whom it concerns."""
        if sender.device is not None:
            addresses = stanza.get("to"), stanza.get("participant"), stanza.get("recipient")
            for identifier in _ids(stanza):
                self.delivery.acknowledged(sender.device, "message", identifier, "", *addresses)
        facts: Given = {"id": stanza.get("id"), "type": stanza.get("type"), "t": self.delivery.seconds()}
        repeated: Given = {"from_": stanza.jid("to"), "participant": stanza.attrs.get("participant")}
        self.delivery.answer(sender, node("ack", class_="receipt", **facts, **repeated))
        told = node("receipt", *stanza.children, **facts, from_=sender.account.lid)
        self._spread(sender, stanza, told)

    def _spread(self, sender: Sender, stanza: Node, told: Node) -> None:
        kind, to = stanza.get("type"), stanza.jid("to")
        target = self.world.account(to)
        if target is None:
            self.world.record("undeliverable", to, stanza)
        elif kind == "retry":
            self.delivery.to_device(to, told.with_attrs(from_=sender.lid))
        elif kind in OWN_ONLY or target is sender.account:
            self._to_own(sender, stanza, told)
        else:
            self._to_author(sender, target, kind, told)

    def _to_author(self, sender: Sender, author: Account, kind: str, told: Node) -> None:
        """Tell all devices of the message's author, and of reading the reader's other devices too."""
        if kind != READ_PRIVATELY:
            self.delivery.to_account(author, told)
        if kind in READ or kind == READ_PRIVATELY:
            own = told.with_attrs(recipient=author.lid)
            self.delivery.to_account(sender.account, own, but=sender.number)

    def _to_own(self, sender: Sender, stanza: Node, told: Node) -> None:
        """A receipt for a message of the own account goes to the one device that wrote it, and names the chat."""
        named = [stanza.jid(name) for name in ("to", "recipient") if name in stanza.attrs]
        own = [jid for jid in named if self.world.account(jid) is sender.account]
        chat = [jid for jid in named if jid not in own]
        if own:
            recipient = chat[0] if chat else None
            self.delivery.to_device(own[0], told.with_attrs(from_=sender.lid, recipient=recipient))


def _ids(receipt: Node) -> list[str]:
    """The messages that a receipt speaks of: `id`, and more in `<list>`."""
    more = receipt.child("list")
    return [receipt.get("id"), *(item.get("id") for item in (more.all("item") if more else ()))]
