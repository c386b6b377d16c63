"""The pure parts of the cluster in a box: go.mod, build stamps, command lines, volumes, images, the audit log."""

import io
import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from tests.cluster.box import audit, build, cgroups, claims, gomod, leftovers, node, objects, oci, programs, volumes
from tests.cluster.box.api import Object
from tests.cluster.box.layout import API_SERVICE, NODE_ADDRESS, Folder, Options

FOLDER = Folder(Path("/tmp/ponton-box-x"))  # noqa: S108 - never made
UPSTREAM = """module k8s.io/kubernetes

go 1.24.0

godebug default=go1.24

require (
\tgo.etcd.io/etcd/api/v3 v3.6.4
)

replace (
\tk8s.io/api => ./staging/src/k8s.io/api
\tk8s.io/kubectl => ./staging/src/k8s.io/kubectl
)
"""


def test_go_mod_replaces_every_module_of_kubernetes_by_its_release() -> None:
    """Language version and settings are copied, etcd's server gets the version of its client."""
    made = gomod.go_mod(UPSTREAM, "v1.34.4")
    assert "\tk8s.io/api => k8s.io/api v0.34.4\n\tk8s.io/kubectl => k8s.io/kubectl v0.34.4\n" in made
    assert "\tgo.etcd.io/etcd/server/v3 v3.6.4\n" in made
    assert "go 1.24.0\n\ngodebug default=go1.24\n" in made


def test_a_go_mod_of_another_shape_is_refused() -> None:
    """Better than a build of something else."""
    with pytest.raises(ValueError, match="expected shape"):
        gomod.go_mod("module k8s.io/kubernetes\n", "v1.34.4")


def test_the_checked_in_go_mod_names_a_release_and_the_build_is_stamped_with_it() -> None:
    """A client sees v1.34.4 and not v0.0.0-master."""
    version = build.kubernetes_version((build.HERE / "go" / "go.mod").read_text())
    assert ("1", "34", "4") == version
    flags = build.stamp(version)
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        assert f"-X {package}.gitVersion=v1.34.4" in flags
        assert f"-X {package}.gitMinor=34" in flags


def test_a_digest_changes_with_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a change is never run as yesterday's program; a comment in a text beside does not count."""
    monkeypatch.setattr(build, "HERE", tmp_path)
    (tmp_path / "go").mkdir()
    (tmp_path / "go" / "main.go").write_text("package main\n")
    first = build.digest(build.Ours("go"))
    (tmp_path / "go" / "README").write_text("hello")
    assert first == build.digest(build.Ours("go"))
    (tmp_path / "go" / "main.go").write_text("package main // changed\n")
    assert first != build.digest(build.Ours("go"))
    assert build.digest(build.Foreign("a", "v1")) != build.digest(build.Foreign("a", "v2"))


@pytest.mark.parametrize("name", ["", "Box", "-box", "box-", "a/b", "x" * 21])
def test_a_name_that_cannot_be_a_path_and_a_host_is_refused(name: str) -> None:
    """It becomes part of paths, control groups and sockets."""
    with pytest.raises(ValueError, match="cannot name a box"):
        Options(name)


def test_the_api_server_is_certified_for_every_name_that_it_is_called_by() -> None:
    """By loopback, by its service's address and names, by the node's address."""
    (names,) = (line for line in programs.certs(FOLDER) if line.startswith("-names="))
    expected = {
        "127.0.0.1",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        API_SERVICE,
        NODE_ADDRESS,
    }
    assert expected <= set(names.removeprefix("-names=").split(","))


def test_the_audit_log_is_kept_only_when_asked_for() -> None:
    """And never shows the box's own loops, but that a pod of a fake node is gone."""
    assert not any("audit" in line for line in programs.api_server(FOLDER, audit=False))
    assert f"--audit-log-path={FOLDER.audit_log}" in programs.api_server(FOLDER, audit=True)
    assert not any("EventRateLimit" in line for line in programs.api_server(FOLDER, audit=True))
    assert "--enable-admission-plugins=EventRateLimit" in programs.api_server(FOLDER, audit=True, few_events=True)


def test_controllers_of_real_nodes_are_left_out_without_one() -> None:
    """A box with a node has all of them."""
    assert not any("--controllers" in line for line in programs.controller_manager(FOLDER))
    assert any("--controllers=*,-cronjob" in line for line in programs.controller_manager(FOLDER, fake_nodes=True))
    rules = programs.audit_policy()["rules"]
    pods = [{"group": "", "resources": ["pods"]}]
    assert [
        {"level": "Metadata", "users": ["ponton-box"], "verbs": ["delete"], "resources": pods},
        {"level": "None", "users": ["ponton-box"]},
        {"level": "Metadata"},
    ] == rules


