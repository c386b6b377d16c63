"""The server's answers to queries: errors, gaps, faults, and the small subjects."""

import pytest

from tests.sandbox.node import JID, SERVER_JID, QueryError, node
from tests.sandbox.web import Request
from tests.unit.test_sandbox_messages import BOB, OWN, Scene


@pytest.fixture
def scene() -> Scene:
    """The scene of every test here."""
    return Scene()


@pytest.mark.parametrize(
    "xmlns", ["w:p", "passive", "disappearing_mode", "urn:xmpp:whatsapp:push", "urn:xmpp:whatsapp:dirty"]
)
def test_empty_results(scene: Scene, xmlns: str) -> None:
    """Some queries want an empty result and nothing more."""
    answer = scene.net.asked(scene.first, xmlns=xmlns)
    assert "<iq type=result id=q1 from=s.whatsapp.net/>" == str(answer)


def test_answer_comes_from_who_was_asked(scene: Scene) -> None:
    """The answer's sender is the query's address, also if that was a group."""
    query = node("iq", type="get", xmlns="w:p", id="1", to=BOB)
    answer = scene.net.queries.answer(scene.net.sender(scene.first), query)
    assert answer is not None
    assert BOB == answer.jid("from")


def test_unknown_query(scene: Scene) -> None:
    """What nobody serves is error 501, counted by namespace and element, and in the trace."""
    for _ in range(2):
        answer = scene.net.asked(scene.first, node("newsletters"), xmlns="w:news")
    assert "<error code=501 text=feature-not-implemented/>" == str(answer.need("error"))
    assert {"w:news newsletters": 2} == scene.net.world.unimplemented
    assert 2 == scene.first.counts["asked_in_vain"]


def test_bad_query(scene: Scene) -> None:
    """A query that lacks what it needs is error 400."""
    answer = scene.net.asked(scene.first, xmlns="usync")
    assert "<error code=400 text=bad-request/>" == str(answer.need("error"))


def test_registered_handlers_are_asked(scene: Scene) -> None:
    """A further subject registers its namespace; its errors reach the asker."""

    def groups(_sender: object, iq: object) -> list[object]:
        raise QueryError(403, "forbidden")

    scene.net.queries.handlers["w:g2"] = groups  # type: ignore[assignment] # never returns
    answer = scene.net.asked(scene.first, xmlns="w:g2")
    assert ("error", "<error code=403 text=forbidden/>") == (answer.get("type"), str(answer.need("error")))


def test_fault_error(scene: Scene) -> None:
    """A knob turned for one namespace spares the others."""
    scene.net.faults.add("query_error", OWN, count=1, match="privacy")
    assert "result" == scene.net.asked(scene.first, xmlns="w:p").get("type")
    assert "code=500" in str(scene.net.asked(scene.first, xmlns="privacy"))
    assert "result" == scene.net.asked(scene.first, xmlns="privacy").get("type")


def test_fault_silence(scene: Scene) -> None:
    """A knob can keep the server silent."""
    scene.net.faults.add("query_silent", OWN.of_device(1))
    assert scene.net.ask(scene.first, xmlns="w:p") is None
    assert scene.net.ask(scene.second, xmlns="w:p") is not None


def test_media_host(scene: Scene) -> None:
    """The client learns where media go, with a fresh token each time."""
    first = scene.net.asked(scene.first, node("media_conn"), kind="set", xmlns="w:m").need("media_conn")
    assert ("3600", "mmg.whatsapp.net") == (first.get("ttl"), first.need("host").get("hostname"))
    second = scene.net.asked(scene.first, node("media_conn"), kind="set", xmlns="w:m").need("media_conn")
    assert first.get("auth") != second.get("auth")


def test_bots(scene: Scene) -> None:
    """There are no bots."""
    assert "2" == scene.net.asked(scene.first, xmlns="bot").need("bot").get("v")


def test_logout_is_accepted(scene: Scene) -> None:
    """A wish to be forgotten is accepted; anything else of that namespace is not served."""
    remove = node("remove-companion-device", jid=scene.first.pn, reason="user_initiated")
    assert "result" == scene.net.asked(scene.first, remove, kind="set", xmlns="md").get("type")
    assert "code=501" in str(scene.net.asked(scene.first, node("pair-device"), kind="set", xmlns="md"))


def test_privacy_settings(scene: Scene) -> None:
    """Settings start as WhatsApp's, and a change is kept and confirmed."""
    settings = scene.net.asked(scene.first, node("privacy"), xmlns="privacy").need("privacy")
    names = {category.get("name") for category in settings.children}
    assert {"readreceipts", "last", "online", "profile", "status", "groupadd"} <= names
    assert {"all"} == {c.get("value") for c in settings.children if c.get("name") in {"last", "online"}}
    change = node("privacy", node("category", name="last", value="none"))
    confirmed = scene.net.asked(scene.first, change, kind="set", xmlns="privacy").need("privacy")
    assert str(change) == str(confirmed)
    again = scene.net.asked(scene.second, node("privacy"), xmlns="privacy").need("privacy")
    assert ["none"] == [c.get("value") for c in again.children if c.get("name") == "last"]


