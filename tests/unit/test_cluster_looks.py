"""Which lines of `kubectl get` are read without kubectl, and from where."""

import pytest

from tests.cluster.looks import path_of

OURS = "/apis/ponton.im/v1alpha1/namespaces/here"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ba -n here", f"{OURS}/bridgeaccounts"),
        ("-n here bg/wa", f"{OURS}/bridgegateways/wa"),
        ("-n here pod one", "/api/v1/namespaces/here/pods/one"),
        ("deployment wa -n here", "/apis/apps/v1/namespaces/here/deployments/wa"),
        ("pods -n here -l a/b=c,d", "/api/v1/namespaces/here/pods?labelSelector=a%2Fb%3Dc%2Cd"),
    ],
)
def test_a_known_kind_in_a_namespace_is_read_from_the_servers_own_path(line: str, expected: str) -> None:
    """By short names and full ones, with a name and with a selector."""
    assert expected == path_of(tuple(line.split()))


@pytest.mark.parametrize(
    "line",
    ["pods", "storageclass -n here", "pods,secrets -n here", "pod one two -n here", "ba x -n here --ignore-not-found"],
)
def test_every_other_line_is_for_kubectl(line: str) -> None:
    """Other kinds, several at once, other options, no namespace."""
    assert path_of(tuple(line.split())) is None
