"""A phone's app state in the world: what a new companion finds, and changes both ways."""

import pytest

from tests.sandbox.node import JID, SERVER_JID, Node, node
from tests.sandbox.phones import appstate, content
from tests.sandbox.phones.appstate import COLLECTIONS, Mutation, Replica, SyncKey
from tests.sandbox.phones.line import PhoneError
from tests.sandbox.phones.phone import Phone
from tests.sandbox.proto import wa_e2e, wa_sync_action
from tests.sandbox.world import Sender
from tests.unit.sandbox_box import START, Box, Companion, records

BOB = JID("33612000002", "s.whatsapp.net")


class Desk(Companion):
    """A companion that keeps replicas of its own, as the client does."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.replicas = {name: Replica(name) for name in COLLECTIONS}

    def keys(self) -> SyncKey:
        """The key that the phone shared."""
        share = self.read(self.of("message", category="peer")[-1]).protocolMessage.appStateSyncKeyShare
        shared = share.keys[0]
        return SyncKey(shared.keyID.keyID, shared.keyData.keyData, shared.keyData.timestamp)

    def fetch(self, key: SyncKey) -> list[Mutation]:
        """Fetch every collection from the server and read its patches."""
        asked = [node("collection", name=n, version=r.version) for n, r in self.replicas.items()]
        iq = node("iq", node("sync", *asked), type="set", xmlns="w:sync:app:state", to=SERVER_JID, id="1")
        (answer,) = self.box.router.states.query(Sender(self.linked.account, self.number), iq)
        read: list[Mutation] = []
        for collection in answer.all("collection"):
            for patch in patches(collection):
                name = collection.get("name")
                mutations, self.replicas[name] = self.replicas[name].read(patch, {key.id: key.expand()})
                read += mutations
        return read

    def change(self, collection: str, mutation: Mutation, key: SyncKey) -> int | None:
        """Send a patch of one's own; the new version, or None on a conflict."""
        patch, after = self.replicas[collection].write([mutation], key, self.box.random.randbytes)
        base = self.replicas[collection].version
        account = self.linked.account
        version = self.box.router.app_state_patch(account, collection, base, patch, self.number)
        if version is not None:
            self.replicas[collection] = after
        return version


def patches(collection: Node) -> list[bytes]:
    """The patches of an answer."""
    holder = collection.child("patches")
    return [patch.data for patch in holder.all("patch")] if holder else []


class Shared(Box):
    """Alice, whose phone has a push name and a contact, and her companion."""

    def __init__(self) -> None:
        super().__init__()
        self.alice = self.phone("33612000001", "Alice")
        self.alice.change([appstate.push_name("Alice"), appstate.contact(str(BOB), "9002@lid", "Bob B.")])
        self.desk = self.desk_of(self.alice)

    def desk_of(self, phone: Phone, number: int = 1) -> Desk:
        """Link a companion that keeps app state."""
        desk = Desk(self, phone, number)
        self.router.companions.add(desk.linked)
        self.router.companions.attach(desk.linked, desk)
        self.router.companions.activated(desk.linked)
        self.run()
        return desk


@pytest.fixture
def shared() -> Shared:
    """Alice and her companion."""
    return Shared()


def test_a_new_companion_gets_the_key_and_finds_names(shared: Shared) -> None:
    """Shares the key after the first `active`, with push name and contacts there already."""
    (share,) = shared.desk.of("message")
    assert ("peer", shared.alice.line.account.pn) == (share.get("category"), share.jid("from"))
    found = {mutation.index: mutation.value for mutation in shared.desk.fetch(shared.desk.keys())}
    assert "Alice" == found["setting_pushName",].pushNameSetting.name
    assert "Bob B." == found["contact", str(BOB)].contactAction.fullName
    assert {int(START * 1000)} == {value.timestamp for value in found.values()}
    assert [] == shared.desk.of("notification", type="server_sync")


