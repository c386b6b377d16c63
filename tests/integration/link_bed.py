"""The whole system for tests of link states: one stage for a module, an owner with a phone and a contact for each test.

Everything is real but WhatsApp: Prosody, Redis, `ponton local` with its front desk and shards. An `Owner` knows what an
owner can see (messages, presence, answers), what the host sees (the account's status) and what WhatsApp sees (logins).
"""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import yaml
from slixmpp.stanza import Message

from ponton_bridge.model.states import TABLE, Reason
from tests.demo import picture
from tests.demo.stage import GATEWAY, HOST, UPLOAD, Stage
from tests.demo.story import OOB
from tests.harness.local import running_local
from tests.harness.prosody import running_prosody, until
from tests.harness.redis import running_redis
from tests.harness.xmpp import Client, logged_in
from tests.sandbox.client import AccountHandle, Json, SandboxClient
from tests.sandbox.harness import running_sandbox

PATIENCE = 20.0  # seconds for what takes one or two on a quiet machine
LOGINS = "logged_in,login_failed,login_refused"  # of the sandbox's trace
NOTE = "{http://jabber.org/protocol/commands}note"
STATUS_COMMAND = "<command xmlns='http://jabber.org/protocol/commands' node='status' action='execute'/>"


@dataclass
class Bed:
    """The stage, and how many owners it has seen."""

    stage: Stage
    sandbox: SandboxClient
    owners: int = 0

    @asynccontextmanager
    async def owner(self) -> AsyncIterator["Owner"]:
        """A new owner with a phone and a contact, logged in; the account is deleted at the end."""
        self.owners += 1
        name = f"owner{self.owners}"
        self.stage.prosody.add_user(name, name)
        bob = await self.sandbox.contact(f"Bob {self.owners}")
        phone = await self.sandbox.account(push_name=name, contacts=[bob.name])
        async with logged_in(self.stage.prosody, name, name, resource="x") as client:
            owner = Owner(self, name, client, phone, bob)
            yield owner
        owner.file.unlink(missing_ok=True)


