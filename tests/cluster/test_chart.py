"""The chart as Helm renders it: what every pod may, what each program may, what is kept secret, and what is refused."""

import base64
import re
from typing import Any

import pytest

from ponton_operator.programs import crds
from ponton_operator.programs.uninstall import read_arguments
from ponton_operator.resources.gateway import BridgeGateway
from tests.cluster.chart_kit import (
    CHART,
    EVERYTHING,
    NAMESPACE,
    Object,
    Refused,
    containers,
    helm,
    named,
    of_kind,
    pods,
    render,
    sandbox_gateway,
    selects,
)
from tests.cluster.operator_kit import rights

OPERATORS = ("accounts", "gateways", "scaler")


@pytest.fixture(scope="module")
def everything() -> list[Object]:
    """All that the chart can make."""
    return render(EVERYTHING)


@pytest.fixture(scope="module")
def default() -> list[Object]:
    """What it makes when nobody says anything."""
    return render()


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["default", "everything"])
def test_helm_finds_no_fault(values: dict[str, Any]) -> None:
    """As a host would check it, warnings count."""
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), values=values)


def test_every_pod_is_restricted(everything: list[Object]) -> None:
    """Pod Security "restricted", a read-only root, and nobody's user."""
    seen = dict(pods(everything))
    assert {
        "wa-ponton-accounts",
        "wa-ponton-redis",
        "wa-ponton-xmpp",
        "wa-ponton-sandbox",
        "wa-ponton-uninstall",
    } < set(seen)
    for name, pod in seen.items():
        security = pod["spec"]["securityContext"]
        assert (True, 65532, "RuntimeDefault") == (
            security["runAsNonRoot"],
            security["runAsUser"],
            security["seccompProfile"]["type"],
        ), name
        assert not any(pod["spec"].get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), name
        assert not any("hostPath" in volume for volume in pod["spec"]["volumes"]), name
        for container in containers(pod):
            assert {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            } == container["securityContext"], name


def test_every_container_says_what_it_needs_and_takes(everything: list[Object]) -> None:
    """Requests of both kinds and a limit of memory; none of the processor, which would only make it late."""
    for name, pod in pods(everything):
        for container in containers(pod):
            assert {"cpu", "memory"} == set(container["resources"]["requests"]), name
            assert {"memory"} == set(container["resources"]["limits"]), name


def test_a_token_of_the_api_is_where_it_is_used_only(everything: list[Object]) -> None:
    """In operators and hook; never by default of a service account."""
    mounted = {name for name, pod in pods(everything) if pod["spec"]["automountServiceAccountToken"]}
    assert {f"wa-ponton-{name}" for name in (*OPERATORS, "install", "uninstall")} == mounted
    assert all(not account["automountServiceAccountToken"] for account in of_kind(everything, "ServiceAccount"))
    assert all(not pod["spec"]["enableServiceLinks"] for _, pod in pods(everything))


def test_no_right_is_a_wildcard(everything: list[Object]) -> None:
    """Neither a verb nor a kind nor a group."""
    for role in of_kind(everything, "Role", "ClusterRole"):
        for rule in role["rules"]:
            said = [word for key in ("apiGroups", "resources", "verbs", "resourceNames") for word in rule.get(key, [])]
            assert not any("*" in word for word in said), role["metadata"]["name"]


def test_secrets_are_reached_in_the_namespaces_that_are_served_only(everything: list[Object]) -> None:
    """What holds in the whole cluster is never bound to a right on secrets, and no right on pods."""
    for role in of_kind(everything, "ClusterRole"):
        resources = {word for rule in role["rules"] for word in rule["resources"]}
        assert not resources & {"secrets", "pods", "configmaps"}
    assert {"bridges", "bridges-b"} == {role["metadata"]["namespace"] for role in of_kind(everything, "Role")}


def said(rules: list[Object]) -> set[tuple[str, str, str]]:
    """Give group, resource and verb of all that is allowed."""
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize("nodes", [True, False])
def test_what_holds_in_the_whole_cluster_is_listed_here(nodes: bool) -> None:  # noqa: FBT001  # a case
    """All of it, for the accounts operator alone (adr/0009): an account is reached by its name, and none is listed."""
    objects = render({**EVERYTHING, "operators": {"watchNodes": nodes}})
    (binding,) = of_kind(objects, "ClusterRoleBinding")
    assert [{"kind": "ServiceAccount", "name": "wa-ponton-accounts", "namespace": NAMESPACE}] == binding["subjects"]
    always = {
        ("ponton.im", "bridgeaccounts", "get"),
        ("ponton.im", "bridgeaccounts", "patch"),
        ("", "namespaces", "get"),
    }
    asked = {("", "nodes", "list"), ("", "nodes", "watch")} if nodes else set()
    assert always | asked == said(named(objects, "ClusterRole", binding["roleRef"]["name"])["rules"])
    assert 2 == len(of_kind(objects, "ClusterRole"))  # the other one is the front desks', bound in namespaces only


