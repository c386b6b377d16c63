"""The custom resource definitions, made from the models: what a CRD's structural schema can say, and nothing else.

Called by `ponton crds` and by tests. A schema has its types, bounds, defaults and enumerations from pydantic, its rules
(CEL) from `rules`, and its texts from the docstrings of models and fields. Rules on texts are CEL only, not `pattern`,
so that who breaks one reads one sentence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml
from pydantic import BaseModel
from yaml.cyaml import CSafeDumper

from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.base import API_VERSION, MAX_NAME, NAME_SENTENCE, NAME_SHAPE
from ponton_operator.resources.gateway import BridgeGateway
from ponton_operator.resources.rules import KEYWORD

Schema = dict[str, Any]
GROUP, VERSION = API_VERSION.split("/")
# Words of pydantic's schema that a structural schema has too, in the order in which they are written.
_KEPT: Final = (
    "type",
    "description",
    "format",
    "enum",
    "default",
    "minimum",
    "maximum",
    "maxLength",
    "maxItems",
    "maxProperties",
    "required",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    KEYWORD,
)
# Titles say the name once more; a structural schema is closed by itself, and null is not said (`base.K8s`).
_DROPPED: Final = ("title", "additionalProperties", "propertyNames", "$defs")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; one that is not `always` is shown with `-o wide` only."""

    name: str
    type: str
    path: str
    description: str
    always: bool = True


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource: its model, its short name and its columns. No field is selectable: it would show an address."""

    model: type[BaseModel]
    short: str
    columns: tuple[Column, ...]

    @property
    def name(self) -> str:
        """Give the kind."""
        return self.model.__name__

    @property
    def plural(self) -> str:
        """Give the name in URLs."""
        return f"{self.name.lower()}s"

    @property
    def file(self) -> str:
        """Give the name of the file that holds the definition."""
        return f"{self.plural}.{GROUP}.yaml"


class _Dumper(CSafeDumper):
    """Says everything where it stands: a reader should not have to look for an anchor."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # PyYAML's signature
        return True


def _condition(kind: str, description: str) -> Column:
    return Column(kind, "string", f'.status.conditions[?(@.type=="{kind}")].status', description)


_AGE: Final = Column("Age", "date", ".metadata.creationTimestamp", "Time since it was made.")
KINDS: Final = (
    Kind(
        BridgeAccount,
        "ba",
        (
            Column("Owner", "string", ".spec.owner", "Who links a WhatsApp account."),
            Column("Phase", "string", ".status.phase", "Where the account is."),
            Column("Paired", "boolean", ".status.paired", "Whether the device is linked."),
            _condition("Ready", "Whether messages pass."),
            Column("Reason", "string", ".status.reason", "Why it is where it is."),
            _AGE,
            Column("Epoch", "integer", ".status.epoch", "The last fencing token.", always=False),
            Column("Tier", "string", ".status.scaling.tier", "The size of the shard.", always=False),
        ),
    ),
    Kind(
        BridgeGateway,
        "bg",
        (
            Column("Domain", "string", ".spec.domain", "The component's domain."),
            Column("Accounts", "integer", ".status.accounts", "Accounts of the gateway."),
            Column("Running", "integer", ".status.running", "Those that are linked and connected."),
            Column("Paired", "integer", ".status.paired", "Those that are linked."),
            _condition("Ready", "Whether the gateway serves."),
            _condition("Accepted", "Whether it can be used as it is written."),
            _AGE,
        ),
    ),
)


def crd(kind: Kind) -> Schema:
    """Give the definition of a resource, as the API server takes it."""
    singular = kind.name.lower()
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
        "schema": {"openAPIV3Schema": schema(kind.model)},
    }
    names = {
        "kind": kind.name,
        "listKind": f"{kind.name}List",
        "plural": kind.plural,
        "singular": singular,
        "shortNames": [kind.short],
        "categories": ["ponton"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }


def text(kind: Kind) -> str:
    """Give the definition as YAML."""
    made: str = yaml.dump(crd(kind), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return f"# Made from the models by `ponton crds`; do not edit.\n{made}"


def schema(model: type[BaseModel]) -> Schema:
    """Give the structural schema of a resource. Raises TypeError when the model says what no CRD can."""
    raw = model.model_json_schema(by_alias=True)
    made = structural(raw, raw["$defs"])
    properties = made["properties"]
    properties["apiVersion"] = {"type": "string"}
    properties["kind"] = {"type": "string"}
    # Of metadata only the name may be narrowed, from the top.
    properties["metadata"] = {"type": "object", "properties": {"name": {"type": "string", "maxLength": MAX_NAME}}}
    name = {"rule": NAME_SHAPE.cel.replace("self", "self.metadata.name", 1), "message": NAME_SENTENCE}
    del properties["status"]["default"]  # there is none until somebody writes it
    return {"type": "object", "description": made["description"], "required": ["spec"], KEYWORD: [name]} | {
        "properties": {key: properties[key] for key in ("apiVersion", "kind", "metadata", "spec", "status")}
    }


def structural(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """Turn one node of pydantic's schema, and all below, into one of a structural schema.

    Raises TypeError for words that a structural schema does not have.
    """
    node = _inlined(node, definitions)
    if "const" in node:
        node = {key: value for key, value in node.items() if key != "const"} | {"enum": [node["const"]]}
    unknown = node.keys() - {*_KEPT, *_DROPPED, "properties", "items"}
    if unknown:
        raise TypeError(f"A structural schema cannot say {', '.join(sorted(unknown))}.")
    made = {key: node[key] for key in _KEPT if key in node}
    if "description" in made:
        made["description"] = _flowing(made["description"])
    if node.get("default", ...) is None:
        del made["default"]
    elif isinstance(node.get("default"), dict):
        made["default"] = {}  # the defaults below fill it
    if "properties" in node:
        made["properties"] = {name: structural(inner, definitions) for name, inner in node["properties"].items()}
    if "items" in node:
        made["items"] = structural(node["items"], definitions)
    if isinstance(node.get("additionalProperties"), dict):
        made["additionalProperties"] = structural(node["additionalProperties"], definitions)
    return made


def _inlined(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put in place what a node refers to, and what is meant by "this or null"; what stands beside it counts more."""
    while "$ref" in node or "anyOf" in node:
        if "$ref" in node:
            inner = definitions[node["$ref"].rpartition("/")[2]]
        else:
            (inner,) = (one for one in node["anyOf"] if one != {"type": "null"})
        beside = {key: value for key, value in node.items() if key not in {"$ref", "anyOf"}}
        rules = [*inner.get(KEYWORD, []), *beside.get(KEYWORD, [])]
        node = {**inner, **beside} | ({KEYWORD: rules} if rules else {})
    return node


def _flowing(docstring: str) -> str:
    """Give a docstring with one line a paragraph."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in docstring.split("\n\n"))


def _column(column: Column) -> Schema:
    made = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
    }
    return made if column.always else made | {"priority": 1}
