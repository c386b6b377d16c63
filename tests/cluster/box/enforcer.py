"""Enforces NetworkPolicy objects on the node; a loop of the box, `python -m tests.cluster.box.enforcer FOLDER`.

Nothing but test equipment: it rewrites one nftables table whenever pods, namespaces or policies change.
"""

import subprocess
import sys
from pathlib import Path

from tests.cluster.box import policy
from tests.cluster.box.layout import NODE, Folder
from tests.cluster.box.loops import Picture

_PATHS = {
    "policies": "/apis/networking.k8s.io/v1/networkpolicies",
    "pods": f"/api/v1/pods?fieldSelector=spec.nodeName={NODE}",  # pods of fake nodes send nothing
    "namespaces": "/api/v1/namespaces",
}


def rules(picture: Picture) -> str:
    """The rules for what the picture shows now."""
    pods = [pod for found in picture.of("pods") if (pod := policy.pod_of(found))]
    namespaces = {n["metadata"]["name"]: n["metadata"].get("labels", {}) for n in picture.of("namespaces")}
    world = policy.World(sorted(pods, key=lambda pod: pod.address), namespaces)
    return policy.script(picture.of("policies"), world)


def run(folder: Folder) -> None:
    """Follow the cluster until killed; ends with an error when nft refuses the rules."""
    picture = Picture(folder.pki, _PATHS)
    loaded = ""
    while True:
        picture.next()
        if (wanted := rules(picture)) != loaded:
            subprocess.run(["nft", "-f", "-"], input=wanted, text=True, check=True)
            loaded = wanted


if __name__ == "__main__":
    run(Folder(Path(sys.argv[1])))
