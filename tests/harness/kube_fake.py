"""An API server in memory that speaks HTTP on loopback: objects of any kind with versions, finalizers and watches.

Enough of one for drivers and doors; what it does is what a real one does (tests on a cluster compare). Patches are JSON
merge patches, and server-side apply as far as one manager uses it. Not for its speed: one lock, one thread a request.
"""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from kubernetes.client import ApiClient, Configuration
from urllib3 import Retry

from ponton_operator.cluster.kube_api import Client
from tests.harness.loopback import JsonHandler, served

Obj = dict[str, Any]
Key = tuple[str, str, str]  # plural, namespace, name


class Refused(Exception):
    """An answer that is none of 2xx."""

    def __init__(self, code: int, reason: str, message: str = "") -> None:
        super().__init__(reason)
        self.code, self.reason, self.message = code, reason, message


@dataclass(slots=True)
class KubeFake:
    """The objects, and what tests may do to them; `refuse` answers the next calls of (verb, plural) with errors."""

    objects: dict[Key, Obj] = field(default_factory=dict)
    events: list[tuple[int, str, str, Obj]] = field(default_factory=list)  # version, plural, type, object
    asked: list[tuple[str, str]] = field(default_factory=list)  # method, path with query
    refuse: dict[tuple[str, str], list[Refused]] = field(default_factory=dict)
    version: int = 1
    oldest: int = 0  # versions up to this one are forgotten: a watch from there is answered 410
    port: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    closed: bool = False
    down: bool = False  # whether every call is answered 503, and watches break off
    forbidden: set[str] = field(default_factory=set)  # namespaces: calls are answered 403, watches break off
    granted: set[tuple[str, str]] = field(default_factory=set)  # (verb, plural) allowed there all the same

    def client(self) -> Client:
        """Connect to it."""
        settings = Configuration()
        settings.host = f"http://127.0.0.1:{self.port}"
        settings.retries = Retry(False)  # noqa: FBT003  # urllib3's way to say none
        return Client(ApiClient(settings))

    # ---- as others see and change it ---------------------------------------------------------------------------

    def put(self, plural: str, namespace: str, obj: Obj) -> Obj:
        """Make or replace an object as somebody else does."""
        with self.changed:
            key = (plural, namespace, obj["metadata"]["name"])
            if key in self.objects:
                return self._store(key, "MODIFIED", merged(self.objects[key], obj))
            return self._create(key, obj)

    def get(self, plural: str, namespace: str, name: str) -> Obj | None:
        """Give an object."""
        with self.changed:
            return self.objects.get((plural, namespace, name))

    def remove(self, plural: str, namespace: str, name: str) -> None:
        """Delete an object as somebody else does, finalizers or not."""
        with self.changed:
            self._drop((plural, namespace, name))

    def forget(self) -> None:
        """Forget old versions: watches end, and cannot go on from where they were."""
        with self.changed:
            self.version += 1
            self.oldest = self.version
            self.changed.notify_all()

    # ---- the server --------------------------------------------------------------------------------------------

    def kubeconfig(self, path: Path) -> Path:
        """Write a KUBECONFIG for it."""
        here = {"server": f"http://127.0.0.1:{self.port}"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": here}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def answer(self, method: str, path: str, query: dict[str, str], body: Obj | None) -> Obj:
        """Do one call. Raises Refused."""
        if self.down:
            raise Refused(503, "ServiceUnavailable")
        parts = path.strip("/").split("/")
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        namespace = ""
        if rest[:1] == ["namespaces"] and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        plural, name, part = (*rest, "", "", "")[:3]
        verb = "LIST" if method == "GET" and not name else method
        if namespace in self.forbidden and (verb, f"{plural}/{part}" if part else plural) not in self.granted:
            raise Refused(403, "Forbidden")
        with self.changed:
            waiting = self.refuse.get((method, plural))
            if waiting:
                raise waiting.pop(0)
            if not name:
                return self._list(plural, namespace, query) if method == "GET" else self._made(plural, namespace, body)
            return self._one(method, (plural, namespace, name), part, body or {})

    def _one(self, method: str, key: Key, part: str, body: Obj) -> Obj:
        found = self.objects.get(key)
        if method == "PATCH" and found is None and body.get("apiVersion") and not part:
            return self._create(key, body)  # server-side apply
        if found is None:
            raise Refused(404, "NotFound")
        if method == "GET":
            return found
        if method == "DELETE":
            return self._delete(key, found, body)
        wanted = (body.get("metadata") or {}).get("resourceVersion")
        if wanted and wanted != found["metadata"]["resourceVersion"]:
            raise Refused(409, "Conflict")
        fresh = merged(found, body) if method == "PATCH" else body
        if part == "status":
            fresh = found | {"status": fresh.get("status", {})}
        else:
            fresh = fresh | ({"status": found["status"]} if "status" in found else {})
            if fresh.get("spec") != found.get("spec"):
                fresh["metadata"] = fresh["metadata"] | {"generation": found["metadata"].get("generation", 1) + 1}
        return self._store(key, "MODIFIED", fresh)

    def _made(self, plural: str, namespace: str, body: Obj | None) -> Obj:
        if not body:
            raise Refused(400, "BadRequest")
        metadata = body["metadata"]
        if "name" not in metadata:
            metadata["name"] = f"{metadata['generateName']}{len(self.asked)}"
        key = (plural, namespace, metadata["name"])
        if key in self.objects:
            raise Refused(409, "AlreadyExists")
        return self._create(key, body)

    def _create(self, key: Key, body: Obj) -> Obj:
        made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        own = {"namespace": key[1], "uid": str(uuid.uuid4()), "creationTimestamp": made, "generation": 1}
        return self._store(key, "ADDED", body | {"metadata": own | body["metadata"]})

    def _delete(self, key: Key, found: Obj, body: Obj) -> Obj:
        uid = (body.get("preconditions") or {}).get("uid")
        if uid and uid != found["metadata"]["uid"]:
            raise Refused(409, "Conflict")
        if not found["metadata"].get("finalizers"):
            self._drop(key)
        elif not found["metadata"].get("deletionTimestamp"):
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            self._store(key, "MODIFIED", found | {"metadata": found["metadata"] | {"deletionTimestamp": now}})
        return {"kind": "Status", "status": "Success"}

    def _store(self, key: Key, kind: str, obj: Obj) -> Obj:
        if not any((key in self.objects, kind == "ADDED")):
            raise Refused(404, "NotFound")
        self.version += 1
        fresh: Obj = json.loads(json.dumps(obj))
        fresh["metadata"]["resourceVersion"] = str(self.version)
        if fresh["metadata"].get("deletionTimestamp") and not fresh["metadata"].get("finalizers"):
            self.objects[key] = fresh
            self._drop(key)
            return fresh
        self.objects[key] = fresh
        self.events.append((self.version, key[0], kind, fresh))
        self.changed.notify_all()
        return fresh

    def _drop(self, key: Key) -> None:
        if (last := self.objects.pop(key, None)) is not None:
            self.version += 1
            last = last | {"metadata": last["metadata"] | {"resourceVersion": str(self.version)}}
            self.events.append((self.version, key[0], "DELETED", last))
            self.changed.notify_all()

    def _list(self, plural: str, namespace: str, query: dict[str, str]) -> Obj:
        labels = query.get("labelSelector", "")
        names = sorted(k for k in self.objects if k[0] == plural and k[1] == (namespace or k[1]))
        items = [self.objects[k] for k in names if selects(labels, self.objects[k])]
        start, limit = int(query.get("continue") or 0), int(query.get("limit") or 0) or len(items) or 1
        page, more = items[start : start + limit], start + limit < len(items)
        metadata = {"resourceVersion": str(self.version), "continue": str(start + limit) if more else ""}
        return {"kind": "List", "metadata": metadata, "items": page}

    def watch(self, plural: str, namespace: str, query: dict[str, str]) -> Iterator[Obj]:
        """Give events after a version until the time is over."""
        after = int(query.get("resourceVersion") or 0)
        until = time.monotonic() + float(query.get("timeoutSeconds") or 60)
        labels, bookmark = query.get("labelSelector", ""), after
        while not (self.closed or self.down or namespace in self.forbidden):
            with self.changed:
                if after < self.oldest:
                    yield {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}
                    return
                fresh = [e for e in self.events if e[0] > after]
                if not fresh:
                    if time.monotonic() > until:
                        break
                    self.changed.wait(0.05)
            for version, kind, event, obj in fresh:
                after = bookmark = version
                where = obj["metadata"]["namespace"]
                if kind == plural and where == (namespace or where) and selects(labels, obj):
                    yield {"type": event, "object": obj}
        yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(bookmark)}}}


