"""Writes docs/resources.md from the models: `python -m tests.tools.resources_doc`; a test compares.

The models are in `ponton_operator.resources`; nobody edits the page by hand.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ponton_operator.resources.crd import GROUP, KINDS, VERSION, Kind
from ponton_operator.resources.rules import KEYWORD
from tests.tools.conditions_doc import table

PAGE: Final = Path(__file__).parents[2] / "docs" / "resources.md"
ELSEWHERE: Final = {"Metadata": "of Kubernetes"}  # what is not ours to explain
INTRODUCTION: Final = """\
# Resources

*Made from the models in the code by `python -m tests.tools.resources_doc`; do not edit.*

`ponton crds` prints the definitions that a cluster needs; they are checked in under [crds](../crds). Examples:
[an account](examples/account.yaml), [a gateway](examples/gateway.yaml),
[a gateway with everything said](examples/gateway-full.yaml). [conditions.md](conditions.md) explains what stands in
`status`.

`spec` belongs to people and to the doors, `status` to the operators, each part of it to one of them.

A resource that an API server accepts is accepted on one machine too, and the same is refused, with the same sentences:
a number is no text and no text is a number, a field that does not exist is an error, `null` is the same as not said.
One difference remains: an API server that is not asked to be strict (`fieldValidation=Strict`, which `kubectl` asks
for by itself) drops unknown fields instead of refusing them. What lies beyond one resource is decided by the operators
and told in conditions: whether the gateway allows the owner's host, whether another account has the same owner, and
whether the address is one that Prosody could prepare.
"""

Schema = Mapping[str, Any]


def page() -> str:
    """Give the whole page."""
    parts = [INTRODUCTION]
    explained: set[str] = set()
    for kind in KINDS:
        parts += [*_kind(kind, explained)]
    return "\n".join(parts).rstrip() + "\n"


def _kind(kind: Kind, explained: set[str]) -> Iterator[str]:
    raw = kind.model.model_json_schema(by_alias=True)
    definitions: dict[str, Schema] = raw["$defs"]
    yield f"## {kind.name}"
    yield ""
    yield f"{raw['description']} `apiVersion: {GROUP}/{VERSION}`, namespaced; `kubectl get {kind.short}` shows:"
    yield ""
    shown = ((c.name if c.always else f"{c.name} (with `-o wide`)", c.description) for c in kind.columns)
    yield from table(("column", "is"), shown)
    waiting = [name for name in _below(raw) if name not in explained | ELSEWHERE.keys()]
    while waiting:
        name = waiting.pop(0)
        if name in explained or "properties" not in definitions[name]:
            continue
        explained.add(name)
        yield from _model(name, definitions)
        waiting = [*_below(definitions[name]), *waiting]


def _below(schema: Schema) -> list[str]:
    """Name the models to which a schema refers, in the order of its fields."""
    fields = schema.get("properties", {}).values()
    inner: Iterator[Schema] = (one for node in fields for one in (node, node.get("items", {}), *node.get("anyOf", [])))
    return [one["$ref"].rpartition("/")[2] for one in inner if "$ref" in one]


def _model(name: str, definitions: Mapping[str, Schema]) -> Iterator[str]:
    schema = definitions[name]
    yield f"### {name}"
    yield ""
    yield schema["description"]
    yield ""
    for rule in schema.get(KEYWORD, []):
        yield f"Rule: {rule['message']}."
        yield ""
    needed = schema.get("required", [])
    rows = []
    for field, node in schema["properties"].items():
        default = "required" if field in needed else _default(node)
        rows.append((f"`{field}`", _type(node, definitions), default, _meaning(node, definitions), _rules(node)))
    if rows:
        yield from table(("field", "type", "default", "meaning", "rule"), rows)


def _plain(node: Schema) -> Schema:
    """Give a node without "or null"."""
    inner: Schema = next((one for one in node.get("anyOf", []) if one != {"type": "null"}), {})
    return {**node, **inner}


def _type(node: Schema, definitions: Mapping[str, Schema]) -> str:
    node = _plain(node)
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        found = definitions[name]
        return f"[{name}](#{name.lower()})" if "properties" in found else _type(found, definitions)
    if "enum" in node:
        *most, last = (f"`{value}`" for value in node["enum"])
        return f"{', '.join(most)} or {last}"
    return _SAID[node["type"]](node, definitions)


def _list(node: Schema, definitions: Mapping[str, Schema]) -> str:
    return f"list of {_type(node['items'], definitions)}{_at_most(node, 'maxItems')}"


def _map(node: Schema, definitions: Mapping[str, Schema]) -> str:
    return f"map to {_type(node['additionalProperties'], definitions)}{_at_most(node, 'maxProperties')}"


def _integer(node: Schema, _: Mapping[str, Schema]) -> str:
    bounds = f" from {node['minimum']}" if "minimum" in node else ""
    return f"integer{bounds}" + (f" to {node['maximum']}" if "maximum" in node else "")


def _text(node: Schema, _: Mapping[str, Schema]) -> str:
    what = "time" if node.get("format") == "date-time" else "text"
    return what + _at_most(node, "maxLength", " characters")


_SAID: Final[dict[str, Callable[[Schema, Mapping[str, Schema]], str]]] = {
    "array": _list,
    "object": _map,
    "integer": _integer,
    "string": _text,
    "boolean": lambda _, __: "`true` or `false`",
}


def _at_most(node: Schema, word: str, unit: str = "") -> str:
    return f", at most {node[word]}{unit}" if word in node else ""


def _default(node: Schema) -> str:
    default = node.get("default")
    if default is None:
        return ""
    if isinstance(default, dict):
        return "its defaults"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`" if default not in ("", []) else "empty"


def _meaning(node: Schema, definitions: Mapping[str, Schema]) -> str:
    node = _plain(node)
    told = node.get("description") or (
        definitions[node["$ref"].rpartition("/")[2]].get("description", "") if "$ref" in node else ""
    )
    return " ".join(told.split("\n\n")[0].split())


def _rules(node: Schema) -> str:
    node = _plain(node)
    nodes = (node, node.get("items", {}), node.get("additionalProperties") or {})
    return "; ".join(rule["message"] for one in nodes for rule in one.get(KEYWORD, []))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
