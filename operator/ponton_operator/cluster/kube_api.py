"""The Kubernetes API for the control plane: plain objects in and out, typed errors, a deadline on every call.

The only wrapper of the `kubernetes` client. `Client` is synchronous, for threads of its own (the Lease); `KubeApi`
runs it in a bounded pool beside the event loop and keeps writes at a pace, for everything else.
"""

import asyncio
import http
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import urllib3
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException

from ponton_bridge.model.errors import HostError
from ponton_operator.cluster.kube_errors import KubeError, NotFound, Unavailable, error_of
from ponton_operator.cluster.kube_kinds import ACCOUNTS, EVENTS, GATEWAYS, LEASES, PODS, Kind, Obj
from ponton_operator.cluster.pace import Pace

CONNECT: Final = 3.0  # seconds
READ: Final = 15.0  # seconds without a byte; a page of a long list takes one or two
PAGE: Final = 500  # objects of a list in one answer
THREADS: Final = 16  # calls at the same time
WRITES: Final = 20.0  # a second: the churn up to which Kubernetes keeps its promises to others
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"
_JSON: Final = "application/json"
_NAMES_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"

# verb, resource, result (ok, or the class of the error), seconds
Counted = Callable[[str, str, str, float], None]


class Client:
    """One connection pool to the API server; safe to be used by many threads."""

    def __init__(self, client: ApiClient, counted: Counted = lambda *_: None) -> None:
        self._client = client
        self._counted = counted
        # Whether the Lease may be another's by now: a process that was stopped and wakes must not write any more.
        self.fence: Callable[[], bool] = lambda: False

    @classmethod
    def connect(cls, counted: Counted = lambda *_: None) -> "Client":
        """Connect as the pod's service account, or as KUBECONFIG says. Raises HostError."""
        settings = Configuration()
        try:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]  # the library's
        except ConfigException:
            try:
                config.load_kube_config(client_configuration=settings)  # type: ignore[no-untyped-call]  # the library's
            except (ConfigException, OSError) as error:
                raise HostError("There is neither a service account nor a KUBECONFIG for the cluster.") from error
        settings.connection_pool_maxsize = THREADS
        settings.retries = urllib3.Retry(0)
        return cls(ApiClient(settings), counted)

    def call(
        self,
        verb: str,
        kind: Kind,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Obj | None = None,
        content: str = _JSON,
        accept: str = _JSON,
        seconds: float = READ,
    ) -> Obj:
        """Do one call and give its answer; `verb` is that of RBAC. Raises KubeError."""
        began, result = time.monotonic(), "ok"
        try:
            if verb not in _READS and kind is not LEASES and self.fence():
                raise Unavailable("LeaseLost")
            return self._call(_METHODS[verb], path, dict(query or {}), body, content, accept, seconds)
        except KubeError as error:
            result = type(error).__name__
            raise
        finally:
            self._counted(verb, kind.plural, result, time.monotonic() - began)

    def stream(self, kind: Kind, path: str, query: Mapping[str, str], seconds: float) -> urllib3.BaseHTTPResponse:
        """Begin a watch and give its answer, to be read as it comes and closed by the caller; for a thread of its own.

        `seconds` without a byte end it (bookmarks come every minute). Raises KubeError.
        """
        began, result = time.monotonic(), "ok"
        request = self._client.param_serialize(
            "GET", path, query_params=list(query.items()), header_params={"Accept": _JSON},
            auth_settings=["BearerToken"],
        )  # fmt: skip
        try:
            answer: urllib3.BaseHTTPResponse = self._client.call_api(
                *request, _request_timeout=(CONNECT, seconds)
            ).response
            if answer.status != http.HTTPStatus.OK:
                raise error_of(answer.status, json.loads(answer.read() or b"{}"))
        except (urllib3.exceptions.HTTPError, ConfigException, OSError, ValueError) as error:
            result = "Unavailable"
            raise Unavailable from error
        except KubeError as error:
            result = type(error).__name__
            raise
        finally:
            self._counted("watch", kind.plural, result, time.monotonic() - began)
        return answer

    def _call(
        self, method: str, path: str, query: dict[str, str], body: Obj | None, content: str, accept: str, seconds: float
    ) -> Obj:
        headers = {"Accept": accept, "Content-Type": content} if body is not None else {"Accept": accept}
        try:
            request = self._client.param_serialize(
                method, path, query_params=list(query.items()), header_params=headers, body=body,
                auth_settings=["BearerToken"],
            )  # fmt: skip
            answer = self._client.call_api(*request, _request_timeout=(min(CONNECT, seconds), seconds))
            text = answer.response.data  # the connection goes back to the pool with the last byte
        except (urllib3.exceptions.HTTPError, ConfigException, OSError) as error:
            raise Unavailable from error
        try:
            value = json.loads(text) if text else {}
        except ValueError:
            value = {}
        if not 200 <= answer.status < 300:  # noqa: PLR2004  # HTTP
            raise error_of(answer.status, value)
        if not isinstance(value, dict):
            raise Unavailable("NotAnObject")
        return value