def merged(old: Any, patch: Any) -> Any:  # noqa: ANN401  # JSON
    """Merge after RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    base = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            base.pop(key, None)
        else:
            base[key] = merged(base.get(key), value)
    return base


def selects(selector: str, obj: Obj) -> bool:
    """Whether labels fit a selector of the forms `a=b` and `a in (b,c)`."""
    labels = obj["metadata"].get("labels") or {}
    for term in _terms(selector) if selector else ():
        key, _, values = term.partition(" in (" if " in (" in term else "=")
        if labels.get(key) not in values.rstrip(")").split(","):
            return False
    return True


def _terms(selector: str) -> list[str]:
    terms, depth, begun = [], 0, 0
    for place, letter in enumerate(selector):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            terms.append(selector[begun:place])
            begun = place + 1
    return [*terms, selector[begun:]]


@contextmanager
def kube_fake(special: KubeFake | None = None) -> Iterator[KubeFake]:
    """Run one (or that one, of a special kind) on a free port of loopback."""
    fake = special or KubeFake()

    class Handler(JsonHandler):
        def take(self, body: Any) -> None:  # noqa: ANN401  # JSON
            fake.asked.append((self.command, self.path))
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            if query.get("watch") == "true":
                self._stream(parts.path, query)
                return
            try:
                code, answer = 200, fake.answer(self.command, parts.path, query, body)
            except Refused as no:
                code = no.code
                answer = {"kind": "Status", "code": no.code, "reason": no.reason, "message": no.message}
            self.say(code, answer)

        def _stream(self, path: str, query: dict[str, str]) -> None:
            rest = path.strip("/").split("/")
            namespace = rest[rest.index("namespaces") + 1] if "namespaces" in rest else ""
            self.send_response(403 if namespace in fake.forbidden else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Connection", "close")
            self.end_headers()
            try:
                for event in fake.watch(rest[-1], namespace, query):
                    self.wfile.write(json.dumps(event).encode() + b"\n")
                    self.wfile.flush()
            except OSError:
                pass
            self.close_connection = True

    with served(Handler) as fake.port:
        try:
            yield fake
        finally:
            fake.closed = True
