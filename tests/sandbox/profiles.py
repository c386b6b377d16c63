"""What users show of themselves and to whom: privacy settings, pictures, the about text, blocked contacts.

Called by `queries`; the pictures themselves are fetched over the web, from the handler that `server` registers.
"""

import json
from hashlib import sha256

from tests.sandbox.delivery import Delivery
from tests.sandbox.node import JID, LID, Node, QueryError, node
from tests.sandbox.web import Request, Response
from tests.sandbox.world import Account, Picture, Sender

PICTURE_HOST = "pps.whatsapp.net"
PRIVACY = {  # what a fresh account has
    "readreceipts": "all",
    "last": "all",
    "online": "all",
    "profile": "all",
    "status": "all",
    "groupadd": "all",
    "calladd": "all",
    "messages": "all",
    "defense": "off",
    "stickers": "contacts",
}


class Profiles:
    """Reads and writes profiles for linked devices."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery, self.world = delivery, delivery.world

    def privacy(self, sender: Sender, iq: Node) -> list[Node]:
        """Tell the settings, change one of them, or take the tokens that follow a first message."""
        if iq.child("tokens"):
            return []
        account = sender.account
        if iq.get("type") == "set":
            changed = list(iq.need("privacy").all("category"))
            account.privacy |= {category.get("name"): category.get("value") for category in changed}
            return [node("privacy", *changed)]
        settings = PRIVACY | account.privacy
        return [node("privacy", *(node("category", name=name, value=value) for name, value in settings.items()))]

    def picture(self, sender: Sender, iq: Node) -> list[Node]:
        """Tell where a picture is, or set the asker's own."""
        asked = iq.child("picture")
        if iq.get("type") == "set":
            fresh = self.set_picture(sender.account, asked.data if asked else b"", by=sender.number)
            return [node("picture", id=fresh)]
        target = iq.jid("target") if "target" in iq.attrs else sender.account.pn
        account = self.world.account(target)
        if account is None or account.picture is None:
            raise QueryError(404, "item-not-found")
        if asked is not None and asked.get("id") == account.picture.id:
            return [node("picture", status=304)]
        kind = (asked.get("type") if asked else "") or "image"
        path = f"/v/{account.lid.user}/{account.picture.id}?ccb=1"
        url = f"https://{PICTURE_HOST}{path}"
        return [node("picture", id=account.picture.id, type=kind, url=url, direct_path=path)]

    def set_picture(self, account: Account, jpeg: bytes, by: int = 0) -> str | None:
        """Give an account another picture (without bytes: none); its new id.

        Whoever asked for its devices, and its own devices except the one that did it, are told.
        """
        fresh = str(int.from_bytes(self.world.entropy(4)) + 1) if jpeg else None
        account.picture = Picture(fresh, jpeg) if fresh else None
        change = node("set" if fresh else "delete", jid=account.lid, id=fresh, author=account.lid)
        own = {account.lid.of_device(number) for number in account.devices if number != by}
        for watcher in sorted(own | account.device_watchers - {account.lid.of_device(by)}):
            self.delivery.to_device(watcher, self.delivery.notification("picture", account.lid, change))
        return fresh

    def mex(self, sender: Sender, iq: Node) -> list[Node]:
        """GraphQL queries: a change of the asker's about text is made, everything else has an empty answer."""
        try:
            asked = json.loads(iq.need("query").data)["variables"]["input"]
        except (ValueError, KeyError, TypeError):
            asked = {}
        if isinstance(asked, dict) and isinstance(asked.get("text"), str):
            sender.account.about = asked["text"]
        return [node("result", b'{"data":{}}')]

    def status(self, sender: Sender, iq: Node) -> list[Node]:
        """Set the about text, or tell who may see status posts."""
        text = iq.child("status")
        if text is not None:
            sender.account.about = text.text
            return []
        return [node("privacy", node("list", type="contacts", default="true"))]

    def blocklist(self, sender: Sender, iq: Node) -> list[Node]:
        """Tell whom the asker blocked, after blocking or unblocking somebody if that is asked for."""
        blocked, change = sender.account.blocked, iq.child("item")
        if change is not None:
            jid = change.jid("jid").bare
            (blocked.add if change.get("action") == "block" else blocked.discard)(jid)
        return [node("list", *(node("item", jid=jid) for jid in sorted(blocked)), dhash=_hash(blocked))]

    async def serve_picture(self, request: Request) -> Response:
        """The web host of the pictures."""
        _, _, user, picture = (request.path.split("/") + [""] * 4)[:4]
        account = self.world.account(JID(user, LID))
        if account is None or account.picture is None or account.picture.id != picture:
            return Response(404)
        return Response(200, account.picture.jpeg, {"Content-Type": "image/jpeg"})


def _hash(blocked: set[JID]) -> str:
    return sha256("".join(map(str, sorted(blocked))).encode()).hexdigest()[:16]