@pytest.mark.parametrize("name", ["accounts", "gateways"])
def test_an_operator_has_the_rights_of_its_page_and_no_more(everything: list[Object], name: str) -> None:
    """In a namespace that it serves, and in the cluster; with these its program is tried on an API server."""
    inside, outside = rights(f"The {name} operator")
    assert said(inside) == said(named(everything, "Role", f"wa-ponton-{name}")["rules"])
    bound = [
        one["roleRef"]["name"]
        for one in of_kind(everything, "ClusterRoleBinding")
        if {f"wa-ponton-{name}"} == {who["name"] for who in one["subjects"]}
    ]
    assert said(outside) == {found for role in bound for found in said(named(everything, "ClusterRole", role)["rules"])}


@pytest.mark.parametrize("heading", ["The front desk on a cluster", "The portal on a cluster"])
def test_the_doors_role_is_what_their_pages_list(everything: list[Object], heading: str) -> None:
    """One role for both, bound by the gateways operator; the front desk's own Lease is in a Role that it makes."""
    inside, outside = rights(heading)
    assert [] == outside
    assert said(inside) == said(named(everything, "ClusterRole", f"{NAMESPACE}-wa-ponton-frontdesk")["rules"])


@pytest.mark.parametrize("name", OPERATORS)
def test_each_operator_has_its_own_account_rights_and_lease(everything: list[Object], name: str) -> None:
    """In each namespace, bound to itself alone; the Lease is its own one."""
    full = f"wa-ponton-{name}"
    assert full == named(everything, "Deployment", full)["spec"]["template"]["spec"]["serviceAccountName"]
    bindings = [one for one in of_kind(everything, "RoleBinding") if {full} == {who["name"] for who in one["subjects"]}]
    assert {(full, "bridges"), (full, "bridges-b"), (f"{full}-lease", "bridges")} == {
        (one["roleRef"]["name"], one["metadata"]["namespace"]) for one in bindings
    }
    assert {NAMESPACE} == {who["namespace"] for one in bindings for who in one["subjects"]}
    lease = named(everything, "Role", f"{full}-lease")["rules"]
    assert [f"ponton-operator-{name}"] == next(rule["resourceNames"] for rule in lease if "update" in rule["verbs"])


def test_the_scaler_only_reads_but_for_its_part_of_the_status(everything: list[Object]) -> None:
    """It makes and removes nothing."""
    rules = named(everything, "Role", "wa-ponton-scaler")["rules"]
    assert {"get", "list", "watch", "patch"} == {verb for rule in rules for verb in rule["verbs"]}
    patched = {word for rule in rules if "patch" in rule["verbs"] for word in rule["resources"]}
    assert "bridgeaccounts/status" in patched
    assert "bridgeaccounts" not in patched


def test_what_is_secret_is_in_secrets_alone(everything: list[Object]) -> None:
    """In no environment, argument, ConfigMap or annotation; a pod gets it as a file."""
    values: set[str] = set()
    for secret in of_kind(everything, "Secret"):
        values |= set(secret.get("stringData", {}).values())
        values |= {base64.b64decode(text).decode() for key, text in secret.get("data", {}).items() if key == "tls.key"}
    assert len(values) > 5
    rest = str([found for found in everything if found["kind"] != "Secret"])
    assert not any(value in rest for value in values)
    for name, pod in pods(everything):
        for container in containers(pod):
            assert not any("secretKeyRef" in str(entry) for entry in container.get("env", [])), name
            assert "envFrom" not in container


def test_two_renderings_have_different_secrets() -> None:
    """They are made at random, and none is written in the chart."""
    first, second = (named(render(EVERYTHING), "Secret", "wa-ponton-redis")["stringData"]["password"] for _ in "ab")
    assert first != second
    assert re.fullmatch(r"[A-Za-z0-9]{40}", first)


EXISTING = {
    **EVERYTHING,
    "redis": {"enabled": True, "existingSecret": "my-redis"},
    "prosody": {"enabled": True, "existingSecret": "my-xmpp", "tlsSecret": "my-tls", "usersSecret": "my-users"},
}


