"""Writes values.yaml, values.schema.json and the README's table of the chart from one source; a test compares.

    python -m tests.tools.chart_values

The source is charts/ponton/values.source.yaml, which says in its head how it is written. Helm checks every value
against the schema, so a slip of the pen is refused with the path at which it stands.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "charts" / "ponton"
SOURCE = CHART / "values.source.yaml"
README = CHART / "README.md"
START, END = "<!-- values -->\n", "<!-- end of values -->\n"
MADE = "from values.source.yaml by `python -m tests.tools.chart_values`; do not edit"
OWN = frozenset({"use", "open", "properties", "items", "default", "additionalProperties"})  # not passed on as they are

Node = dict[str, Any]


def load(source: str) -> Node:
    """Read the source and put every `use`d definition in its place."""
    tree: Node = yaml.safe_load(source)
    definitions = tree.pop("definitions", {})
    return expand({"description": "", **tree}, definitions)


def expand(node: Node, definitions: Mapping[str, Node]) -> Node:
    """Give a node without `use`, with the definition's content; what stands at the node itself counts before it."""
    if "use" in node:
        base = expand(dict(definitions[node["use"]]), definitions)
        own = {key: value for key, value in node.items() if key not in {"use", "default"}}
        return with_default({**base, **own}, node["default"]) if "default" in node else {**base, **own}
    made = dict(node)
    if "properties" in node:
        made["properties"] = {name: expand(child, definitions) for name, child in node["properties"].items()}
    if "items" in node:
        made["items"] = expand(node["items"], definitions)
    return made


def with_default(node: Node, default: object) -> Node:
    """Give the node with other defaults; of an object only those that are named."""
    if "properties" not in node or not isinstance(default, dict):
        return {**node, "default": default}
    if unknown := sorted(set(default) - set(node["properties"])):
        raise ValueError(f"a default for what is not there: {', '.join(unknown)}")
    children = node["properties"]
    changed = {name: with_default(children[name], value) for name, value in default.items()}
    return {**node, "properties": {**children, **changed}}


def schema(node: Node) -> Node:
    """Give the JSON schema of a node; objects are closed unless they are maps or say `open`."""
    made = {key: value for key, value in node.items() if key not in OWN and value != ""}
    if "properties" in node:
        children = {name: schema(child) for name, child in node["properties"].items()}
        return {**made, "type": "object", "additionalProperties": False, "properties": children}
    if made["type"] == "object":
        made["additionalProperties"] = node.get("additionalProperties", node.get("open", False))
    if made["type"] == "array":
        made["items"] = schema(node["items"])
    return made


def defaults(node: Node) -> object:
    """Give the default values of a node."""
    if "properties" in node:
        return {name: defaults(child) for name, child in node["properties"].items()}
    return node["default"]


def leaves(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Give each value that can be set, with its path."""
    for name, child in node["properties"].items():
        inner = f"{path}.{name}" if path else name
        if "properties" in child:
            yield from leaves(child, inner)
        else:
            yield inner, child


def values_file(node: Node, indent: int = 0) -> Iterator[str]:
    """Give the lines of values.yaml: each value with its description above it."""
    pad = "  " * indent
    for name, child in node["properties"].items():
        if not indent:
            yield ""
        yield f"{pad}# {child['description']}"
        if "properties" in child:
            yield f"{pad}{name}:"
            yield from values_file(child, indent + 1)
        else:
            yield f"{pad}{name}: {json.dumps(child['default'])}"


def table(node: Node) -> Iterator[str]:
    """Give the lines of the README's table."""
    yield "| value | default | |"
    yield "| --- | --- | --- |"
    for path, leaf in leaves(node):
        choices = f" One of {', '.join(f'`{choice}`' for choice in leaf['enum'])}." if "enum" in leaf else ""
        words = leaf["description"].replace("|", "\\|")
        yield f"| `{path}` | `{json.dumps(leaf['default'])}` | {words}.{choices} |"


def render(readme: str) -> dict[Path, str]:
    """Give the three files; `readme` is the README as it is, of which only the table is replaced."""
    tree = load(SOURCE.read_text(encoding="utf-8"))
    whole = {"$schema": "http://json-schema.org/draft-07/schema#", "$comment": f"Made {MADE}.", **schema(tree)}
    before, _, rest = readme.partition(START)
    _, _, after = rest.partition(END)
    return {
        CHART / "values.yaml": "\n".join([f"# Made {MADE}.", *values_file(tree), ""]),
        CHART / "values.schema.json": json.dumps(whole, indent=1) + "\n",
        README: before + START + "\n".join(table(tree)) + "\n" + END + after,
    }


def main() -> None:
    """Write the files."""
    for path, text in render(README.read_text(encoding="utf-8")).items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
