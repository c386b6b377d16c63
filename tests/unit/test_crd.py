"""The definitions: fresh, structural, whole, and taken by Kubernetes' own schema; the page and the examples."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from pydantic import BaseModel, Field

from ponton_bridge.cli import main
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.crd import KINDS, Kind, crd, schema, structural
from ponton_operator.resources.gateway import BridgeGateway
from ponton_operator.resources.rules import KEYWORD
from ponton_operator.resources.yamlfile import dump, load
from tests.tools.resources_doc import PAGE, page

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "crds"
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.yaml"))
MODELS: dict[str, type[BaseModel]] = {"BridgeAccount": BridgeAccount, "BridgeGateway": BridgeGateway}
# Words that a structural schema may not have, or not beside properties.
FORBIDDEN = {"$ref", "$defs", "allOf", "anyOf", "oneOf", "not", "const", "title", "pattern", "nullable", "examples"}
FORBIDDEN |= {"if", "then", "else", "definitions", "patternProperties", "additionalItems", "discriminator"}
by_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk over all nodes of a structural schema, with their places."""
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if word in node:
            yield from nodes(node[word], f"{path}[]")


def test_the_definitions_are_fresh() -> None:
    """crds/ is what the models say: run `ponton crds --write crds` after a change."""
    assert 0 == main(["crds", "--check", str(CRDS)])
    assert {kind.file for kind in KINDS} == {file.name for file in CRDS.iterdir()}


