"""Reads objects as `kubectl get -o json` does, over connections that are kept; called by `reach`.

A process of kubectl takes a seventh of a second of a core, and a test that waits looks ten times a second: of a run of
all tests that was the largest part.
"""

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import kubernetes

Object = dict[str, Any]
_SECONDS = 30  # for one answer
GROUPS = {
    "bridgeaccounts": "/apis/ponton.im/v1alpha1",
    "bridgegateways": "/apis/ponton.im/v1alpha1",
    "configmaps": "/api/v1",
    "deployments": "/apis/apps/v1",
    "events": "/api/v1",
    "persistentvolumeclaims": "/api/v1",
    "pods": "/api/v1",
    "secrets": "/api/v1",
}
"""Where the API server has each kind."""
_SHORT = {
    "ba": "bridgeaccounts",
    "bg": "bridgegateways",
    "configmap": "configmaps",
    "deployment": "deployments",
    "pod": "pods",
    "secret": "secrets",
}
"""Kubectl's other words for them."""


def path_of(line: tuple[str, ...]) -> str | None:
    """Give the path that `kubectl get LINE` reads; None for a line of other kinds or with other options."""
    namespace, selector, words, rest = "", "", list[str](), iter(line)
    for word in rest:
        match word:
            case "-n":
                namespace = next(rest)
            case "-l":
                selector = next(rest)
            case _:
                words += word.split("/")
    kind, name, more = [*words, "", "", ""][:3]
    plural = _SHORT.get(kind, kind)
    if not namespace or plural not in GROUPS or more:
        return None
    path = f"{GROUPS[plural]}/namespaces/{quote(namespace)}/{plural}"
    path += f"/{quote(name)}" if name else ""
    return path + (f"?{urlencode({'labelSelector': selector})}" if selector else "")


class Looks:
    """The objects of one cluster; may be used from several threads."""

    def __init__(self, kubeconfig: Path) -> None:
        self._client = kubernetes.config.new_client_from_config(str(kubeconfig))  # type: ignore[no-untyped-call]  # the library's

    def get(self, *line: str) -> Object | None:
        """Give what `kubectl get -o json LINE` shows; None where only kubectl can tell, or tell what is wrong."""
        path = path_of(line)
        if path is None:
            return None
        asked = self._client.param_serialize("GET", path, auth_settings=["BearerToken"])
        answer = self._client.call_api(*asked, _request_timeout=_SECONDS)
        text = answer.read()
        return dict(json.loads(text)) if answer.status == HTTPStatus.OK else None
