"""The chart's values: three files from one source, closed everywhere, each value with words."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.tools.chart_values import CHART, README, SOURCE, expand, leaves, load, render, schema

OPEN = {("global",), ("extraObjects", "[]")}  # what Helm fills in, and objects of any kind


def test_the_files_are_those_that_the_source_makes() -> None:
    """Whoever changes the source runs `python -m tests.tools.chart_values`."""
    for path, text in render(README.read_text(encoding="utf-8")).items():
        assert text == path.read_text(encoding="utf-8"), path.name


def test_the_defaults_are_what_the_values_file_says() -> None:
    """So that a host can copy any part of it."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    for path, leaf in leaves(load(SOURCE.read_text(encoding="utf-8"))):
        found = values
        for part in path.split("."):
            found = found[part]
        assert leaf["default"] == found, path


def objects(node: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Give each object of a schema, with its path."""
    if node.get("type") == "object":
        yield path, node
    for name, child in node.get("properties", {}).items():
        yield from objects(child, (*path, name))
    if "items" in node:
        yield from objects(node["items"], (*path, "[]"))


def test_every_object_is_closed() -> None:
    """Or a map whose values have a type; two are open, and say why."""
    whole = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    found = list(objects(whole))
    assert len(found) > 30
    for path, node in found:
        more = node["additionalProperties"]
        assert more is False or path in OPEN or {"type": "string"} == more, path


def test_every_value_has_words_and_a_type() -> None:
    """They become the comments and the table."""
    for path, leaf in leaves(load(SOURCE.read_text(encoding="utf-8"))):
        assert leaf["description"], path
        assert leaf["description"][0].isupper() or leaf["description"][0] == "`", path
        assert "type" in leaf, path


def test_a_definition_is_used_with_other_defaults() -> None:
    """Single values of it are overridden, the rest stays; the definition itself is not changed."""
    definitions = {
        "size": {"properties": {"a": {"type": "integer", "default": 1}, "b": {"type": "integer", "default": 2}}}
    }
    made = expand({"properties": {"x": {"use": "size", "default": {"b": 7}}, "y": {"use": "size"}}}, definitions)
    assert [("x.a", 1), ("x.b", 7), ("y.a", 1), ("y.b", 2)] == [(path, leaf["default"]) for path, leaf in leaves(made)]


def test_a_default_for_what_is_not_there_is_refused() -> None:
    """A slip of the pen in the source."""
    definitions = {"size": {"properties": {"a": {"type": "integer", "default": 1}}}}
    with pytest.raises(ValueError, match="not there: c"):
        expand({"use": "size", "default": {"c": 7}}, definitions)


def test_a_schema_says_what_json_schema_knows() -> None:
    """Our own words are left out; a map stays a map, an object of any kind is open."""
    node = {
        "properties": {
            "labels": {"type": "object", "additionalProperties": {"type": "string"}, "default": {}, "description": "L"},
            "any": {"type": "object", "open": True, "default": {}, "description": "A"},
            "list": {"type": "array", "items": {"type": "string"}, "default": [], "description": "I"},
        }
    }
    assert {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "labels": {"type": "object", "additionalProperties": {"type": "string"}, "description": "L"},
            "any": {"type": "object", "additionalProperties": True, "description": "A"},
            "list": {"type": "array", "items": {"type": "string"}, "description": "I"},
        },
    } == schema(node)