def test_existing_secrets_are_used_and_none_is_made() -> None:
    """By the pods and by the demo's gateway."""
    objects = render(EXISTING)
    assert [] == of_kind(objects, "Secret")
    mounted = {
        volume["secret"]["secretName"]
        for _, pod in pods(objects)
        for volume in pod["spec"]["volumes"]
        if "secret" in volume
    }
    assert {"my-redis", "my-xmpp", "my-tls", "my-users"} == mounted
    gateway = sandbox_gateway(objects)
    assert {"my-redis", "my-xmpp", "my-tls"} == set(re.findall(r"my-[a-z]+", str(gateway)))


def test_every_pod_is_denied_everything_first(everything: list[Object]) -> None:
    """By one policy that takes all pods of the chart and allows nothing; the others add what is needed."""
    policies = of_kind(everything, "NetworkPolicy")
    deny = named(everything, "NetworkPolicy", "wa-ponton-deny")["spec"]
    assert {"podSelector", "policyTypes"} == set(deny)
    assert ["Ingress", "Egress"] == deny["policyTypes"]
    for name, pod in pods(everything):
        assert selects(deny["podSelector"], pod["metadata"]["labels"]), name
    assert all("ponton" in str(policy["spec"]["podSelector"]) for policy in policies)


def test_redis_is_reached_by_ours_only(everything: list[Object]) -> None:
    """Pods of gateways in the served namespaces, and the operators; it reaches nobody."""
    spec = named(everything, "NetworkPolicy", "wa-ponton-redis")["spec"]
    ((ports, peers),) = [(rule["ports"], rule["from"]) for rule in spec["ingress"]]
    assert [{"protocol": "TCP", "port": 6379}] == ports
    assert {"app.kubernetes.io/managed-by": "ponton"} == peers[0]["podSelector"]["matchLabels"]
    assert ["bridges", "bridges-b"] == peers[0]["namespaceSelector"]["matchExpressions"][0]["values"]
    assert "egress" not in spec


def test_addresses_that_are_known_close_the_way_to_all_others() -> None:
    """Without them any address will do, on a few ports."""
    policies = {"apiServerCidrs": ["192.0.2.1/32"], "servers": ["192.0.2.0/28"]}
    open_, closed = (
        named(render({"networkPolicies": values}), "NetworkPolicy", "wa-ponton-operators")["spec"]["egress"]
        for values in ({}, policies)
    )
    assert [True, False, False] == ["to" in rule for rule in open_]
    assert [True, True, True] == ["to" in rule for rule in closed]
    assert [{"ipBlock": {"cidr": "192.0.2.1/32"}}] == closed[1]["to"]


def test_policies_can_be_left_out() -> None:
    """For a host who has others."""
    assert [] == of_kind(render({"networkPolicies": {"create": False}}), "NetworkPolicy")


def test_budgets_are_for_operators_and_redis_and_never_for_shards(everything: list[Object]) -> None:
    """A shard is not kept on a node by a budget: it drains and starts elsewhere."""
    budgets = of_kind(everything, "PodDisruptionBudget")
    assert {f"wa-ponton-{name}" for name in (*OPERATORS, "redis")} == {one["metadata"]["name"] for one in budgets}
    shard = {"app.kubernetes.io/managed-by": "ponton", "app.kubernetes.io/component": "shard"}
    assert not any(selects(one["spec"]["selector"], shard) for one in budgets)


