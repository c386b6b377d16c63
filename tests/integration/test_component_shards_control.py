"""Control and observation of mod_component_shards: front desk, HTTP view, metrics, logs, the journal's size."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.harness.prosody import NAMESPACE, Prosody, ProsodyError, derive_secret, running_prosody, until
from tests.harness.prosody_config import Options
from tests.harness.shard_stream import ShardStream, StreamClosedError
from tests.harness.xmpp import logged_in

ALICE, BOB = "alice@example.test", "bob@example.test"
GATEWAY = "whatsapp.example.test"
CONTACT = f"+4915100000001@{GATEWAY}"
CONDITION = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
METRIC = "prosody_mod_component_shards__"


@pytest.fixture
async def prosody(tmp_path: Path) -> AsyncIterator[Prosody]:
    """A Prosody with two users."""
    async with running_prosody(tmp_path, users={"alice": "pw", "bob": "pw"}) as server:
        yield server


async def order(desk: ShardStream, kind: str, attributes: str) -> ET.Element:
    """Send a control iq on the front desk's stream; returns the answer."""
    name = f"c{len(desk.stanzas)}"
    desk.send(
        f"<iq type='{kind}' id='{name}' from='{GATEWAY}' to='{GATEWAY}'><shard xmlns='{NAMESPACE}' {attributes}/></iq>"
    )
    return await desk.stanza(lambda s: s.tag == "iq" and s.get("id") == name)


async def test_queues_for_a_pod_that_was_assigned_and_did_not_connect_yet(prosody: Prosody) -> None:
    """After assign the owner's stanzas wait for the shard instead of going to the front desk."""
    desk = await ShardStream.open(prosody, epoch=1)
    reply = await order(desk, "set", f"owner='{ALICE}' action='assign' epoch='8'")
    assert "result" == reply.get("type")
    async with logged_in(prosody, "alice", "pw") as alice:
        alice.say(CONTACT, "are you there?")

        async def waits() -> bool:
            return bool((await prosody.control("status", ALICE))[1]["waiting"] == 1)

        await until(waits, what="the stanza that waits")
    shard = await ShardStream.open(prosody, owner=ALICE, epoch=8, instance="pod")
    await shard.stanza(lambda s: s.findtext("body") == "are you there?")
    status = (await order(desk, "get", f"owner='{ALICE}' action='status'")).find(f"{{{NAMESPACE}}}shard")
    assert status is not None
    assert ("8", "true", "0") == tuple(status.get(k) for k in ("epoch", "connected", "waiting"))
    assert [] == desk.bodies()
    await shard.close()
    await desk.close()


async def test_refuses_orders_that_make_no_sense(prosody: Prosody) -> None:
    """Each wrong order gets the error of the table and leaves nothing behind."""
    desk = await ShardStream.open(prosody, epoch=1)
    await order(desk, "set", f"owner='{BOB}' action='assign' epoch='5'")
    wrong = [
        ("get", f"owner='{ALICE}' action='status'", "item-not-found"),
        ("set", f"owner='{ALICE}' action='release'", "item-not-found"),
        ("set", f"owner='{ALICE}' action='purge'", "item-not-found"),
        ("set", f"owner='{BOB}' action='assign' epoch='4'", "conflict"),
        ("set", f"owner='{BOB}/phone' action='assign' epoch='6'", "bad-request"),
        ("set", f"owner='{BOB}' action='sing'", "bad-request"),
        ("set", f"owner='{BOB}' action='assign'", "bad-request"),
        ("get", f"owner='{BOB}' action='release'", "bad-request"),
    ]
    for kind, attributes, condition in wrong:
        reply = await order(desk, kind, attributes)
        assert reply.find(f"error/{CONDITION}{condition}") is not None, attributes
    assert 1 == len((await prosody.view())["shards"])
    await desk.close()


async def test_takes_orders_from_the_front_desk_only(prosody: Prosody) -> None:
    """A shard and a user cannot control; the shard hears the rule's name, the user's iq goes to the front desk."""
    shard = await ShardStream.open(prosody, owner=ALICE, epoch=1)
    desk = await ShardStream.open(prosody, epoch=1)
    text = f"<shard xmlns='{NAMESPACE}' owner='{BOB}' action='assign' epoch='99'/>"
    shard.send(f"<iq type='set' id='x' from='{GATEWAY}' to='{GATEWAY}'>{text}</iq>")
    reply = await shard.stanza(lambda s: s.get("id") == "x")
    assert "component shard rule: to" == reply.findtext(f"error/{CONDITION}text")
    async with logged_in(prosody, "bob", "pw") as bob:
        bob.send_raw(f"<iq type='set' id='y' to='{GATEWAY}'>{text}</iq>")
        await desk.stanza(lambda s: s.get("id") == "y")
    assert 404 == (await prosody.control("status", BOB))[0]
    await shard.close()
    await desk.close()


