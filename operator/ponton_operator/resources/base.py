"""What all resources share: camelCase on the wire, closed, immutable; metadata and conditions as Kubernetes has them.

Called by the neighbouring models. Only what a structural schema can say is used here (no unions, no free-form
values), because the CRDs are generated from these models.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

API_VERSION: Final = "ponton.im/v1alpha1"
# An RFC 1123 label: also a file name, a Redis user and part of a key, so that nothing needs quoting anywhere.
NAME_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
MAX_NAME: Final = 63  # characters, RFC 1123
PAUSED: Final = "ponton.im/paused"  # annotation; "true" is the host's brake: nothing is done but to look and tell
PAUSED_BEFORE: Final = "ponton.im/reconcile"  # its older form, with the value "disabled"

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=MAX_NAME)]
_QUANTITY: Final = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"
Quantity = Annotated[str, Field(pattern=_QUANTITY, max_length=32)]


class K8s(BaseModel):
    """A part of a resource; unknown fields are refused, so that a typing error never goes unnoticed."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Metadata(K8s):
    """The part of ObjectMeta that plans read; what else an API server adds is left out, not refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    name: Name
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    finalizers: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


def is_paused(metadata: Metadata) -> bool:
    """Whether the host keeps the operators' hands off this resource.

    >>> is_paused(Metadata(name="a", annotations={PAUSED: "true"}))
    True
    """
    annotations = metadata.annotations
    return annotations.get(PAUSED) == "true" or annotations.get(PAUSED_BEFORE) == "disabled"


class Truth(StrEnum):
    """The status of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(K8s):
    """One condition, after the API conventions of Kubernetes (metav1.Condition)."""

    type: str
    status: Truth
    reason: str
    message: str = ""
    last_transition_time: datetime
    observed_generation: int = 0


def moment(seconds: float) -> datetime:
    """Give seconds since 1970 as a time with its zone, to the millisecond, as resources carry it.

    >>> moment(1.5).isoformat()
    '1970-01-01T00:00:01.500000+00:00'
    """
    return datetime.fromtimestamp(int(seconds * 1000) / 1000, UTC)
