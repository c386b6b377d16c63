"""Numbers, JIDs, bodies, codes and secrets of a whole story are found nowhere but where docs/local.md says.

Every place that others read is searched: logs of all processes at the lowest level, metrics, states and heartbeats
in Redis, names of keys, files and users, command lines and environments. An owner's JID may stand in the account's
YAML and secrets, the store, the module's own log and token-protected view, but in no name and no URL.
"""

import asyncio
import base64
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote
from xml.etree.ElementTree import Element

import pytest

from ponton_bridge.coordination.client.wire import Wire
from ponton_bridge.model.states import TABLE, Reason
from tests.harness.canaries import Canaries, watched
from tests.harness.prosody import until
from tests.harness.town import GATEWAY, USERS, Town, built_town

pytestmark = pytest.mark.timeout(180)

SPELLED = {
    "alice": "kanarie-eins",
    "carol": "kanarie-zwei",
    "bob": "Zaunkoenig Drei",
    "dora": "Goldammer Vier",
    "mallory2": "kanarie-sechs",
}
BODIES = {"out": "gimpel out 5f1d", "in": "gimpel in 77c2", "own": "gimpel own 90ab", "odd": "gimpel odd c0de"}
SECRET = 16  # characters at least


@pytest.fixture
def canaries() -> Canaries:
    """What is known before anything runs."""
    people = {f"name of {who}": name for who, name in SPELLED.items()}
    bodies = {f"body {way}": body for way, body in BODIES.items()}
    logins = {f"login of {who}": password for who, password in USERS.items()}
    return Canaries(people | bodies | logins)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """Everything, as talkative as it can be."""
    async with built_town(tmp_path, log_level="debug", spelled=SPELLED) as built:
        yield built


def plant_what_was_made(town: Town, canaries: Canaries) -> None:
    """Plant what came to be while everything started: numbers, hidden ids, codes, derived secrets."""
    for who, phone in town.phones.items():
        canaries.plant(f"number of {who}", phone.number.removeprefix("+"))
        canaries.plant(f"hidden id of {who}", phone.lid.partition("@")[0])
    for number, code in enumerate(town.codes):
        canaries.plant(f"code {number}", code)
        for place, part in enumerate(code.split(",")):
            if len(part) >= SECRET:  # not the kind of companion, a digit
                canaries.plant(f"part {place} of code {number}", part.removeprefix("2@"))
    secrets = town.stage.prosody.secrets
    canaries.plant("master secret", secrets.master)
    canaries.plant("plain secret", secrets.gateway)
    canaries.plant("token", secrets.admin_token)
    for path in (town.stage.local.folder / "state").rglob("secrets/*"):
        if path.suffix != ".pem" and path.name != "owner":
            text = path.read_text()
            password = text.partition("@")[0].rpartition(":")[2] if path.name == "redis-url" else text
            if len(password) >= SECRET:  # the front desk may have an open Redis
                canaries.plant(f"{path.name} of {path.parents[1].name}", password)


async def story(town: Town, canaries: Canaries) -> None:
    """Talk both ways and on the phone, fail, crash, go on, link by letters, unlink, leave."""
    alice, phone, bob = town.users["alice"], town.phones["alice-phone"], town.bob
    contact = f"{bob.number}@{GATEWAY}"
    alice.say(contact, BODIES["out"])
    await bob.wait_for("message", text=BODIES["out"])
    await bob.send_text(to=phone, text=BODIES["in"])
    await alice.message(lambda m: m["body"] == BODIES["in"])
    await phone.send_from_phone(to=bob, text=BODIES["own"])
    odd = f"<body>{BODIES['odd']}</body>"
    phone_of = f"<query xmlns='jabber:iq:register'><phone>{BODIES['odd']}</phone></query>"
    for xml in (
        f"<message type='chat' id='o1' to='{contact}'>{odd}<a>{'<b>' * 100}{'</b>' * 100}</a></message>",
        f"<message type='groupchat' id='o2' to='{contact}'>{odd}</message>",
        f"<message type='chat' id='o3' to='+15550199999@{GATEWAY}'>{odd}</message>",
        f"<iq type='set' id='o4' to='{GATEWAY}'>{phone_of}</iq>",
    ):
        alice.send_raw(xml)
    await alice.message(lambda m: m["id"] == "o3" and m["type"] == "error")
    await bob.send_message(to=phone, message={"pollCreationMessage": {"name": BODIES["odd"]}})
    companion = (await phone.linked())[0]["device"]
    for stanza in (
        {"tag": BODIES["odd"]},
        {"tag": "message", "attrs": {"id": BODIES["odd"], "from": {"jid": bob.lid}}},
    ):
        await town.sandbox.stanza(phone, stanza, companion)
    pid = town.stage.local.shards()[town.stage.local.account(town.owner("alice"))]
    os.kill(pid, signal.SIGKILL)
    alice.say(contact, f"{BODIES['out']} again")
    await bob.wait_for("message", text=f"{BODIES['out']} again")
    await letters(town, canaries)
    await leave(town)