@dataclass
class Owner:
    """One owner; `since` is the number of the first message that counts as news."""

    bed: Bed
    name: str
    client: Client
    phone: AccountHandle
    bob: AccountHandle
    since: int = 0
    answers: list[Message] = field(default_factory=list)

    @property
    def jid(self) -> str:
        """The bare JID."""
        return f"{self.name}@{HOST}"

    @property
    def contact(self) -> str:
        """Where Bob can be written to."""
        return f"{self.bob.number}@{GATEWAY}"

    @property
    def account(self) -> str:
        """The resource's name."""
        return self.bed.stage.local.account(self.jid)

    @property
    def file(self) -> Path:
        """The resource's file."""
        return self.bed.stage.local.folder / "accounts" / f"{self.account}.yaml"

    @property
    def store(self) -> Path:
        """The store of the shard."""
        return self.bed.stage.local.folder / "state" / "shards" / self.account / "store"

    # ---- what an owner does -----------------------------------------------------------------------------------

    async def ask(self, text: str) -> str:
        """Write to the gateway; gives its answer, which does not count as told."""
        before = len(self.client.messages)
        self.client.say(GATEWAY, text)
        answer = await self.client.message(
            lambda m: m in self.client.messages[before:] and _is_text(m), timeout=PATIENCE
        )
        self.answers.append(answer)
        return str(answer["body"])

    async def command(self) -> str:
        """Ask for the status by ad-hoc command; gives the note of the answer."""
        answer = fromstring(await self.client.ask(STATUS_COMMAND, to=GATEWAY, kind="set"))  # noqa: S314 - our own server
        return str(answer.findtext(f".//{NOTE}"))

    async def code(self, after: int) -> str:
        """Wait for the picture of a code among the messages from number `after` on; gives the code."""
        shown = await self.client.message(
            lambda m: m in self.client.messages[after:] and m.xml.find(OOB) is not None, timeout=PATIENCE
        )
        return picture.read(self.bed.stage.fetch(str(shown["body"])))

    async def link(self, ask: str = "register") -> None:
        """Ask for a code, scan it, wait until the link is told and shown."""
        before = len(self.client.messages)
        await self.ask(ask)
        device = await self.phone.scan(await self.code(before))
        await self.hears(Reason.CONNECTED, before)
        await self.stands(Reason.CONNECTED)
        await self.phone.synced(device)
        self.since = len(self.client.messages)

    async def talk(self, word: str) -> None:
        """Write to Bob and back; both arrive."""
        self.client.say(self.contact, f"{word} there")
        await self.bob.wait_for("message", text=f"{word} there", patience=PATIENCE)
        await self.bob.send_text(self.phone, f"{word} back")
        await self.client.message(lambda m: m["body"] == f"{word} back", timeout=PATIENCE)

    # ---- what an owner sees -----------------------------------------------------------------------------------

    def told(self) -> list[str]:
        """What the gateway said unasked since the link was made, pictures of codes left out."""
        return [str(m["body"]) for m in self.client.messages[self.since :] if _is_text(m) and m not in self.answers]

    async def hears(self, reason: Reason, after: int | None = None, seconds: float = PATIENCE) -> str:
        """Wait until the owner is told of a state; gives the whole text."""
        start = self.since if after is None else after
        found = await self.client.message(
            lambda m: (
                m in self.client.messages[start:]
                and m not in self.answers
                and _is_text(m)
                and str(m["body"]).startswith(TABLE[reason].sentence)
            ),
            timeout=seconds,
        )
        return str(found["body"])

    def presence(self) -> tuple[str, str, str]:
        """Type, show and status of the gateway's last presence."""
        last = [p for p in self.client.presences if p["from"].bare == GATEWAY and "subscribe" not in p["type"]][-1]
        return last.xml.get("type", ""), str(last.xml.findtext("{jabber:client}show") or ""), str(last["status"])

    # ---- what the host sees -----------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """The account's status as the runtime wrote it, {} if there is none."""
        whole = self.bed.stage.local.status(self.jid)
        return dict(whole["status"]) if whole else {}

    def conditions(self) -> dict[str, tuple[str, str]]:
        """Type -> status and reason."""
        return {c["type"]: (c["status"], c["reason"]) for c in self.status().get("conditions", ())}

    def pid(self) -> int | None:
        """The shard's process."""
        return self.bed.stage.local.shards().get(self.account)

    def want(self, desired: str) -> None:
        """Edit the account's file, as the host would."""
        resource = yaml.safe_load(self.file.read_text())
        resource["spec"]["desired"] = desired
        draft = self.file.with_suffix(".new")
        draft.write_text(yaml.safe_dump(resource))
        draft.replace(self.file)

    async def gone(self, seconds: float = PATIENCE) -> None:
        """Wait until no process of the account runs, and the runtime has noted it."""
        await until(lambda: self.pid() is None, timeout=seconds, what="the end of the shard")
        await until(lambda: self.conditions().get("PodScheduled") == ("False", "NoProcess"), what="its note")

    async def evict(self) -> None:
        """End the shard the clean way before its time, as the drain of a node does."""
        os.kill(self.pid() or 0, signal.SIGTERM)
        await self.gone()

    async def stands(self, reason: Reason, seconds: float = PATIENCE) -> None:
        """Wait until host and owner see this state; everything that says it says it in the same words."""
        row = TABLE[reason]
        await until(lambda: self.status().get("reason") == reason, timeout=seconds, what=f"the reason {reason}")
        seen = self.status()
        assert row.phase == seen["phase"]
        ready = next(c for c in seen["conditions"] if c["type"] == "Ready")
        assert (reason, row.sentence) == (ready["reason"], ready["message"])
        shown = ("unavailable", "", "") if row.show is None else ("", row.show, row.sentence)
        await self.client.until(lambda: self.presence() == shown, timeout=PATIENCE, what=f"the presence {shown}")

    async def says(self, reason: Reason, sentence: str = "") -> None:
        """Chat and command answer the same, at once: the reason's sentence, or a better one of the doors."""
        sentence = sentence or TABLE[reason].sentence
        assert sentence == await self.ask("status")
        assert sentence == await self.command()

    # ---- what WhatsApp sees -----------------------------------------------------------------------------------

    async def logins(self) -> int:
        """How often a device of the phone's account has tried to log in, refused ones included."""
        return len(await self.bed.sandbox.trace(who=self.phone, events=LOGINS))

    async def devices(self) -> list[int]:
        """The numbers of the linked devices."""
        return [device["device"] for device in await self.phone.linked()]

    async def fault(self, name: str, **fields: Any) -> Json:  # noqa: ANN401 - as the sandbox has them
        """Turn a knob for this owner's account."""
        return await self.bed.sandbox.fault(name, self.phone, **fields)


def _is_text(message: Message) -> bool:
    plain = message["from"].bare == GATEWAY and message["body"] and message.xml.find(OOB) is None
    return bool(plain) and message["type"] != "error"


@asynccontextmanager
async def built_bed(folder: Path) -> AsyncIterator[Bed]:
    """Start everything, with one code an attempt."""
    async with AsyncExitStack() as stack:
        prosody = await stack.enter_async_context(
            running_prosody(folder / "prosody", domain=HOST, component=GATEWAY, upload=UPLOAD)
        )
        redis = await stack.enter_async_context(running_redis(folder / "redis"))
        sandbox = await stack.enter_async_context(running_sandbox(folder, fresh_count=100))
        template = {"codesPerAttempt": 1}
        local = await stack.enter_async_context(
            running_local(folder / "ponton", prosody, redis, sandbox=sandbox.config_file, template=template)
        )
        yield Bed(Stage(folder, prosody, redis, local, sandbox), sandbox)
