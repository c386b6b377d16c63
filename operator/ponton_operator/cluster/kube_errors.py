"""What the Kubernetes API answered instead of what was asked for, typed by what can be done about it.

Raised by `kube_api`. The text is a sentence of ours: the server's own words may hold what people wrote, so they are
kept in `detail`, for decisions only, and never shown or logged.
"""

from typing import Any

from ponton_bridge.model.errors import HostError


class KubeError(HostError):
    """The API server did not do it; `reason` is its one word for why, '' if there was no answer."""

    text = "The Kubernetes API did not do it"

    def __init__(self, reason: str = "", detail: str = "", causes: frozenset[str] = frozenset()) -> None:
        super().__init__(f"{self.text}{f' ({reason})' if reason else ''}.")
        self.reason = reason
        self.detail = detail
        self.causes = causes


class NotFound(KubeError):
    """There is no such object (any more)."""

    text = "The Kubernetes API has no such object"


class Conflict(KubeError):
    """Somebody else was first: the object exists already, or is not as it was when we read it."""

    text = "The object in the Kubernetes API was changed by somebody else"

    @property
    def exists(self) -> bool:
        """Whether the object to be made is there already."""
        return self.reason == "AlreadyExists"


class Forbidden(KubeError):
    """We may not, or the namespace may not: its quota is used up, or it is being removed."""

    text = "The Kubernetes API does not allow it"

    @property
    def quota(self) -> bool:
        """Whether a quota of the namespace is used up."""
        return "exceeded quota" in self.detail

    @property
    def terminating(self) -> bool:
        """Whether the namespace is being removed."""
        return "NamespaceTerminating" in self.causes or "being terminated" in self.detail


class Invalid(KubeError):
    """The API server does not take such an object."""

    text = "The Kubernetes API does not take this object"


class Unavailable(KubeError):
    """No answer in time, too many requests, or a fault of the server: it may or may not have been done."""

    text = "The Kubernetes API does not answer"


def error_of(status: int, body: Any) -> KubeError:  # noqa: ANN401  # whatever came over the wire
    """Give the error for an answer that is none of 2xx; `body` is a metav1.Status, or anything else."""
    said = body if isinstance(body, dict) else {}
    details = said.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    words = frozenset(str(c.get("reason", "")) for c in causes or () if isinstance(c, dict))
    kinds = {400: Invalid, 403: Forbidden, 404: NotFound, 405: Invalid, 409: Conflict, 415: Invalid, 422: Invalid}
    kind = kinds.get(status, Unavailable)
    return kind(str(said.get("reason", "")), str(said.get("message", "")), words)