def test_what_is_not_fresh_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is missing or differs is named; writing makes it right."""
    assert 1 == main(["crds", "--check", str(tmp_path)])
    assert ["is missing."] * 2 == [line.partition(" ")[2] for line in capsys.readouterr().err.splitlines()]
    assert 0 == main(["crds", "--write", str(tmp_path)])
    assert 0 == main(["crds", "--check", str(tmp_path)])
    file = tmp_path / KINDS[0].file
    file.write_text(file.read_text().replace("maxLength: 2047", "maxLength: 2048"))
    assert 1 == main(["crds", "--check", str(tmp_path)])
    assert KINDS[0].file in capsys.readouterr().err


def test_what_cannot_be_read_or_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is none and a file that is no text end with a sentence, and two orders at once with the usage."""
    assert 78 == main(["crds", "--write", str(tmp_path / "nowhere")])
    assert "No such file or directory." in capsys.readouterr().err
    (tmp_path / KINDS[0].file).write_bytes(b"\xff")
    assert 78 == main(["crds", "--check", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main(["crds", "--check", "a", "--write", "b"])
    assert 64 == ended.value.code


def test_all_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Without an order both are printed as one stream of YAML."""
    assert 0 == main(["crds"])
    assert [crd(kind) for kind in KINDS] == list(yaml.safe_load_all(capsys.readouterr().out))


@by_kind
def test_kubernetes_takes_the_definition(kind: Kind) -> None:
    """The object is a CustomResourceDefinition after Kubernetes' own schema, strictly."""
    kubernetes_validate.validate(copy.deepcopy(crd(kind)), kubernetes_validate.latest_version(), strict=True)


@by_kind
def test_the_schema_is_structural(kind: Kind) -> None:
    """Every node has a type, and no word stands where a structural schema has none."""
    for path, node in nodes(schema(kind.model)):
        assert "type" in node, path
        assert set() == node.keys() & FORBIDDEN, path
        assert {"properties", "additionalProperties"} - node.keys(), path


@by_kind
def test_everything_in_a_spec_is_bounded(kind: Kind) -> None:
    """Texts, numbers, lists and maps of people have a greatest size: the cost of rules is counted by it."""
    bounds = {"string": "maxLength", "integer": "maximum", "array": "maxItems"}
    for path, node in nodes(schema(kind.model)["properties"]["spec"]):
        if "enum" not in node and node["type"] in bounds:
            assert bounds[node["type"]] in node, path
        if "additionalProperties" in node:
            assert "maxProperties" in node, path


@by_kind
def test_every_field_is_explained(kind: Kind) -> None:
    """Whoever asks `kubectl explain` gets a sentence for every field of ours."""
    made = schema(kind.model)
    for part in ("spec", "status"):
        for path, node in nodes(made["properties"][part], f".{part}"):
            if not path.endswith("[]") and not path.endswith("tiers[].name"):
                assert re.fullmatch(r"[^\n].*[.)]", node.get("description", ""), re.DOTALL), path
    assert made["description"].endswith(".")


@by_kind
def test_every_column_shows_a_field(kind: Kind) -> None:
    """A column's path leads to a field of the schema, of the column's type."""
    for column in kind.columns:
        node: dict[str, Any] = schema(kind.model)
        if column.path == ".metadata.creationTimestamp":
            continue
        for part in re.sub(r"\[.*?\]", "", column.path).strip(".").split("."):
            node = node.get("items", node)["properties"][part]
        assert column.type == node["type"], column


@by_kind
def test_names_are_those_that_people_type(kind: Kind) -> None:
    """Short name, category, status apart; nothing selects by a field, since fields hold addresses."""
    spec = crd(kind)["spec"]
    (version,) = spec["versions"]
    assert ("Namespaced", {"status": {}}) == (spec["scope"], version["subresources"])
    assert ([kind.short], ["ponton"]) == (spec["names"]["shortNames"], spec["names"]["categories"])
    assert "selectableFields" not in version
    assert ["Age"] == [column.name for column in kind.columns if column.type == "date"]


@by_kind
def test_the_identity_cannot_be_changed(kind: Kind) -> None:
    """Owner, gateway and domain are compared with what was before."""
    held = {path for path, node in nodes(schema(kind.model)) if "oldSelf" in str(node.get(KEYWORD, ""))}
    assert held == {"BridgeAccount": {".spec.owner", ".spec.gatewayRef"}, "BridgeGateway": {".spec.domain"}}[kind.name]


@by_kind
def test_lists_with_keys_are_maps(kind: Kind) -> None:
    """Conditions by type and tiers by name: two who apply different ones do not overwrite each other."""
    maps = {p: n["x-kubernetes-list-map-keys"] for p, n in nodes(schema(kind.model)) if "x-kubernetes-list-type" in n}
    tiers = {".spec.scaling.tiers": ["name"]} if kind.name == "BridgeGateway" else {}
    assert maps == {".status.conditions": ["type"], **tiers}


@by_kind
def test_nothing_is_defaulted_into_a_status(kind: Kind) -> None:
    """A resource has no status until somebody writes one; objects of the spec fill themselves."""
    made = schema(kind.model)
    assert "default" not in made["properties"]["status"]
    assert {"spec"} == set(made["required"])
    for path, node in nodes(made):
        assert not (isinstance(node.get("default"), dict) and node["default"]), path


def test_what_a_definition_cannot_say_is_refused() -> None:
    """A model that would lose something on the way fails here, not at a host."""

    class Unsayable(BaseModel):
        number: float = Field(multiple_of=0.5)

    with pytest.raises(TypeError, match="cannot say multipleOf"):
        structural(Unsayable.model_json_schema(), {})


@pytest.mark.parametrize("file", EXAMPLES, ids=[file.stem for file in EXAMPLES])
def test_every_example_is_good(file: Path) -> None:
    """Each is taken as it stands."""
    text = file.read_text(encoding="utf-8")
    model = MODELS[yaml.safe_load(text)["kind"]]
    made = load(model, text)
    assert made == load(model, dump(made))


def test_the_full_example_says_everything() -> None:
    """Every field of a gateway's spec stands in it."""
    spec = yaml.safe_load((ROOT / "docs" / "examples" / "gateway-full.yaml").read_text())["spec"]
    missing = []
    for path, _ in nodes(schema(BridgeGateway)["properties"]["spec"]):
        if "[]" in path or (path.startswith(".network.") and path.count(".") > 2):
            continue
        node: Any = spec
        for part in path.strip(".").split(".") if path else []:
            node = node.get(part, {}) if isinstance(node, dict) else {}
        if node == {}:
            missing.append(path)
    assert [] == missing


def test_the_page_of_resources_is_fresh() -> None:
    """docs/resources.md is what the models say: run `python -m tests.tools.resources_doc` after a change."""
    assert page() == PAGE.read_text(encoding="utf-8")


def test_the_page_leads_somewhere() -> None:
    """Every link of the page leads to a file, or to a heading in it."""
    text = PAGE.read_text(encoding="utf-8")
    headings = {heading.lower() for heading in re.findall(r"^#+ (\w+)$", text, re.MULTILINE)}
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert link[1:] in headings if link.startswith("#") else (PAGE.parent / link).exists(), link
