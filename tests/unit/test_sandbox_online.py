"""Logins and the stage of a logged-in device."""

import pytest

from tests.sandbox.node import JID, SERVER_JID, Node, node
from tests.sandbox.online import Online, login
from tests.sandbox.proto import wa_wa6
from tests.unit.sandbox_net import NOW, Line
from tests.unit.test_sandbox_messages import OWN, Scene, message, to


@pytest.fixture
def scene() -> Scene:
    """The scene of every test here, with the owner's first device away."""
    scene = Scene()
    scene.net.companions.departed(scene.first)
    return scene


def enter(scene: Scene, line: Line, number: int = 33601, device: int = 1, noise: bytes = b"\x01" * 32) -> Online | None:
    """Log in with a number, a device and a Noise key."""
    payload = wa_wa6.ClientPayload(username=number, device=device)
    return login(payload, noise, line, scene.net.queries)


def entered(scene: Scene, line: Line) -> Online:
    """Log the owner's first device in."""
    stage = enter(scene, line)
    assert stage is not None
    return stage


def query(xmlns: str, *content: Node, kind: str = "set") -> Node:
    """A query of the client."""
    return node("iq", *content, type=kind, xmlns=xmlns, id="q1", to=SERVER_JID)


def test_success(scene: Scene) -> None:
    """A known device with its own key is let in and learns its LID."""
    line = Line()
    entered(scene, line)
    expected = f"<success t={NOW} lid=100:1@lid display_name=Owner creation={NOW} location=lo/>"
    assert [expected] == line.take()
    assert line is scene.first.session
    assert not scene.first.active


@pytest.mark.parametrize(
    ("number", "device", "noise"),
    [(33699, 1, b"\x01" * 32), (33601, 9, b"\x01" * 32), (33601, 1, b"\x02" * 32), (33601, 0, b"\x01" * 32)],
    ids=["unknown number", "unknown device", "another key", "the phone's number"],
)
def test_refused(scene: Scene, number: int, device: int, noise: bytes) -> None:
    """Who is unknown or proves another key is logged out, and nothing else happens."""
    line = Line()
    assert enter(scene, line, number, device, noise) is None
    assert [("<failure reason=401/>", None)] == [(str(stanza), linger) for stanza, linger in line.ends]
    assert scene.first.session is None
    assert 1 == scene.net.world.counts["login_refused"]


def test_failed_by_a_fault(scene: Scene) -> None:
    """A knob turned for the account makes its login fail, and the next one succeeds."""
    scene.net.faults.add("ban", scene.owner.pn, count=1, value=60)
    line = Line()
    assert enter(scene, line) is None
    assert "<failure reason=402 code=101 expire=60/>" == str(line.ends[0][0])
    assert 1 == scene.first.counts["login_failed"]
    assert enter(scene, line) is not None


def test_active_brings_what_waited(scene: Scene) -> None:
    """After `active` comes the result, then what waited, then the count; the phone is told."""
    scene.submit(scene.bobs.lid, message(to(OWN.of_device(1)), chat=OWN))
    line = Line()
    stage = entered(scene, line)
    stage.receive(query("passive", node("active")))
    tags = [stanza.tag + "/" + (stanza.child() or Node("")).tag for stanza in line.sent]
    assert ["success/", "iq/", "ib/offline_preview", "message/enc", "ib/offline"] == tags
    assert ("active", 1, False) in scene.phone.told
    assert scene.first.active


def test_passive_makes_stanzas_wait(scene: Scene) -> None:
    """After `passive` nothing is delivered until the next `active`."""
    line = Line()
    stage = entered(scene, line)
    stage.receive(query("passive", node("active")))
    stage.receive(query("passive", node("passive")))
    line.sent.clear()
    scene.submit(scene.bobs.lid, message(to(OWN.of_device(1)), chat=OWN))
    assert [] == line.sent
    assert 1 == len(scene.first.outbox)


def test_active_that_failed(scene: Scene) -> None:
    """A knob that refuses the query also keeps the device passive."""
    scene.net.faults.add("query_error", match="passive")
    line = Line()
    entered(scene, line).receive(query("passive", node("active")))
    assert "type=error" in str(line.sent[-1])
    assert not scene.first.active


def test_silence(scene: Scene) -> None:
    """A knob that silences the server leaves a query without any answer."""
    scene.net.faults.add("query_silent")
    line = Line()
    stage = entered(scene, line)
    line.sent.clear()
    stage.receive(query("privacy", node("privacy"), kind="get"))
    assert [] == line.sent


def test_other_stanzas_are_routed(scene: Scene) -> None:
    """What is no query goes to the router in the device's name."""
    line = Line()
    entered(scene, line).receive(message(to(JID("200", "lid"))))
    assert "from=100:1@lid" in scene.bobs_phone.take()[0]
    assert 1 == scene.first.counts["accepted"]


@pytest.mark.parametrize("kind", ["result", "error"])
def test_answers_mean_nothing(scene: Scene, kind: str) -> None:
    """The client's answers to queries of the server are heard and need no answer."""
    line = Line()
    stage = entered(scene, line)
    line.sent.clear()
    stage.receive(query("w:p", kind=kind))
    assert [] == line.sent


def test_logout(scene: Scene) -> None:
    """A logout is answered with the last stanza, and the device is forgotten."""
    line = Line()
    stage = entered(scene, line)
    stage.receive(query("md", node("remove-companion-device", jid=scene.first.pn, reason="user_initiated")))
    farewell, linger = line.ends[0]
    assert ("<iq type=result id=q1 from=s.whatsapp.net/>", 0.15) == (str(farewell), linger)
    assert 1 not in scene.owner.devices
    assert ("gone", 1, "logged out by itself") in scene.phone.told


def test_closed(scene: Scene) -> None:
    """When the connection goes, the device is away."""
    stage = entered(scene, Line())
    scene.first.active = scene.first.available = True
    stage.closed()
    assert (None, False, False) == (scene.first.session, scene.first.active, scene.first.available)


def test_closed_after_a_newer_login(scene: Scene) -> None:
    """The end of a replaced connection leaves the newer one alone."""
    old, line = entered(scene, Line()), Line()
    entered(scene, line)
    old.closed()
    assert line is scene.first.session


def test_late_stanzas_are_counted_and_dropped(scene: Scene) -> None:
    """What arrives on an ended connection is counted for the device and goes nowhere."""
    stage = entered(scene, Line())
    stage.late(message(to(JID("200", "lid"))))
    assert (1, 0) == (scene.first.counts["arrived_late"], scene.first.counts["accepted"])
    assert [] == scene.bobs_phone.take()


def test_acceptance_from_a_replaced_session_is_counted(scene: Scene) -> None:
    """Should a stanza of a replaced session be served after all, the count shows it."""
    stage = entered(scene, Line())
    entered(scene, Line())
    stage.receive(message(to(JID("200", "lid"))))
    assert 1 == scene.first.counts["accepted_late"]