async def test_releases_and_keeps_the_fence_until_it_is_purged(prosody: Prosody) -> None:
    """Release ends the stream, bounces what waits, and old epochs stay out over kill -9; purge forgets."""
    shard = await ShardStream.open(prosody, owner=ALICE, epoch=7)
    async with logged_in(prosody, "alice", "pw") as alice:
        await shard.abort()
        alice.say(CONTACT, "hello?", id="m1")

        async def waits() -> bool:
            return bool((await prosody.control("status", ALICE))[1]["waiting"] == 1)

        await until(waits, what="the stanza that waits")
        status, state = await prosody.control("release", ALICE)
        assert (200, True, 0) == (status, state["released"], state["waiting"])
        error = await alice.message(lambda m: m["type"] == "error")
        assert "m1" == error["id"]
    assert [] == (await prosody.view())["shards"]
    await prosody.kill()
    await prosody.start()
    for epoch in (6, 7):
        with pytest.raises(StreamClosedError, match="conflict"):
            await ShardStream.open(prosody, owner=ALICE, epoch=epoch)
    assert 409 == (await prosody.control("assign", ALICE, 7))[0]
    assert 200 == (await prosody.control("purge", ALICE))[0]
    await (await ShardStream.open(prosody, owner=ALICE, epoch=1)).close()


async def test_ends_a_live_stream_at_release_and_at_a_higher_assignment(prosody: Prosody) -> None:
    """The shard hears reset (released), or conflict when a newer epoch was assigned."""
    shard = await ShardStream.open(prosody, owner=ALICE, epoch=1)
    await prosody.control("assign", ALICE, 2)
    assert "conflict" == (await shard.ended()).condition
    await shard.abort()
    shard = await ShardStream.open(prosody, owner=ALICE, epoch=2)
    await prosody.control("release", ALICE)
    end = await shard.ended()
    assert ("reset", "released") == (end.condition, end.text)
    await shard.abort()


async def test_guards_the_view_by_its_token(prosody: Prosody) -> None:
    """Without the token, or with another, every door of the view is shut."""
    for token in (None, "", "wrong", prosody.secrets.admin_token + "x"):
        for method, path in (("GET", "/shards"), ("GET", "/shards/x"), ("POST", "/shards"), ("DELETE", "/shards/x")):
            status, text = await prosody.http(method, path, {} if method == "POST" else None, token=token)
            assert 401 == status
            assert GATEWAY not in text or "Unauthorized" in text


async def test_refuses_a_token_that_can_be_guessed(tmp_path: Path) -> None:
    """An empty or short token stops the load: whoever has it controls every shard."""
    for token in ("", "short"):
        options = {"component_shards_admin_token": token}
        async with running_prosody(tmp_path / f"t{token}", component_options=options, start=False) as server:
            with pytest.raises(ProsodyError, match="not ready"):
                await server.start()
            assert "at least 16 characters" in server.log_text()


async def test_names_shards_by_ids_that_show_nothing(prosody: Prosody) -> None:
    """The ids of the view work in its URLs, and stay the same over a restart."""
    await prosody.control("assign", ALICE, 3)
    view = await prosody.view()
    name = view["shards"][0]["id"]
    assert 16 == len(name)
    assert "alice" not in name
    assert ALICE == (await prosody.view(f"/shards/{name}"))["owner"]
    token = prosody.secrets.admin_token
    status, _ = await prosody.http("POST", f"/shards/{name}", {"action": "assign", "epoch": 4}, token=token)
    assert 200 == status
    await prosody.restart()
    assert 4 == (await prosody.view(f"/shards/{name}"))["epoch"]
    assert 204 == (await prosody.http("DELETE", f"/shards/{name}", token=token))[0]
    assert 404 == (await prosody.http("DELETE", f"/shards/{name}", token=token))[0]
    assert 404 == (await prosody.http("GET", "/shards/0123456789abcdef", token=token))[0]