def test_privacy_tokens(scene: Scene) -> None:
    """The tokens that follow a first message are taken."""
    tokens = node("tokens", node("token", jid=BOB, t=1, type="trusted_contact"))
    assert scene.net.asked(scene.first, tokens, kind="set", xmlns="privacy").child() is None


def test_about_text(scene: Scene) -> None:
    """The about text is set by either kind of query, and who may see status posts is told."""
    scene.net.asked(scene.first, node("status", b"here"), kind="set", xmlns="status")
    assert "here" == scene.owner.about
    query = node("query", b'{"variables":{"input":{"text":"there","ephemeral_duration_sec":0}}}', query_id="1")
    answer = scene.net.asked(scene.first, query, xmlns="w:mex")
    assert ("there", '{"data":{}}') == (scene.owner.about, answer.need("result").text)
    privacy = scene.net.asked(scene.first, node("privacy"), xmlns="status").need("privacy")
    assert "<list type=contacts default=true/>" == str(privacy.need("list"))


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"variables":{"input":7}}', b'{"variables":{}}'])
def test_other_graphql(scene: Scene, body: bytes) -> None:
    """Other GraphQL queries change nothing and have an empty answer."""
    answer = scene.net.asked(scene.first, node("query", body, query_id="1"), xmlns="w:mex")
    assert ("", '{"data":{}}') == (scene.owner.about, answer.need("result").text)


def test_blocked_contacts(scene: Scene) -> None:
    """Blocking and unblocking change the list and its hash."""
    empty = scene.net.asked(scene.first, xmlns="blocklist").need("list")
    block = node("item", jid=BOB, action="block")
    blocked = scene.net.asked(scene.first, block, kind="set", xmlns="blocklist").need("list")
    assert [BOB] == [item.jid("jid") for item in blocked.children]
    assert empty.get("dhash") != blocked.get("dhash")
    unblock = node("item", jid=BOB, action="unblock")
    back = scene.net.asked(scene.first, unblock, kind="set", xmlns="blocklist").need("list")
    assert str(empty) == str(back)


def picture(scene: Scene, target: JID, **attrs: str) -> str:
    """Ask for a picture; the answer's content."""
    answer = scene.net.asked(
        scene.first, node("picture", query="url", **attrs), xmlns="w:profile:picture", target=target
    )
    return str(answer.child())


async def test_pictures(scene: Scene) -> None:
    """A picture has an id and an address where it is found; the current one is not told twice."""
    assert "<error code=404 text=item-not-found/>" == picture(scene, BOB)
    scene.net.queries.profiles.set_picture(scene.bob, b"jpeg")
    assert scene.bob.picture is not None
    number = scene.bob.picture.id
    path = f"/v/200/{number}?ccb=1"
    told = f"<picture id={number} type=preview url=https://pps.whatsapp.net{path} direct_path={path}/>"
    assert told == picture(scene, scene.bob.pn, type="preview")
    assert "<picture status=304/>" == picture(scene, BOB, id=number)
    for target in (path, "/v/200/1", "/v/9/1", "/"):
        served = await scene.net.queries.profiles.serve_picture(Request("GET", target, {}))
        assert ((200, b"jpeg") if target == path else (404, b"")) == (served.status, served.body)


def test_own_picture(scene: Scene) -> None:
    """A device sets and removes its account's picture; its siblings and who knows the account are told."""
    scene.owner.device_watchers.add(scene.bobs.lid)
    answer = scene.net.asked(scene.first, node("picture", b"jpeg"), kind="set", xmlns="w:profile:picture")
    assert scene.owner.picture is not None
    number = scene.owner.picture.id
    assert number == answer.need("picture").get("id")
    for line in (scene.second_line, scene.bobs_line):
        assert [f"<set jid=100@lid id={number} author=100@lid/>"] == [str(s.child()) for s in line.sent]
    assert [] == scene.first_line.sent
    scene.net.asked(scene.first, kind="set", xmlns="w:profile:picture")
    assert "error code=404" in picture(scene, OWN)
    assert "<delete jid=100@lid author=100@lid/>" == str(scene.bobs_line.sent[-1].child())


def test_own_picture_is_the_default(scene: Scene) -> None:
    """Without a target the asker's own picture is meant."""
    scene.net.queries.profiles.set_picture(scene.owner, b"jpeg")
    answer = scene.net.asked(scene.first, node("picture", query="url"), xmlns="w:profile:picture")
    assert scene.owner.picture is not None
    assert scene.owner.picture.id == answer.need("picture").get("id")


def test_query_without_address(scene: Scene) -> None:
    """A query to nobody is answered by the server itself."""
    answer = scene.net.queries.answer(scene.net.sender(scene.first), node("iq", type="get", xmlns="w:qr", id="1"))
    assert answer is not None
    assert SERVER_JID == answer.jid("from")
