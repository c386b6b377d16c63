"""The sandbox from outside: what integration tests, demo, chaos and bench write.

    async with SandboxClient(control_url) as sandbox:
        alice = await sandbox.account("Alice", contacts=["Bob"])
        bob = await sandbox.contact("Bob")
        await alice.scan(qr_text)
        message_id = await bob.send_text(to=alice, text="hello")
        (message,) = await bob.inbox(kinds="message", wait=5)

Speaks the HTTP API of `control`. Whoever is meant by `to` may be given as a handle, a number, a name or an address.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from tests.sandbox.launch import Config

Json = dict[str, Any]

POLL = 10.0  # seconds of one long poll; the server would allow 60
PATIENCE = 20.0  # seconds until something awaited counts as missing
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5)  # a burst answers when it is sent


class SandboxError(Exception):
    """The sandbox refused what was asked, with its sentence."""


class AccountHandle:
    """One account: its phone, or a contact's. Made by `SandboxClient`."""

    def __init__(self, sandbox: "SandboxClient", described: Json) -> None:
        self.sandbox = sandbox
        self.number: str = described["number"]  # +336...
        self.pn: str = described["pn"]
        self.lid: str = described["lid"]
        self.name: str = described["name"]

    def __repr__(self) -> str:
        return f"<account {self.number}>"

    async def scan(self, qr_text: str, *, wait: bool = True) -> int:
        """Scan a QR code's text; gives the companion's device number once it is linked. Raises SandboxError.

        Without `wait` it gives the number that the companion would get, once the scan is done: a passkey comes between.
        """
        return int((await self._post("scan", qr=qr_text, wait=wait))["device"])

    async def demand_passkey(
        self,
        registered: Mapping[str, str],
        *,
        timeout: int = 600_000,  # noqa: ASYNC109 - of the request, in milliseconds
        refuse: bool = False,
        silent: bool = False,
        misshows: bool = False,
    ) -> None:
        """Demand a passkey (`credential` and `public`, base64url) of whoever wants to be linked from now on.

        `refuse` = no answer is taken, `silent` = nothing follows an answer, `misshows` = the phone shows another code.
        """
        knobs = {"refuse": refuse, "silent": silent, "misshows": misshows}
        await self._post("passkey", **registered, timeout=timeout, **knobs)

    async def type_code(self, code: str) -> int:
        """Type the eight letters that a companion shows; as `scan`."""
        return int((await self._post("code", code=code))["device"])

    async def linked(self) -> list[Json]:
        """The companions: device, connected, active, available, logins, waiting (stanzas), prekeys."""
        return list(await self._call("GET", "devices"))

    async def unlink(self, device: int | None = None) -> list[int]:
        """Remove one companion, or all; gives their numbers."""
        wanted = {} if device is None else {"device": device}
        return list((await self._call("DELETE", "devices", wanted))["removed"])

    async def synced(self, device: int) -> None:
        """Wait until a companion has fetched the app state, so that names and the push name are in its store."""
        await self.sandbox.wait_for(_last_fetch, who=f"{self.lid}:{device}", events="accepted")

    async def send_text(self, to: "Who", text: str, id: str | None = None) -> str:  # noqa: A002 - the field's name
        """Send a text; gives the message id."""
        return await self._send(to, id, text=text)

    async def send_message(self, to: "Who", message: Mapping[str, Any], id: str | None = None) -> str:  # noqa: A002
        """Send any WhatsApp Message as protobuf JSON: location, poll, view-once, reaction, edit, revoke ..."""
        return await self._send(to, id, message=message)

    async def send_from_phone(self, to: "Who", text: str) -> str:
        """Type a text on the phone of a linked account: the contact gets it, and each companion a copy."""
        return await self._send(to, None, text=text)

    async def burst(self, to: "Who", count: int, rate: float = 0, prefix: str = "") -> list[str]:
        """Send `count` texts `<prefix>0`, `<prefix>1` ... at `rate` per second (0: flat out); gives their ids."""
        answer = await self._post("burst", to=named(to), count=count, rate=rate, prefix=prefix)
        return list(answer["ids"])

    async def typing(self, to: "Who", state: str = "composing") -> None:
        """Show composing, recording or paused."""
        await self._post("typing", to=named(to), state=state)

    async def read(self, to: "Who", ids: Sequence[str], type: str = "read") -> None:  # noqa: A002 - the field's name
        """Send a receipt (read, played, delivered) for messages that `to` has sent."""
        await self._post("receipts", to=named(to), ids=list(ids), type=type)

    async def presence(self, type: str = "available") -> None:  # noqa: A002 - the field's name
        """Come online (available) or leave (unavailable)."""
        await self._post("presence", type=type)

    async def subscribe(self, to: "Who") -> None:
        """Ask for somebody's presence."""
        await self._post("subscriptions", to=named(to))

    async def settings(
        self, *, echo: float | None = None, receipts: str | None = None, name: str | None = None
    ) -> None:
        """Change habits: `echo` after so many seconds (-1: never), `receipts` none|delivered|read, push name."""
        given = {"echo": echo, "receipts": receipts, "name": name}
        await self._call("PATCH", "", {k: v for k, v in given.items() if v is not None})

    async def add_contacts(self, *contacts: str) -> list["AccountHandle"]:
        """Put people, by name or number, into the address book; those that do not exist are made."""
        added = await self._post("contacts", contacts=list(contacts))
        return [AccountHandle(self.sandbox, each) for each in added]

    async def change_state(
        self,
        collection: str,
        index: Sequence[str],
        value: Mapping[str, Any],
        *,
        version: int = 1,
        removed: bool = False,
    ) -> None:
        """Change an app-state entry (mute, pin, archive ...); `value` is a SyncActionValue as protobuf JSON."""
        entry: Json = {"index": list(index), "value": value, "version": version, "removed": removed}
        await self._post("state", collection=collection, **entry)

    async def power(self, *, on: bool) -> None:
        """Switch the phone off or on; what arrives meanwhile waits."""
        await self._post("power", on=on)

    async def inbox(
        self, since: int = 0, wait: float = 0, kinds: str = "", *, count: int = 1, details: bool = True
    ) -> list[Json]:
        """What the phone saw after record `since`, of some kinds (`message,receipt`) or all.

        Waits up to `wait` seconds until there are `count`. A record has n, at, kind and what belongs to the kind; a
        message id, from, device, chat, from_me, text, type, edit, enc, asked (times it was asked for again) and, with
        `details`, message.
        """
        query = {"since": since, "wait": wait, "kinds": kinds, "count": count, "details": int(details)}
        answer = await self._call("GET", "inbox", query)
        return list(answer["records"])

    async def wait_for(self, kind: str, *, since: int = 0, patience: float = PATIENCE, **fields: Any) -> Json:  # noqa: ANN401
        """The first record of this kind after `since` whose fields are these; raises AssertionError without one.

        Fields as in `inbox`, `from_` for the sender's number.
        """
        deadline = asyncio.get_running_loop().time() + patience
        seen: list[Json] = []
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            for record in await self.inbox(since, min(left, POLL), kind):
                since = record["n"]
                seen.append(record)
                if _has(record, fields):
                    return record
        raise AssertionError(f"{self!r} saw no {kind} with {fields}; seen: {seen}")

    async def texts(self, count: int, *, since: int = 0, patience: float = PATIENCE, **fields: Any) -> list[str]:  # noqa: ANN401
        """The texts of all messages after `since` with these fields, once there are `count` (or patience ends).

        In the order seen, repeats of a text included, so that a test counts what was lost, doubled or swapped.
        """
        found: list[str] = []
        deadline = asyncio.get_running_loop().time() + patience
        while len(found) < count and (left := deadline - asyncio.get_running_loop().time()) > 0:
            for record in await self.inbox(since, min(left, POLL), "message"):
                since = record["n"]
                if _has(record, fields):
                    found.append(record["text"])
        return found

    async def arrived(self) -> list[Json]:
        """The messages read so far, in the order in which WhatsApp first brought them.

        The real client now and then writes two messages under one counter when it sends and receives at once; a phone
        asks for the second one again. It shows where the message was first, not where it came for the second time.
        """
        records = await self.inbox(kinds="message,undecryptable")
        first: dict[tuple[str, str], int] = {}
        for record in records:
            first.setdefault((record["from"], record["id"]), record["n"])
        read = [record for record in records if record["kind"] == "message"]
        return sorted(read, key=lambda record: first[record["from"], record["id"]])

    async def _send(self, to: "Who", message_id: str | None, **what: object) -> str:
        chosen = {} if message_id is None else {"id": message_id}
        return str((await self._post("messages", to=named(to), **what, **chosen))["id"])

    async def _post(self, part: str, **fields: Any) -> Any:  # noqa: ANN401 - JSON
        return await self._call("POST", part, fields)

    async def _call(self, method: str, part: str, fields: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401
        path = f"/accounts/{quote(self.lid)}" + (f"/{part}" if part else "")
        return await self.sandbox.call(method, path, fields)


def _has(record: Json, fields: Mapping[str, Any]) -> bool:
    return all(record.get(name.removesuffix("_")) == value for name, value in fields.items())


Who = AccountHandle | str

LAST_COLLECTION = "regular_low"  # whatsmeow fetches the five collections one after the other, this one last


def _last_fetch(entry: Json) -> bool:
    stanza = entry["stanza"] or {}
    children = stanza.get("content", ()) if stanza.get("attrs", {}).get("xmlns") == "w:sync:app:state" else ()
    return any(
        collection["attrs"].get("name") == LAST_COLLECTION
        for sync in children
        for collection in sync.get("content", ())
    )


def named(who: Who) -> str:
    """How the API knows somebody."""
    return who if isinstance(who, str) else who.lid


class SandboxClient:
    """A running sandbox; use as an async context manager."""

    def __init__(self, control: str, config_file: Path | None = None) -> None:
        self.control = control
        self.config_file = config_file  # for launchers; None if only the URL is known
        self._http: aiohttp.ClientSession | None = None

    @classmethod
    def of_config(cls, config_file: Path) -> Self:
        """The client of the sandbox that wrote this file."""
        return cls(Config.read(config_file).control, config_file)

    async def __aenter__(self) -> Self:
        # Every account may have a long poll open: no limit of connections, or calls would wait for polls to end.
        self._http = aiohttp.ClientSession(timeout=TIMEOUT, connector=aiohttp.TCPConnector(limit=0))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def account(
        self,
        push_name: str = "",
        contacts: Sequence[str] = (),
        *,
        number: str = "",
        app_state: bool = True,
        echo: float = -1,
        receipts: str = "delivered",
    ) -> AccountHandle:
        """Make an account whose phone knows these contacts (names or numbers; made if they do not exist)."""
        habits: Json = {"app_state": app_state, "echo": echo, "receipts": receipts}
        fields = {"name": push_name, "number": number, "contacts": list(contacts)} | habits
        return AccountHandle(self, await self.call("POST", "/accounts", fields))

    async def contact(self, name: str) -> AccountHandle:
        """The contact of this name or number, made if there is none."""
        return AccountHandle(self, await self.call("POST", "/contacts", {"name": name}))

    async def find(self, who: str) -> AccountHandle:
        """The account of this number, address or name; raises SandboxError if there is none."""
        return AccountHandle(self, await self.call("GET", f"/accounts/{quote(who)}"))

    async def fault(
        self, name: str, scope: "Who | None" = None, *, count: int | None = None, value: int = 0, match: str = ""
    ) -> Json:
        """Turn a fault knob (names and values: `faults.KINDS`), for `count` times or until cleared.

        `scope` is an account, `+336..:2` a device of it, None everybody. A live knob acts at once.
        """
        fields: Json = {"name": name, "value": value, "match": match}
        if scope is not None:
            fields["scope"] = named(scope)
        if count is not None:
            fields["count"] = count
        return dict(await self.call("POST", "/faults", fields))

    async def faults(self) -> list[Json]:
        """The knobs that are turned."""
        return list(await self.call("GET", "/faults"))

    async def clear_faults(self) -> None:
        """Turn every knob back."""
        await self.call("DELETE", "/faults")

    async def stanza(self, to: "Who", stanza: Mapping[str, Any], device: int = 0) -> None:
        """Deliver a raw stanza (`control.stanzas`) to a device of an account."""
        who = named(to) if not device else f"{named(to)}:{device}"
        await self.call("POST", "/stanzas", {"to": who, "stanza": stanza})

    async def stats(self) -> Json:
        """Counts since the start (`counts`, `unimplemented`) and the present state."""
        return dict(await self.call("GET", "/stats"))

    async def trace(self, since: int = 0, who: "Who | None" = None, events: str = "", limit: int = 5000) -> list[Json]:
        """What went over the wires: entries n, at, event, who, stanza."""
        fields: Json = {"since": since, "events": events, "limit": limit}
        fields |= {"who": named(who)} if who is not None else {}
        return list((await self.call("GET", "/trace", fields))["entries"])

    async def wait_for(
        self,
        accept: Callable[[Json], object],
        *,
        who: "Who | None" = None,
        events: str = "",
        since: int = 0,
        patience: float = PATIENCE,
    ) -> Json:
        """The first entry of the trace that is accepted, as soon as it is there; raises AssertionError without one."""
        fields: Json = {"events": events} | ({"who": named(who)} if who is not None else {})
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while (left := deadline - loop.time()) > 0:
            answer = await self.call("GET", "/trace", fields | {"since": since, "wait": min(left, POLL)})
            since = answer["last"]
            for entry in answer["entries"]:
                if accept(entry):
                    return dict(entry)
        raise AssertionError(f"nothing of {events or 'anything'} was accepted within {patience} s")

    async def call(self, method: str, path: str, fields: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401
        """Any request of the API; raises SandboxError with the sandbox's sentence."""
        if self._http is None:
            raise RuntimeError("use the client as an async context manager")
        async with self._http.request(method, self.control + path, json=fields) as response:
            answer = await response.json()
            if response.ok:
                return answer
            raise SandboxError(answer["error"])