async def test_counts_what_happens_in_the_metrics(prosody: Prosody) -> None:
    """Counters and gauges appear in /metrics under the names of the README."""
    shard = await ShardStream.open(prosody, owner=ALICE, epoch=1)
    async with logged_in(prosody, "alice", "pw") as alice:
        alice.say(CONTACT, "hello")
        await shard.stanza(lambda s: s.findtext("body") == "hello")
        shard.say(CONTACT, ALICE, "hi", seq=1)
        shard.say(CONTACT, ALICE, "hi", seq=1)
        await shard.settled()
        shard.ack()
        await shard.settled()
    seen = await prosody.metrics()
    expected = {"routed_in_total": 1, "routed_out_total": 1, "repeats_total": 1, "acked_total": 2}
    gauges = {
        "shards_connected": 1,
        "shards_known": 1,
        "stanzas_waiting": 0,
        "bytes_waiting": 0,
        "gateway_connected": 0,
    }
    for name, value in {**expected, **gauges}.items():
        assert (name, value) == (name, seen[METRIC + name])
    assert seen[METRIC + "journal_bytes"] > 0
    await shard.close()


async def test_shows_no_address_and_no_content_in_its_logs(tmp_path: Path) -> None:
    """At level info neither owner, contact nor text appears in what the module logs."""
    async with running_prosody(tmp_path, users={"alice": "pw"}) as server:
        shard = await ShardStream.open(server, owner=ALICE, epoch=1)
        async with logged_in(server, "alice", "pw") as alice:
            alice.say(CONTACT, "canary-in")
            await shard.stanza(lambda s: s.findtext("body") == "canary-in")
            shard.say(CONTACT, ALICE, "canary-out", seq=1)
            shard.say(CONTACT, BOB, "canary-refused", seq=2)
            await alice.message(lambda m: m["body"] == "canary-out")
            await shard.settled()
        await server.control("release", ALICE)
        await shard.abort()
        ours = [line for line in server.log_text().splitlines() if "component_shards" in line and "http" not in line]
        assert len(ours) > 3
        for planted in ("canary", "alice", "4915100000001"):
            assert [] == [line for line in ours if planted in line]


async def test_keeps_the_journal_short(tmp_path: Path) -> None:
    """After a restart the journal is one segment that holds what counts, however much went through before."""
    async with running_prosody(tmp_path, users={"alice": "pw"}) as server:
        shard = await ShardStream.open(server, owner=ALICE, epoch=1)
        async with logged_in(server, "alice", "pw") as alice:
            for number in range(200):
                alice.say(CONTACT, "x" * 500 + str(number))
            await shard.until(lambda: len(shard.bodies()) == 200)
            shard.ack()
            await shard.settled()
        await shard.close()
        before = _journal_bytes(server)
        assert before > 100_000
        await server.restart()
        await until(lambda: _journal_bytes(server) < 5_000, what="a short journal")
        again = await ShardStream.open(server, owner=ALICE, epoch=1)
        assert again.session is not None
        assert int(again.session.get("next", "0")) > 201
        await again.close()


def _journal_bytes(server: Prosody) -> int:
    return sum(p.stat().st_size for p in server.layout.data.rglob("component_shards.*.log"))


async def test_serves_two_gateways_side_by_side(tmp_path: Path) -> None:
    """A second component of the same kind has its own owners, fence, secrets and view."""
    more = (
        'Component "signal.example.test" "component_shards"\n'
        'component_shards_master_secret = "another master"\ncomponent_shards_admin_token = "token of the second"\n'
    )
    async with running_prosody(tmp_path, options=Options(more=more)) as server:
        first = await ShardStream.open(server, owner=ALICE, epoch=9)
        with pytest.raises(StreamClosedError, match="not-authorized"):
            await ShardStream.open(server, owner=ALICE, epoch=1, domain="signal.example.test")
        secret = derive_secret("another master", "signal.example.test", "shard", ALICE, 1)
        second = await ShardStream.open(server, owner=ALICE, epoch=1, domain="signal.example.test", secret=secret)
        await second.close()
        await first.close()
        status, text = await server.http("GET", "/shards", token="token of the second", host="signal.example.test")
        assert (200, [1]) == (status, [s["epoch"] for s in json.loads(text)["shards"]])
        assert 401 == (await server.http("GET", "/shards", token="token of the second"))[0]
