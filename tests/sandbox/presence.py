"""Who is there, who types, who calls: the traffic that is passed on and soon forgotten.

Called by the `router`, for linked devices and phones alike, and by `online` when a connection ends.
"""

from tests.sandbox.delivery import Delivery
from tests.sandbox.node import Given, Node, node
from tests.sandbox.world import Account, Sender


class Presence:
    """The rules of presence in one world."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery, self.world = delivery, delivery.world

    def presence(self, sender: Sender, stanza: Node) -> None:
        """Note that a device is there or away, or that it wants to know this of somebody else."""
        if stanza.get("type") == "subscribe":
            target = self.world.account(stanza.jid("to"))
            if target is not None:
                target.presence_watchers.add(sender.lid)
                self.delivery.to_device(sender.lid, presence_of(target))
            return
        sender.account.push_name = stanza.get("name") or sender.account.push_name
        self.set_available(sender, available=stanza.get("type") != "unavailable")

    def set_available(self, sender: Sender, *, available: bool) -> None:
        """Note that a device is there or away; watchers are told when that changes it for its account."""
        account, before = sender.account, sender.account.online
        if sender.device is not None:
            sender.device.available = available
        elif sender.number == 0:
            account.available = available
        if before == account.online:
            return
        if before:
            account.last_seen = self.delivery.seconds()
        for watcher in sorted(account.presence_watchers):
            self.delivery.to_device(watcher, presence_of(account))

    def chatstate(self, sender: Sender, stanza: Node) -> None:
        """Tell the other side that somebody types; never kept."""
        target = self.world.account(stanza.jid("to"))
        if target is not None:
            self.delivery.to_account(target, node("chatstate", *stanza.children, from_=sender.account.lid))

    def call(self, sender: Sender, stanza: Node) -> None:
        """Acknowledge call signalling and pass it on."""
        to, kind = stanza.jid("to"), stanza.child()
        ack = node("ack", class_="call", id=stanza.get("id"), from_=to, type=kind.tag if kind else None)
        self.delivery.answer(sender, ack)
        target = self.world.account(to)
        if target is not None:
            facts: Given = {"id": stanza.get("id"), "t": self.delivery.seconds(), "from_": sender.account.lid}
            self.delivery.to_account(target, node("call", *stanza.children, **facts))


def presence_of(account: Account) -> Node:
    """What a watcher is told of an account now; who was never seen denies the time."""
    if account.online:
        return node("presence", from_=account.lid)
    return node("presence", from_=account.lid, type="unavailable", last=account.last_seen or "deny")
