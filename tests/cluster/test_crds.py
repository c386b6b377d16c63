"""The definitions on a real API server: it judges every spec as pydantic does, in the same sentences."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from pydantic import BaseModel, ValidationError

from ponton_operator.resources.account import OWNER, BridgeAccount
from ponton_operator.resources.base import NAME_SENTENCE
from ponton_operator.resources.crd import GROUP, KINDS, VERSION, crd, schema
from ponton_operator.resources.gateway import BridgeGateway
from ponton_operator.resources.rules import ASCENDING_TO_ALL, MEMORY_FITS, NAMES_UNIQUE, NETWORK
from tests.cluster.reach import Cluster, until
from tests.cluster.spec_makers import specs

EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "examples").glob("*.yaml"))
ENOUGH = 200  # specs of each kind
ACCOUNT: dict[str, Any] = {"owner": "alice@example.org", "gatewayRef": {"name": "wa"}}
GATEWAY: dict[str, Any] = yaml.safe_load((EXAMPLES[0].parent / "gateway.yaml").read_text())["spec"]
MODELS: dict[str, type[BaseModel]] = {"BridgeAccount": BridgeAccount, "BridgeGateway": BridgeGateway}
PLURAL = {kind.name: kind.plural for kind in KINDS}


@dataclass(frozen=True)
class Server:
    """The API server with our definitions, and a namespace."""

    cluster: Cluster
    api: kubernetes.client.CustomObjectsApi
    namespace: str

    def create(self, resource: dict[str, Any], *, dry: bool = True, validation: str = "Strict") -> dict[str, Any]:
        """Create a resource, or say only what would come of it. Raises ApiException."""
        made = self.api.create_namespaced_custom_object(
            *(GROUP, VERSION, self.namespace, PLURAL[resource["kind"]], resource),
            dry_run="All" if dry else None,
            field_validation=validation,
            _request_timeout=30,
        )
        assert isinstance(made, dict)
        return made

    def complaint(self, resource: dict[str, Any]) -> str:
        """Give what the server says against a resource, '' if it takes it."""
        try:
            self.create(resource)
        except kubernetes.client.ApiException as refused:
            if refused.status not in {400, 422}:
                raise
            return str(json.loads(refused.body or "{}")["message"])
        return ""

    def patch(self, resource: dict[str, Any], change: dict[str, Any]) -> None:
        """Merge a change into a resource. Raises ApiException."""
        self.api.patch_namespaced_custom_object(
            *(GROUP, VERSION, self.namespace, PLURAL[resource["kind"]], resource["metadata"]["name"], change),
            _request_timeout=30,
        )


@pytest.fixture(scope="module")
def server(api_cluster: Cluster) -> Iterator[Server]:
    """Install the definitions as they are checked in."""
    for kind in KINDS:
        api_cluster.apply(crd(kind))
        api_cluster.kubectl("wait", "--for=condition=Established", f"crd/{kind.plural}.{GROUP}", "--timeout=30s")
    client = kubernetes.config.new_client_from_config(str(api_cluster.kubeconfig))  # type: ignore[no-untyped-call]
    with api_cluster.namespace() as name, client:
        yield Server(api_cluster, kubernetes.client.CustomObjectsApi(client), name)


def resource(model: type[BaseModel], spec: object, name: str = "a") -> dict[str, Any]:
    """Make a resource as JSON."""
    head = {"apiVersion": f"{GROUP}/{VERSION}", "kind": model.__name__}
    return {**head, "metadata": {"name": name}, "spec": spec}


def told(made: dict[str, Any]) -> str:
    """Give what pydantic says against a resource, '' if it takes it."""
    try:
        MODELS[made["kind"]].model_validate(json.loads(json.dumps(made)), by_alias=True, by_name=False)
    except ValidationError as error:
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
    return ""


@pytest.mark.parametrize("model", [BridgeAccount, BridgeGateway], ids=lambda model: model.__name__)
def test_both_sides_judge_alike(server: Server, model: type[BaseModel]) -> None:
    """Of 200 specs, good and bent, the API server and pydantic accept and refuse the same."""
    verdicts: Counter[bool] = Counter()

    @settings(
        max_examples=ENOUGH,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(specs(schema(model)["properties"]["spec"]))
    def judge(spec: object) -> None:
        made = resource(model, spec)
        ours, theirs = told(made), server.complaint(made)
        verdicts[not theirs] += 1
        assert bool(theirs) == bool(ours), (
            f"server: {theirs or 'takes it'}\npydantic: {ours or 'takes it'}\n{spec!r:.2000}"
        )

    judge()
    assert ENOUGH // 5 <= min(verdicts[True], verdicts[False]), verdicts


@pytest.mark.parametrize("model", [BridgeAccount, BridgeGateway], ids=lambda model: model.__name__)
def test_both_sides_know_the_same_defaults(server: Server, model: type[BaseModel]) -> None:
    """What the server makes of the least that can be said is what pydantic makes of it."""
    made = resource(model, {BridgeAccount: ACCOUNT, BridgeGateway: GATEWAY}[model])
    whole = model.model_validate(made).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert without_empty(whole["spec"]) == without_empty(server.create(made)["spec"])


def without_empty(node: object) -> object:
    """Leave out empty maps, which say nothing."""
    return {k: without_empty(v) for k, v in node.items() if v != {}} if isinstance(node, dict) else node


def changed(spec: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Give a spec with one field changed."""
    head, _, rest = path.partition(".")
    return {**spec, head: changed(spec.get(head, {}), rest, value) if rest else value}


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("owner", "alice", OWNER.sentence),
        ("gatewayRef.name", "A", NAME_SENTENCE),
        ("domain", "Example.org", "write a host name in small letters, like chat.example.org"),
        ("shard.resources.cpuRequest", "1.5m", "write an amount of CPU like 20m, 0.5 or 2"),
        ("shard.storage.size", "100m", "write an amount of bytes like 96Mi or 1.5Gi"),
        ("shard.resources.memoryRequest", "257Mi", MEMORY_FITS.sentence),
        ("scaling.tiers", [{"name": "a", "memoryLimit": "1Mi"}], MEMORY_FITS.sentence),
        ("scaling.tiers", [{"name": "a"}, {"name": "a"}], NAMES_UNIQUE.sentence),
        ("rollout.wavePercents", [25, 5, 100], ASCENDING_TO_ALL.sentence),
        ("rollout.wavePercents", [5, 25], ASCENDING_TO_ALL.sentence),
        (
            "network.redis",
            {"cidr": "10.0.0.0/8", "podLabels": {}},
            "say either cidr, or podLabels and/or namespaceLabels",
        ),
        ("network.redis", {}, "say either cidr, or podLabels and/or namespaceLabels"),
        ("network.blocked", ["10.0.0.1/8"], NETWORK.sentence),
        ("shard.nodeSelector", {"a b": ""}, "write the name of a label like app or example.org/app"),
    ],
)
def test_what_is_wrong_is_said_in_the_same_sentence(server: Server, path: str, value: object, sentence: str) -> None:
    """Whoever breaks a rule reads its sentence from either side, with the field's place."""
    model: type[BaseModel] = BridgeAccount if path.startswith(("owner", "gatewayRef")) else BridgeGateway
    made = resource(model, changed(ACCOUNT if model is BridgeAccount else GATEWAY, path, value))
    for complaint in (server.complaint(made), told(made)):
        assert sentence in complaint
        assert path.split(".", maxsplit=1)[0] in complaint


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"owner": "bob@example.org"},
            "the owner cannot be changed: delete the account and make one for the new owner",
        ),
        (
            {"gatewayRef": {"name": "other"}},
            "the gateway cannot be changed: delete the account and make one at the new gateway",
        ),
        ({"domain": "b.example.org"}, "the domain cannot be changed: make another gateway for another domain"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_identifies_cannot_be_changed(server: Server, change: dict[str, Any], sentence: str) -> None:
    """Owner, gateway and domain stay as they were made; the rest may change."""
    model: type[BaseModel] = BridgeGateway if "domain" in change else BridgeAccount
    made = resource(model, GATEWAY if "domain" in change else ACCOUNT, f"fixed-{next(iter(change)).lower()}")
    server.create(made, dry=False)
    with pytest.raises(kubernetes.client.ApiException) as refused:
        server.patch(made, {"spec": change})
    assert 422 == refused.value.status
    assert sentence in json.loads(refused.value.body or "{}")["message"]
    server.patch(made, {"spec": {"rollout": {"paused": True}} if model is BridgeGateway else {"desired": "Parked"}})


@pytest.mark.parametrize("spec", [None, [], {}, "x", 1], ids=str)
def test_a_spec_has_to_be_one(server: Server, spec: object) -> None:
    """What is no spec at all is refused by both."""
    made = resource(BridgeAccount, spec)
    assert all((server.complaint(made), told(made)))


@pytest.mark.parametrize("name", ["A", "a.b", "a" * 64])
def test_a_name_is_a_label(server: Server, name: str) -> None:
    """Names that are no label are refused by both, though Kubernetes itself would take some."""
    made = resource(BridgeAccount, ACCOUNT, name)
    assert all((server.complaint(made), told(made)))


@pytest.mark.parametrize("file", EXAMPLES, ids=[file.stem for file in EXAMPLES])
def test_every_example_is_taken(server: Server, file: Path) -> None:
    """Each example of docs/ is taken as it stands, strictly."""
    server.cluster.kubectl("apply", "-n", server.namespace, "--dry-run=server", "-f", str(file))
    assert "" == server.complaint(yaml.safe_load(file.read_text()))


def test_a_server_that_is_not_strict_drops_unknown_fields(server: Server) -> None:
    """The one difference, which docs/resources.md tells."""
    made = resource(BridgeAccount, {**ACCOUNT, "unknown": 1})
    assert "unknown" in server.complaint(made)
    assert "unknown" not in server.create(made, validation="Ignore")["spec"]


def test_a_status_is_written_apart(server: Server) -> None:
    """A status given at creation is dropped; by its own subresource it is written, and shows in the columns."""
    status = {
        "phase": "Running",
        "reason": "Connected",
        "paired": True,
        "epoch": 1_800_000_000_000,
        "scaling": {"tier": "small"},
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Connected", "lastTransitionTime": "2026-11-29T00:00:00Z"}
        ],
    }
    made = resource(BridgeAccount, {**ACCOUNT, "owner": "shown@example.org"}, "shown")
    assert "status" not in server.create({**made, "status": status}, dry=False)
    server.api.patch_namespaced_custom_object_status(
        GROUP, VERSION, server.namespace, "bridgeaccounts", "shown", {"status": status}, _request_timeout=30
    )
    lines = server.cluster.kubectl("get", "ba", "shown", "-n", server.namespace, "-o", "wide").splitlines()
    assert ["NAME", "OWNER", "PHASE", "PAIRED", "READY", "REASON", "AGE", "EPOCH", "TIER"] == lines[0].split()
    shown = lines[1].split()
    assert ["shown", "shown@example.org", "Running", "true", "True", "Connected"] == shown[:6]
    assert ["1800000000000", "small"] == shown[7:]
    found = server.cluster.get("ba", "shown", "-n", server.namespace)
    assert status["epoch"] == BridgeAccount.model_validate(found).status.epoch


