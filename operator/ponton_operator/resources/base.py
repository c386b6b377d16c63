"""What all resources share: camelCase on the wire, closed, immutable; metadata and conditions as Kubernetes has them.

Called by the neighbouring models. Only what a structural schema can say is used here (no unions, no free-form
values), because the CRDs are generated from these models. What an API server accepts is accepted here, and the same is
refused: a number is no text, null is what is not said, everything has a greatest length.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StrictBool,
    StrictInt,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from ponton_operator.resources.rules import Rule, shape, with_rules

API_VERSION: Final = "ponton.im/v1alpha1"
# An RFC 1123 label: also a file name, a Redis user and part of a key, so that nothing needs quoting anywhere.
NAME_PATTERN: Final = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
MAX_NAME: Final = 63  # characters, RFC 1123
MAX_HOST: Final = 253  # characters of a host name, and of a name of Kubernetes with dots
PAUSED: Final = "ponton.im/paused"  # annotation; "true" is the host's brake: nothing is done but to look and tell
PAUSED_BEFORE: Final = "ponton.im/reconcile"  # its older form, with the value "disabled"

NAME_SENTENCE: Final = "a name has small letters, digits and '-' only, and begins and ends with a letter or digit"
NAME_SHAPE: Final = shape(NAME_PATTERN, NAME_SENTENCE)
Name = Annotated[str, Field(max_length=MAX_NAME), NAME_SHAPE]
_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
Host = Annotated[
    str,
    Field(max_length=MAX_HOST),
    shape(rf"^{_LABEL}(\.{_LABEL})*$", "write a host name in small letters, like chat.example.org"),
]
# The name of something of the cluster's own; empty for none.
ClusterName = Annotated[
    str,
    Field(max_length=MAX_HOST),
    shape(rf"^({_LABEL}(\.{_LABEL})*)?$", "write the name of an object of Kubernetes, or nothing"),
]
Cpu = Annotated[
    str,
    Field(max_length=16),
    shape(r"^([0-9]{1,4}(\.[0-9]{1,3})?|[0-9]{1,7}m)$", "write an amount of CPU like 20m, 0.5 or 2"),
]
# No 'm': thousandths of a byte are never what is meant.
Memory = Annotated[
    str,
    Field(max_length=24),
    shape(
        r"^[1-9][0-9]{0,14}(\.[0-9]{1,3})?(k|Ki|M|Mi|G|Gi|T|Ti)?$",
        "write an amount of bytes like 96Mi or 1.5Gi",
    ),
]
Flag = StrictBool
Whole = StrictInt
Count = Annotated[Whole, Field(ge=0, le=1_000_000)]


class K8s(BaseModel):
    """A part of a resource; unknown fields are refused, so that a typing error never goes unnoticed."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )
    RULES: ClassVar[tuple[Rule, ...]] = ()  # over several fields

    @model_validator(mode="before")
    @classmethod
    def _as_read_from_json(cls, data: object) -> object:
        """Leave out what is null and take 5.0 as 5, as the API server does before it looks at anything else."""
        if not isinstance(data, Mapping) or not any(v is None or isinstance(v, float) for v in data.values()):
            return data
        known = {name for field, info in cls.model_fields.items() for name in (field, info.alias)}
        return {name: _whole(value) for name, value in data.items() if value is not None or name not in known}

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        for rule in self.RULES:
            rule.check(self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the rules to the schema of the model (pydantic's protocol)."""
        made = handler(core_schema)
        inner = handler.resolve_ref_schema(made)
        inner.update(with_rules(inner, cls.RULES))
        return made


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


class SecretRef(K8s):
    """One key of a Secret; on one machine the file secrets/NAME/KEY."""

    name: Name
    """The Secret's name, in the gateway's namespace."""
    key: Annotated[
        str,
        Field(max_length=MAX_HOST),
        shape("^[-._a-zA-Z0-9]+$", "write a key of a Secret: letters, digits, '-', '_' and '.'"),
    ]
    """The key in it."""


class Metadata(K8s):
    """The part of ObjectMeta that plans read; what else an API server adds is left out, not refused."""

    model_config = ConfigDict(extra="ignore")

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
    """What it is about."""
    status: Truth
    """Whether it holds."""
    reason: str
    """Why, in one word."""
    message: str = ""
    """Why, in a sentence."""
    last_transition_time: datetime
    """When the status turned last."""
    observed_generation: Whole = 0
    """The generation of the resource that it is about."""


def moment(seconds: float) -> datetime:
    """Give seconds since 1970 as a time with its zone, to the millisecond, as resources carry it.

    >>> moment(1.5).isoformat()
    '1970-01-01T00:00:01.500000+00:00'
    """
    return datetime.fromtimestamp(int(seconds * 1000) / 1000, UTC)