def test_the_key_is_shared_once_and_on_request(shared: Shared) -> None:
    """Sends no key at a later login, and sends it again to a companion that asks."""
    shared.router.companions.attach(shared.desk.linked, shared.desk)
    shared.router.companions.activated(shared.desk.linked)
    shared.run()
    shared.desk.keys()
    shares = {s.get("id") for s in shared.desk.of("message", category="peer")}
    assert 1 == len(shares)
    request = wa_e2e.Message(protocolMessage={"type": wa_e2e.ProtocolMessage.APP_STATE_SYNC_KEY_REQUEST})
    shared.desk.write_message(shared.desk.lid.bare, request, "3EB0PEER", peer=True)
    shared.run()
    assert 2 == len({s.get("id") for s in shared.desk.of("message", category="peer")})
    assert ["APP_STATE_SYNC_KEY_REQUEST"] == [r["type"] for r in records(shared.alice, "peer")]
    assert ["3EB0PEER"] == [r.get("id") for r in shared.desk.of("receipt", type="peer_msg")]


def test_a_change_on_the_phone_reaches_the_companion(shared: Shared) -> None:
    """Announces a rename; the companion fetches it."""
    key = shared.desk.keys()
    shared.desk.fetch(key)
    shared.alice.rename("Alice Example")
    (told,) = shared.desk.of("notification", type="server_sync")
    assert "critical_block" == told.need("collection").get("name")
    (mutation,) = shared.desk.fetch(key)
    assert "Alice Example" == mutation.value.pushNameSetting.name
    assert "Alice Example" == shared.alice.line.account.push_name


def test_a_companions_change_reaches_the_phone(shared: Shared) -> None:
    """Reads a companion's patch, records it, and goes on writing after it."""
    key = shared.desk.keys()
    shared.desk.fetch(key)
    mute = wa_sync_action.SyncActionValue(muteAction={"muted": True})
    index = ("mute", "9002@lid")
    assert 1 == shared.desk.change("regular_high", Mutation(index, mute, 2), key)
    (record,) = records(shared.alice, "app_state")
    assert {
        "collection": "regular_high",
        "index": list(index),
        "removed": False,
        "value": {"muteAction": {"muted": True}},
    }.items() <= record.items()
    shared.alice.change([("regular_high", Mutation(index, mute, 2, removed=True))])
    (removed,) = shared.desk.fetch(key)
    assert (index, True) == (removed.index, removed.removed)


def test_a_patch_that_is_not_believed_is_an_error_record(shared: Shared) -> None:
    """Records a patch with a wrong key, and says so when it then cannot write any more."""
    key = shared.desk.keys()
    shared.desk.fetch(key)
    other = SyncKey(b"\0\0zzzz", bytes(32), 1)
    _, mutation = appstate.push_name("x")
    assert 2 == shared.desk.change("critical_block", mutation, other)
    (error,) = records(shared.alice, "error")
    assert "never shared" in str(error["reason"])
    with pytest.raises(PhoneError, match="could not read"):
        shared.alice.rename("Nobody")
    shared.alice.app_state_changed("critical_block", 9, b"")
    assert "from version 1 to 9" in str(records(shared.alice, "error")[-1]["reason"])
    with pytest.raises(PhoneError, match="no collection"):
        shared.alice.change([("bogus", mutation)])


def test_a_second_companion_gets_its_own_share(shared: Shared) -> None:
    """Shares the same key with a further companion; both read the same entries."""
    second = shared.desk_of(shared.alice, 2)
    key = shared.desk.keys()
    assert key == second.keys()
    read, read_second = ({m.index for m in desk.fetch(key)} for desk in (shared.desk, second))
    assert {("setting_pushName",), ("contact", str(BOB))} == read == read_second


def test_a_phone_without_app_state_shares_nothing() -> None:
    """Keeps its key to itself, also when asked."""
    box = Box()
    alice = box.phone("33612000001", "Alice")
    alice.habits.app_state = False
    desk = Desk(box, alice, 1)
    box.router.companions.add(desk.linked)
    box.router.companions.attach(desk.linked, desk)
    box.router.companions.activated(desk.linked)
    alice.rename("Still Alice")
    request = {"protocolMessage": {"type": "APP_STATE_SYNC_KEY_REQUEST"}}
    desk.write_message(desk.lid.bare, content.from_json(request), "3EB0PEER", peer=True)
    box.run()
    assert [] == desk.of("message")
    assert ("Still Alice", 1) == (alice.line.account.push_name, len(records(alice, "peer")))
