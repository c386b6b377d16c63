"""Look-ups: usync in all its forms, and contact links."""

import pytest

from tests.sandbox.node import JID, Node, node
from tests.unit.sandbox_net import NOW
from tests.unit.test_sandbox_messages import BOB, Scene


@pytest.fixture
def scene() -> Scene:
    """The scene of every test here."""
    return Scene()


def usync(scene: Scene, query: Node, *users: Node, **attrs: str) -> list[str]:
    """Look users up; the users of the answer, rendered."""
    asked = node("usync", query, node("list", *users), sid="s1", mode="query", context="message", **attrs)
    answer = scene.net.asked(scene.first, asked, xmlns="usync").need("usync")
    assert {"sid": "s1", "mode": "query", "context": "message"} | attrs == answer.attrs
    return [str(user) for user in answer.need("list").children]


def user(jid: JID) -> Node:
    """A user asked for by address."""
    return node("user", jid=jid)


def number(text: str) -> Node:
    """A user asked for by number."""
    return node("user", node("contact", text.encode()))


def test_devices(scene: Scene) -> None:
    """An account's devices are the phone and the linked ones with their key index."""
    devices = "<device id=0/><device id=3 key-index=13/>"
    expected = f"<user jid=200@lid><devices><device-list>{devices}</device-list></devices></user>"
    assert [expected] == usync(scene, node("query", node("devices", version=2)), user(BOB))


def test_address_of_the_answer_is_that_of_the_question(scene: Scene) -> None:
    """Who asks by number is answered by number, with the LID that belongs to it."""
    query = node("query", node("lid"))
    assert ["<user jid=33602@s.whatsapp.net><lid val=200@lid/></user>"] == usync(scene, query, user(scene.bob.pn))


def test_first_contact(scene: Scene) -> None:
    """The look-up before a first message gets everything that it names and we know."""
    scene.bob.about = "hi"
    topics = node("business"), node("status"), node("picture"), node("devices", version=2), node("lid")
    (found,) = usync(scene, node("query", *topics), user(scene.bob.pn), last="true")
    assert f"<status t={NOW}>[2]</>" in found
    assert "<picture/>" in found
    assert "<devices>" in found
    assert "<lid val=200@lid/>" in found
    assert "business" not in found


def test_picture_id(scene: Scene) -> None:
    """A picture's id is part of what is known of a user."""
    scene.net.queries.profiles.set_picture(scene.bob, b"jpeg")
    assert scene.bob.picture is not None
    expected = f"<user jid=200@lid><picture id={scene.bob.picture.id}/></user>"
    assert [expected] == usync(scene, node("query", node("picture")), user(BOB))


def test_own_account_and_several_users(scene: Scene) -> None:
    """Several users are answered in order, the own account among them; unknown ones are left out."""
    query = node("query", node("lid"))
    asked = user(scene.owner.lid), user(JID("9", "lid")), user(BOB)
    assert ["100@lid", "200@lid"] == [line.split("val=")[1].split("/>")[0] for line in usync(scene, query, *asked)]


def test_asking_for_devices_is_remembered(scene: Scene) -> None:
    """Who asked for the devices will be told of changes; who asked for the LID alone will not."""
    usync(scene, node("query", node("lid")), user(BOB))
    assert set() == scene.bob.device_watchers
    usync(scene, node("query", node("devices")), user(BOB))
    assert {scene.first.lid} == scene.bob.device_watchers


@pytest.mark.parametrize("text", ["+33602", "33602", "+33602@c.us"])
def test_number_that_is_known(scene: Scene, text: str) -> None:
    """A number with an account is in; the bytes of the question come back."""
    expected = f"<user jid=33602@s.whatsapp.net><contact type=in>[{len(text)}]</></user>"
    assert [expected] == usync(scene, node("query", node("contact")), number(text))


def test_number_that_is_known_by_lid(scene: Scene) -> None:
    """With LID addressing the answer names both addresses."""
    expected = "<user jid=200@lid pn_jid=33602@s.whatsapp.net><contact type=in>[6]</></user>"
    assert [expected] == usync(scene, node("query", node("contact", addressing_mode="lid")), number("+33602"))


@pytest.mark.parametrize("mode", ["", "lid"])
def test_number_that_is_unknown(scene: Scene, mode: str) -> None:
    """A number without an account is out, whatever the addressing."""
    query = node("query", node("contact"), addressing_mode=mode)
    expected = "<user jid=33699@s.whatsapp.net><contact type=out>[6]</></user>"
    assert [expected] == usync(scene, query, number("+33699"))


def test_number_that_is_none(scene: Scene) -> None:
    """A look-up of something else than a number is a bad request."""
    asked = node("usync", node("query", node("contact")), node("list", number("bob")))
    assert "code=400" in str(scene.net.asked(scene.first, asked, xmlns="usync"))


def link(scene: Scene, **attrs: str) -> Node:
    """Ask for or about a contact link; the answer's content."""
    found = scene.net.asked(scene.first, node("qr", **attrs), kind="set", xmlns="w:qr").child()
    assert found is not None
    return found


def test_contact_link(scene: Scene) -> None:
    """A link stays the same until it is revoked, and leads to its owner."""
    code = link(scene, type="contact", action="get").get("code")
    assert code
    assert code == link(scene, type="contact", action="get").get("code")
    expected = "<qr type=contact jid=33601@s.whatsapp.net notify=Owner/>"
    assert expected == str(link(scene, code=code))


def test_revoked_contact_link(scene: Scene) -> None:
    """A revoked link leads nowhere, the new one to the owner."""
    old = link(scene, type="contact", action="get").get("code")
    new = link(scene, type="contact", action="revoke").get("code")
    assert old != new
    assert "<error code=404 text=item-not-found/>" == str(link(scene, code=old))
    assert "33601" in str(link(scene, code=new))