_READS: Final = frozenset({"get", "list"})
_DECISIONS: Final = frozenset({ACCOUNTS, GATEWAYS, EVENTS})  # their status is written first; events can wait as well
_METHODS: Final = {
    "get": "GET", "list": "GET", "create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE",
}  # fmt: skip


class KubeApi:
    """The client beside an event loop; all methods raise KubeError. `writes`: at most so many a second, 0: no limit."""

    def __init__(self, client: Client, writes: float = WRITES) -> None:
        self.client = client
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="kube")
        self._pace = Pace(writes)

    async def get(self, kind: Kind, namespace: str, name: str) -> Obj:
        """Give one object."""
        return await self._run("get", kind, kind.path(namespace, name))

    async def find(self, kind: Kind, namespace: str, name: str) -> Obj | None:
        """Give one object, None if there is none."""
        try:
            return await self.get(kind, namespace, name)
        except NotFound:
            return None

    async def pages(
        self, kind: Kind, namespace: str = "", labels: str = "", *, names_only: bool = False
    ) -> AsyncIterator[list[Obj]]:
        """Give all objects, page by page; of `names_only` no more than their metadata comes."""
        query = {"limit": str(PAGE)} | ({"labelSelector": labels} if labels else {})
        accept = _NAMES_ONLY if names_only else _JSON
        while True:
            answer = await self._run("list", kind, kind.path(namespace), query=query, accept=accept)
            yield answer.get("items") or []
            query["continue"] = (answer.get("metadata") or {}).get("continue") or ""
            if not query["continue"]:
                return

    async def list(self, kind: Kind, namespace: str = "", labels: str = "") -> list[Obj]:
        """Give all objects at once: for kinds of which there are few."""
        return [item async for page in self.pages(kind, namespace, labels) for item in page]

    async def create(self, kind: Kind, namespace: str, body: Obj) -> Obj:
        """Make an object. Raises Conflict with `exists` if there is one of its name."""
        return await self._write("create", kind, kind.path(namespace), body=body)

    async def replace(self, kind: Kind, namespace: str, name: str, body: Obj) -> Obj:
        """Replace an object; with the resourceVersion that was read in `body`, only if it is as it was."""
        return await self._write("update", kind, kind.path(namespace, name), body=body)

    async def patch(self, kind: Kind, namespace: str, name: str, body: Obj, subresource: str = "") -> Obj:
        """Merge `body` into an object (RFC 7386); with metadata.resourceVersion only if it is as it was."""
        return await self._write("patch", kind, kind.path(namespace, name, subresource), body=body, content=MERGE)

    async def resize(self, namespace: str, name: str, container: str, resources: Obj) -> Obj:
        """Change what a container of a running pod may use, where it runs. Raises Invalid if the cluster cannot."""
        body = {"spec": {"containers": [{"name": container, "resources": resources}]}}
        path = PODS.path(namespace, name, "resize")
        return await self._write("patch", PODS, path, body=body, content=STRATEGIC)  # lists merge by name

    async def apply(self, kind: Kind, namespace: str, name: str, body: Obj, manager: str) -> Obj:
        """Make the object have what `body` says (server-side apply); fields of ours that others changed come back."""
        query = {"fieldManager": manager, "force": "true"}
        return await self._write("patch", kind, kind.path(namespace, name), query=query, body=body, content=APPLY)

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str = "", grace: int | None = None) -> bool:
        """Delete an object, if it is still that of `uid`; gives whether there was one. `grace` in seconds."""
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        body |= {"preconditions": {"uid": uid}} if uid else {}
        body |= {} if grace is None else {"gracePeriodSeconds": grace}
        try:
            await self._write("delete", kind, kind.path(namespace, name), body=body)
        except NotFound:
            return False
        return True

    async def served(self, group: str) -> bool:
        """Whether the API server knows a group and version, for example ponton.im/v1alpha1."""
        probe = Kind(f"apis/{group}", "")
        try:
            await self._run("get", probe, f"/apis/{group}")
        except NotFound:
            return False
        return True

    def late(self) -> float:
        """Give the seconds that a write would have to wait for its turn now."""
        return self._pace.late()

    def close(self) -> None:
        """Take no more calls; those that run end by their deadline."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    # ---- inside --------------------------------------------------------------------------------------------

    async def _write(self, verb: str, kind: Kind, path: str, **rest: Any) -> Obj:  # noqa: ANN401  # see Client.call
        """Wait for our turn, then write."""
        await self._pace.turn(follows=kind not in _DECISIONS)
        return await self._run(verb, kind, path, **rest)

    async def _run(self, verb: str, kind: Kind, path: str, **rest: Any) -> Obj:  # noqa: ANN401  # see Client.call
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: self.client.call(verb, kind, path, **rest))