async def letters(town: Town, canaries: Canaries) -> None:
    """Let somebody link by the eight letters."""
    client = town.users["mallory2"]
    phone = await town.sandbox.account(push_name=SPELLED["mallory2"])
    canaries.plant("number of mallory2", phone.number.removeprefix("+"))
    client.say(GATEWAY, f"register {phone.number}")
    said = await client.message(lambda m: any(_is_code(word) for word in str(m["body"]).split()), timeout=30)
    code = next(word.strip(".,:") for word in str(said["body"]).split() if _is_code(word))
    canaries.plant("letters", code)
    canaries.plant("letters without dash", code.replace("-", ""))
    await phone.type_code(code)
    sentence = TABLE[Reason.CONNECTED].sentence
    await client.presence(lambda p: p["from"].bare == GATEWAY and p["status"] == sentence, timeout=30)


async def leave(town: Town) -> None:
    """Let Carol unlink and delete."""
    carol = town.users["carol"]
    carol.say(GATEWAY, "unlink yes")
    await carol.presence(lambda p: p["status"] == TABLE[Reason.UNLINKED].sentence, timeout=30)
    iq = carol.make_iq_set(ito=GATEWAY)
    query = Element("{jabber:iq:register}query")
    query.append(Element("{jabber:iq:register}remove"))
    iq.append(query)
    await iq.send(timeout=10)  # type: ignore[no-untyped-call]  # slixmpp types it in part
    await until(lambda: town.stage.local.status(town.owner("carol")) is None, timeout=30, what="the end of an account")


async def look_at_redis(town: Town, canaries: Canaries) -> None:
    """Search names of keys and users, and the values of what others read: states, heartbeats, leases."""
    wire = Wire(town.stage.redis.url)
    names = await wire.call("KEYS", "*")
    canaries.look("names of keys", "\n".join(names))
    canaries.look("users of Redis", "\n".join(await wire.call("ACL", "USERS")))
    for name in names:
        kind = str(await wire.call("TYPE", name))
        if kind == "hash":
            canaries.look(f"hash {name.rpartition(':')[2]}", str(await wire.call("HGETALL", name)))
        elif name.endswith(":states"):
            canaries.look("states", str(await wire.call("XRANGE", name, "-", "+")))
    await wire.close()


async def look_everywhere(town: Town, canaries: Canaries) -> None:
    """Search all that is left behind or can be asked for."""
    prosody, local = town.stage.prosody, town.stage.local
    for path in (local.output, *(local.folder / "state").rglob("*.log*"), *(local.folder / "state").rglob("*words*")):
        canaries.look(f"log {path.name}", await asyncio.to_thread(path.read_text, errors="replace"))
    ours = [line for line in prosody.log_text().splitlines() if "component_shards" in line]
    assert ours
    canaries.look("log of the Prosody module", "\n".join(ours))
    canaries.look("log of Redis", town.stage.redis.log)
    _, metrics = await prosody.http("GET", "/metrics")
    canaries.look("metrics", "\n".join(line for line in metrics.splitlines() if GATEWAY in line or "shards" in line))
    for folder in (local.folder, prosody.layout.data / "whatsapp%2elocalhost"):
        canaries.look_at_names("names of files", folder)
    canaries.look("gateway's status", (local.folder / "gateway.status.yaml").read_text())
    await look_at_redis(town, canaries)


async def test_nothing_of_a_whole_story_is_found_where_others_read(town: Town, canaries: Canaries) -> None:
    """Two link by picture, one by letters; they talk, crash, unlink, delete: no log, metric, name or process tells."""
    plant_what_was_made(town, canaries)
    async with watched(canaries, town.processes):
        await story(town, canaries)
        await look_everywhere(town, canaries)
    assert await town.stage.local.stop() == 0
    await look_everywhere_at_rest(town, canaries)
    assert [] == canaries.hits
    places = {"cmdline", "environ", "log shard.log", "log of the Prosody module", "log local.log", "metrics", "states"}
    assert places <= {place for place, size in canaries.looked.items() if size}
    assert len(canaries.kinds) > 40


async def look_everywhere_at_rest(town: Town, canaries: Canaries) -> None:
    """Search the logs once more: the end of the processes says something, too."""
    for path in (town.stage.local.output, *(town.stage.local.folder / "state").rglob("*.log*")):
        with suppress(FileNotFoundError):
            canaries.look(f"log {path.name}", await asyncio.to_thread(path.read_text, errors="replace"))


@pytest.mark.parametrize("text", ["kanarie-eins", "+33612000001", "Zaunkönig/ß", "2@abc+def/ghi=="])
def test_a_canary_is_found_in_every_disguise(text: str) -> None:
    """Plain, in capitals, percent-encoded, as JSON, in hex, in base64 behind anything: the search itself works."""
    data = text.encode()
    disguises = [text.upper(), f"x={quote(text)}", json.dumps({"x": text}), data.hex()]
    disguises += [base64.b64encode(before + data + b"!").decode() for before in (b"", b"a", b"ab", b"abc")]
    for disguise in disguises:
        canaries = Canaries({"it": text})
        canaries.look("there", disguise)
        assert (disguise, ["it in there"]) == (disguise, canaries.hits)
    clean = Canaries({"it": text})
    clean.look("there", "nothing of the kind")
    assert [] == clean.hits


def _is_code(word: str) -> bool:
    letters_ = word.strip(".,:")
    return len(letters_) == 9 and letters_[4] == "-" and letters_.replace("-", "").isalnum() and letters_.isupper()