def test_every_configuration_of_the_node_is_of_its_folder() -> None:
    """Two boxes share no socket, no group and no addresses."""
    assert f'address = "{FOLDER.containerd}"' in node.containerd(FOLDER)
    assert "/ponton-box-x" == node.kubelet(FOLDER)["cgroupRoot"]
    assert f"unix://{FOLDER.containerd}" == node.kubelet(FOLDER)["containerRuntimeEndpoint"]
    assert f"{FOLDER.root}/addresses" in json.dumps(node.cni(FOLDER))
    assert f"{FOLDER.pki}/kube-proxy.kubeconfig" in json.dumps(node.kube_proxy(FOLDER))


def test_paths_of_sockets_are_short_enough_for_the_longest_name() -> None:
    """A socket's path has 107 bytes at most."""
    assert len(str(Folder.of("x" * 20).containerd)) < 100


def test_a_claim_among_fake_nodes_is_bound_to_a_volume_of_its_own() -> None:
    """The scheduler looks for the name and the note; a claim that is bound or that goes waits for nothing."""
    claim = waiting_claim()
    assert claims.waits(claim)
    volume = claims.volume_for(claim)
    found = claims.bound(claim, volume["metadata"]["name"])
    assert claim["metadata"]["uid"] == volume["spec"]["claimRef"]["uid"]
    assert volume["metadata"]["name"] == found["spec"]["volumeName"]
    assert found["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] == "yes"
    assert claim["metadata"]["annotations"].items() <= found["metadata"]["annotations"].items()
    assert not claims.waits(found)
    assert not claims.waits({**claim, "metadata": {**claim["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}})


def test_fake_nodes_beside_a_real_one_are_for_those_who_want_them() -> None:
    """Else a pod could seem to run where nothing runs."""
    assert {} == objects.fake_node(1, shunned=False)["spec"]
    (taint,) = objects.fake_node(1, shunned=True)["spec"]["taints"]
    assert ("kwok.x-k8s.io/node", "NoSchedule") == (taint["key"], taint["effect"])


def waiting_claim(**notes: str) -> Object:
    """A claim as the volume controller leaves it for an outside provisioner."""
    marks = {"volume.kubernetes.io/storage-provisioner": objects.PROVISIONER, **notes}
    return {
        "metadata": {"name": "store", "namespace": "a", "uid": "u-1", "annotations": marks},
        "spec": {
            "accessModes": ["ReadWriteOncePod"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "box",
        },
    }


def test_a_claim_gets_a_folder_on_the_node_of_its_first_pod() -> None:
    """Not before there is one, and with the mode that was asked for."""
    assert volumes.volume_for(waiting_claim(), Path("/v")) is None
    made = volumes.volume_for(waiting_claim(**{"volume.kubernetes.io/selected-node": "node"}), Path("/v"))
    assert made
    assert "/v/pvc-u-1" == made["spec"]["local"]["path"]
    assert ["ReadWriteOncePod"] == made["spec"]["accessModes"]
    assert ("a", "store", "u-1") == tuple(made["spec"]["claimRef"][key] for key in ("namespace", "name", "uid"))
    assert '"values": ["node"]' in json.dumps(made["spec"]["nodeAffinity"])


def test_claims_of_others_and_bound_ones_are_left_alone() -> None:
    """Another provisioner's business, and what is done already."""
    on = {"volume.kubernetes.io/selected-node": "node"}
    foreign = waiting_claim(**on, **{"volume.kubernetes.io/storage-provisioner": "other"})
    bound = waiting_claim(**on)
    bound["spec"]["volumeName"] = "pvc-u-1"
    assert volumes.volume_for(foreign, Path("/v")) is None
    assert volumes.volume_for(bound, Path("/v")) is None


@pytest.mark.parametrize(
    ("by", "phase", "extra", "expected"),
    [
        (objects.PROVISIONER, "Released", {}, True),
        (objects.PROVISIONER, "Bound", {}, False),
        ("other", "Released", {}, False),
        (objects.PROVISIONER, "Released", {"deletionTimestamp": "now"}, False),
    ],
)
def test_a_volume_goes_when_it_is_ours_and_released(by: str, phase: str, extra: Object, *, expected: bool) -> None:
    """And is not deleted twice."""
    meta = {"name": "pvc-u-1", "annotations": {"pv.kubernetes.io/provisioned-by": by}, **extra}
    assert expected == volumes.released({"metadata": meta, "status": {"phase": phase}})


def test_an_archive_holds_what_its_index_names() -> None:
    """Every digest leads to a blob with that hash, the layer holds the program, the name is the full reference."""
    program = oci.Program("localhost/pause:1", "pause", b"\x7fELF")
    with tarfile.open(fileobj=io.BytesIO(oci.archive(program))) as tar:
        files = {entry.name: reader.read() for entry in tar if (reader := tar.extractfile(entry))}
    blobs = {f"sha256:{name.rpartition('/')[2]}": blob for name, blob in files.items() if name.startswith("blobs/")}
    assert all(digest == f"sha256:{sha256(blob).hexdigest()}" for digest, blob in blobs.items())
    (entry,) = json.loads(files["index.json"])["manifests"]
    assert "localhost/pause:1" == entry["annotations"]["io.containerd.image.name"]
    assert "1" == entry["annotations"]["org.opencontainers.image.ref.name"]
    manifest = json.loads(blobs[entry["digest"]])
    config = json.loads(blobs[manifest["config"]["digest"]])
    layer = blobs[manifest["layers"][0]["digest"]]
    assert [manifest["layers"][0]["digest"]] == config["rootfs"]["diff_ids"]
    assert ["/pause"] == config["config"]["Entrypoint"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        (found,) = tar
        assert ("pause", 0o755) == (found.name, found.mode)
        reader = tar.extractfile(found)
        assert reader
        assert b"\x7fELF" == reader.read()


def test_the_same_program_gives_the_same_archive() -> None:
    """Nothing of the machine or the hour is in it."""
    program = oci.Program("localhost/pause:1", "pause", b"\x7fELF")
    assert oci.archive(program) == oci.archive(program)


def test_an_archive_that_several_write_at_once_is_whole(tmp_path: Path) -> None:
    """On a machine that has none yet, every worker of a test run needs it at the same moment."""
    program, path = oci.Program("localhost/pause:1", "pause", b"\x7fELF"), tmp_path / "pause.tar"
    with ThreadPoolExecutor(8) as workers:
        for done in [workers.submit(oci.write, program, path) for _ in range(64)]:
            done.result()
    assert oci.archive(program) == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def event(**other: object) -> bytes:
    """A line of the audit log, as the API server writes it."""
    made = {
        "stage": "ResponseComplete",
        "verb": "create",
        "user": {"username": "system:serviceaccount:ponton:accounts"},
        "objectRef": {"resource": "pods", "namespace": "a", "name": "acc-x-1"},
        "responseStatus": {"code": 201},
        "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z",
        "stageTimestamp": "2026-01-01T00:00:00.000001Z",
    }
    return json.dumps({**made, **other}).encode() + b"\n"


def test_calls_are_counted_by_user_verb_and_resource() -> None:
    """A subresource is another resource; renewing a Lease is no write that counts; discovery is no call."""
    status = {"resource": "bridgeaccounts", "subresource": "status"}
    lines = [
        event(),
        event(verb="patch", objectRef=status),
        event(verb="patch", objectRef=status),
        event(verb="update", objectRef={"resource": "leases"}),
        event(verb="get", objectRef={"resource": "pods"}),
        event(user={"username": "kubernetes-admin"}),
        event(objectRef={"apiGroup": "apps"}),
        event(stage="ResponseStarted", verb="watch"),
        event()[:-1],  # still being written
    ]
    found = list(audit.parsed(lines))
    assert 6 == len(found)
    assert {
        ("patch", "bridgeaccounts/status"): 2,
        ("create", "pods"): 1,
        ("update", "leases"): 1,
        ("get", "pods"): 1,
    } == (audit.counted(found, ":ponton:accounts"))
    assert 3 == audit.writes(found, ":ponton:accounts")
    assert 4 == audit.writes(found)


def test_hierarchies_of_control_groups_are_found_in_the_list_of_mounts() -> None:
    """The unified one is another kind."""
    mounts = (
        "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\nproc /proc proc rw 0 0"
    )
    assert [Path("/sys/fs/cgroup/cpu")] == cgroups.hierarchies(mounts)


def test_what_changed_on_the_machine_is_named() -> None:
    """What is new, what is gone, what has another value."""
    before = {"interface lo": "", "interface old": "", "sysctl a": "0"}
    after = {"interface lo": "", "interface cni0": "", "sysctl a": "1"}
    assert ["gone: interface old", "new: interface cni0", "sysctl a: 0 -> 1"] == leftovers.changed(before, after)
    assert [] == leftovers.changed(before, dict(before))


def test_a_foreign_line_is_changed_only_where_it_is_known(tmp_path: Path) -> None:
    """Another version of the file is not guessed at; a change makes another program."""
    change = build.Change("a.go", "old\n", "new\n")
    path = tmp_path / "a.go"
    path.write_text("one\nold\ntwo\n")
    path.chmod(0o444)
    build.changed(path, change)
    assert path.read_text() == "one\nnew\ntwo\n"
    with pytest.raises(build.BuildFailed, match=r"a\.go"):
        build.changed(path, change)
    plain = build.Foreign("example.org/x/cmd/x", "v1")
    assert build.digest(plain) != build.digest(build.Foreign("example.org/x/cmd/x", "v1", change=change))
    assert plain.module == "example.org/x"