def test_kubectl_knows_the_short_names(server: Server) -> None:
    """`kubectl get ponton` lists both kinds, `bg` has its columns, and `explain` tells what a field means."""
    for model, spec in ((BridgeAccount, ACCOUNT), (BridgeGateway, GATEWAY)):
        server.create(resource(model, spec, "listed"), dry=False)
    listed = server.cluster.kubectl("get", "ponton", "-n", server.namespace, "-o", "name").split()
    assert {"bridgeaccount.ponton.im/listed", "bridgegateway.ponton.im/listed"} <= set(listed)
    head = server.cluster.kubectl("get", "bg", "-n", server.namespace).splitlines()[0]
    assert ["NAME", "DOMAIN", "ACCOUNTS", "RUNNING", "PAIRED", "READY", "ACCEPTED", "AGE"] == head.split()
    explained = server.cluster.kubectl("explain", "bg.spec.rollout.maxPairingsLost")
    assert "Restarted accounts that may lose their link" in explained


def test_the_schema_is_structural_to_the_server(server: Server) -> None:
    """The server has nothing to say against the definitions, and publishes them."""
    for kind in KINDS:
        name = f"{kind.plural}.{GROUP}"
        conditions = {c["type"]: c["status"] for c in server.cluster.get("crd", name)["status"]["conditions"]}
        assert {"NamesAccepted": "True", "Established": "True"} == conditions
    until(
        "our kinds in the server's OpenAPI",
        lambda: "im.ponton.v1alpha1.BridgeGateway" in server.cluster.kubectl("get", "--raw", "/openapi/v2"),
        30,
    )
