"""Who has which number, LID, devices and profile: the `usync` and `w:qr` namespaces.

Called by `queries`.
"""

from collections.abc import Callable, Iterator

from tests.sandbox.node import JID, SERVER, Node, QueryError, StanzaError, node
from tests.sandbox.world import Account, Sender, World

LINK_SIZE = 7  # random bytes in the code of a contact link


class Directory:
    """Looks accounts up for linked devices."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._links: dict[str, Account] = {}
        self._facts: dict[str, Callable[[Account], Node]] = {
            "devices": _devices,
            "lid": lambda account: node("lid", val=account.lid),
            "status": lambda account: node("status", account.about.encode(), t=int(world.now())),
            "picture": lambda account: node("picture", id=account.picture.id if account.picture else None),
        }

    def usync(self, sender: Sender, iq: Node) -> list[Node]:
        """Answer one look-up: each user asked for, with what the `<query>` names and we know."""
        asked = iq.need("usync")
        query = asked.need("query")
        users = [found for user in asked.need("list").all("user") for found in self._user(sender, query, user)]
        return [Node("usync", asked.attrs, [node("list", *users)])]

    def contact_link(self, sender: Sender, iq: Node) -> list[Node]:
        """Give the asker's own contact link (a new one to revoke the old), or say whose link a code is."""
        asked = iq.need("qr")
        if "code" in asked.attrs:
            account = self._links.get(asked.get("code"))
            if account is None:
                raise QueryError(404, "item-not-found")
            return [node("qr", type="contact", jid=account.pn, notify=account.push_name)]
        known = [code for code, account in self._links.items() if account is sender.account]
        if known and asked.get("action") != "revoke":
            return [node("qr", code=known[0], type="contact")]
        for code in known:
            del self._links[code]
        code = self.world.entropy(LINK_SIZE).hex().upper()
        self._links[code] = sender.account
        return [node("qr", code=code, type="contact")]

    def _user(self, sender: Sender, query: Node, user: Node) -> Iterator[Node]:
        contact, by = user.child("contact"), query.child("contact")
        if contact is not None:
            yield self._by_number(contact, lid=(by or query).get("addressing_mode") == "lid")
            return
        jid = user.jid("jid")
        account = self.world.account(jid)
        if account is None:
            return
        if query.child("devices"):
            account.device_watchers.add(sender.lid)
        known = (self._facts[topic.tag](account) for topic in query.children if topic.tag in self._facts)
        yield node("user", *known, jid=jid)

    def _by_number(self, contact: Node, *, lid: bool) -> Node:
        number = JID(contact.text.partition("@")[0].lstrip("+"), SERVER)
        account = self.world.account(number) if number.user else None
        if number.user and not number.user.isdecimal():
            raise StanzaError("a contact is looked up by its number")
        answer = node("contact", contact.data, type="in" if account else "out")
        if account is None:
            return node("user", answer, jid=number)
        return node("user", answer, jid=account.lid, pn_jid=account.pn) if lid else node("user", answer, jid=number)


def _devices(account: Account) -> Node:
    phone = node("device", id=0)
    linked = (node("device", id=d.number, **{"key-index": d.key_index}) for d in account.devices.values())
    return node("devices", node("device-list", phone, *linked))