def test_shards_give_way_to_what_runs_them(everything: list[Object]) -> None:
    """When a cluster is full."""
    control, shards = (
        named(everything, "PriorityClass", f"bridges-wa-ponton-{name}")["value"] for name in ("control", "shards")
    )
    assert control > shards
    assert (
        "bridges-wa-ponton-control"
        == named(everything, "Deployment", "wa-ponton-accounts")["spec"]["template"]["spec"]["priorityClassName"]
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"redis": {"enable": True}}, ["redis", "enable"]),
        ({"operators": {"accounts": {"replica": 3}}}, ["operators/accounts", "replica"]),
        ({"operators": {"accounts": {"replicas": 0}}}, ["operators/accounts/replicas", "0"]),
        ({"redis": {"storage": {"size": "1 GB"}}}, ["redis/storage/size", "1 GB"]),
        ({"images": {"bridge": {"pullPolicy": "always"}}}, ["images/bridge/pullPolicy"]),
        ({"prosody": {"domain": "Example.Org"}}, ["prosody/domain"]),
        ({"sandbx": {}}, ["sandbx"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else str(value)[:40],
)
def test_a_slip_of_the_pen_is_refused_where_it_stands(values: dict[str, Any], words: list[str]) -> None:
    """Every object of the values is closed; the message has the path."""
    with pytest.raises(Refused) as refused:
        render(values)
    assert all(word in str(refused.value) for word in words), str(refused.value)


def test_the_sandbox_is_never_there_unasked(default: list[Object]) -> None:
    """No image of it, no gateway, no Prosody, no Redis."""
    assert "sandbox" not in str(default).replace("runAsNonRoot", "")
    assert [] == of_kind(default, "BridgeGateway", "StatefulSet", "Secret")
    assert 3 == len(of_kind(default, "Deployment"))


@pytest.mark.parametrize("lacking", ["redis", "prosody"])
def test_the_sandbox_needs_the_bundled_servers(lacking: str) -> None:
    """And says so in a sentence."""
    with pytest.raises(Refused, match=r"sandbox\.enabled needs redis\.enabled=true and prosody\.enabled=true"):
        render({**EVERYTHING, lacking: {"enabled": False}})


def test_the_gateway_of_the_sandbox_is_one(everything: list[Object]) -> None:
    """The model takes it; its shards run the sandbox's image, go through the sandbox, and nothing else does."""
    gateway = BridgeGateway.model_validate(sandbox_gateway(everything))
    assert "sandbox.example.test" == gateway.spec.domain
    assert "registry.example.org/ponton/ponton-sandbox:0.1.0" == gateway.spec.shard.image
    assert "http://wa-ponton-sandbox.bridges.svc:8080" == gateway.spec.shard.egress.proxy
    users = {name for name, pod in pods(everything) if "ponton-sandbox" in pod["spec"]["containers"][0]["image"]}
    assert {"wa-ponton-sandbox"} == users
    assert "bridges-wa-ponton-shards" == gateway.spec.shard.priority_class_name


def test_the_page_of_the_sandbox_is_where_the_host_says() -> None:
    """For a forwarded port by default; or there is none."""

    def page(**sandbox: str) -> str:
        made = sandbox_gateway(render({**EVERYTHING, "sandbox": {"enabled": True, **sandbox}}))
        portal = BridgeGateway.model_validate(made).spec.selfservice.portal
        return portal.url if portal else ""

    assert ["http://127.0.0.1:8480", "https://example.org:8443", ""] == [
        page(), page(portalUrl="https://example.org:8443"), page(portalUrl=""),
    ]  # fmt: skip


def test_prometheus_reads_operators_and_pages(everything: list[Object]) -> None:
    """The pages in every namespace that is served; a gateway's other pods have nothing for it."""
    operators, pages = (named(everything, "PodMonitor", name)["spec"] for name in ("wa-ponton", "wa-ponton-portals"))
    for name in OPERATORS:
        labels = named(everything, "Deployment", f"wa-ponton-{name}")["spec"]["template"]["metadata"]["labels"]
        assert (True, False) == (selects(operators["selector"], labels), selects(pages["selector"], labels))
    assert ["bridges", "bridges-b"] == pages["namespaceSelector"]["matchNames"]
    door = {"app.kubernetes.io/managed-by": "ponton", "app.kubernetes.io/component": "portal"}
    assert selects(pages["selector"], door)
    assert not selects(pages["selector"], door | {"app.kubernetes.io/component": "shard"})


def test_a_gateway_comes_after_its_kind(everything: list[Object]) -> None:
    """Helm knows the kind only when it is there already, so a Job makes it, that may do nothing else."""
    assert [] == of_kind(everything, "BridgeGateway")
    job = named(everything, "Job", "wa-ponton-install")
    told = crds.parser().parse_args(job["spec"]["template"]["spec"]["containers"][0]["args"][1:])
    assert (60.0, "/etc/ponton/gateway.json") == (told.wait, str(told.apply))
    assert "post-install,post-upgrade" == job["metadata"]["annotations"]["helm.sh/hook"]
    (rule,) = named(everything, "Role", "wa-ponton-install")["rules"]
    name = sandbox_gateway(everything)["metadata"]["name"]
    assert (["bridgegateways"], [name], ["create", "patch"]) == (
        rule["resources"],
        rule["resourceNames"],
        rule["verbs"],
    )


def test_the_definitions_are_installed_and_kept(default: list[Object]) -> None:
    """With accounts and all; or left to whoever installs them."""
    found = of_kind(default, "CustomResourceDefinition")
    assert {"bridgeaccounts.ponton.im", "bridgegateways.ponton.im"} == {one["metadata"]["name"] for one in found}
    assert {"keep"} == {one["metadata"]["annotations"]["helm.sh/resource-policy"] for one in found}
    assert [] == of_kind(render({"crds": {"install": False}}), "CustomResourceDefinition")


def test_uninstalling_runs_our_program_first(everything: list[Object]) -> None:
    """With its own account; the program takes the arguments, and may do what they ask for."""
    job = named(everything, "Job", "wa-ponton-uninstall")
    assert "pre-delete" == job["metadata"]["annotations"]["helm.sh/hook"]
    spec = job["spec"]["template"]["spec"]
    assert "wa-ponton-uninstall" == spec["serviceAccountName"]
    name, *arguments = spec["containers"][0]["args"]
    wanted = read_arguments(arguments)
    assert ("uninstall", ("bridges", "bridges-b"), "bridges", 0.0) == (
        name,
        wanted.namespaces,
        wanted.home,
        wanted.seconds,
    )
    deployments = {one["metadata"]["name"] for one in of_kind(everything, "Deployment")}
    assert set(wanted.operators) == deployments - {"wa-ponton-sandbox"}
    roles = [one for one in of_kind(everything, "Role") if one["metadata"]["name"] == "wa-ponton-uninstall"]
    assert {"bridges", "bridges-b"} == {one["metadata"]["namespace"] for one in roles}
    assert all("pre-delete" == one["metadata"]["annotations"]["helm.sh/hook"] for one in roles)
    (scale,) = [rule for one in roles for rule in one["rules"] if "deployments/scale" in rule["resources"]]
    assert sorted(wanted.operators) == sorted(scale["resourceNames"])


def test_unlinking_is_asked_for() -> None:
    """And has its time."""
    job = named(render({"uninstall": {"unlink": True, "deadlineSeconds": 60}}), "Job", "wa-ponton-uninstall")
    assert 60.0 == read_arguments(job["spec"]["template"]["spec"]["containers"][0]["args"][1:]).seconds
    assert 660 == job["spec"]["activeDeadlineSeconds"]
    assert [] == of_kind(render({"uninstall": {"hook": False}}), "Job")


def test_images_come_from_one_registry(everything: list[Object]) -> None:
    """Ours; a digest counts before a tag, and Redis is named in full."""
    images = {name: pod["spec"]["containers"][0]["image"] for name, pod in pods(everything)}
    assert "registry.example.org/ponton/ponton-operator:0.1.0" == images["wa-ponton-accounts"]
    assert "docker.io/library/redis:7.2-bookworm" == images["wa-ponton-redis"]
    assert all([{"name": "pull"}] == pod["spec"]["imagePullSecrets"] for _, pod in pods(everything))
    digest = "sha256:" + "ab" * 32
    pinned = render({"images": {"bridge": {"digest": digest, "tag": "1"}}})
    env = named(pinned, "Deployment", "wa-ponton-accounts")["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "PONTON_SHARD_IMAGE", "value": f"ponton-bridge@{digest}"} in env


def test_further_objects_are_templates() -> None:
    """And part of the release."""
    more = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-mine"}}
    assert "wa-mine" == named(render({"extraObjects": [more]}), "ConfigMap", "wa-mine")["metadata"]["name"]


def test_names_fit_however_long_the_release_is() -> None:
    """63 characters, also with what Kubernetes adds to the names of pods."""
    objects = render(EVERYTHING, release="a-release-with-a-name-that-is-really-much-too-long")
    assert max(len(found["metadata"]["name"]) for found in of_kind(objects, "Deployment", "StatefulSet", "Job")) <= 52


def test_rules_name_the_pages_where_a_host_has_put_them() -> None:
    """By default the path in the repository, with a URL a link."""
    for url, first in (
        ("", "docs/runbooks/"),
        ("https://example.org/runbooks/", "https://example.org/runbooks/Ponton"),
    ):
        (rules,) = of_kind(render({"metrics": {"rules": {"create": True, "runbookUrl": url}}}), "PrometheusRule")
        pages = [rule["annotations"]["runbook_url"] for group in rules["spec"]["groups"] for rule in group["rules"]]
        assert len(pages) == len([page for page in pages if page.startswith(first)])


def test_labels_of_the_host_are_on_every_object() -> None:
    """But for what its own chart of extra objects makes."""
    objects = render({**EVERYTHING, "labels": {"team": "messaging"}})
    assert {"messaging"} == {found["metadata"]["labels"]["team"] for found in objects}
