"""Binds claims where every node is fake, in place of the controller; a loop of the box, `python -m … FOLDER`.

Nobody opens these volumes: two writes for each claim, where provisioning and binding for real take a dozen calls of
three programs, which would be the most expensive part of a test that starts thousands of pods.
"""

import sys
from pathlib import Path

from tests.cluster.box.api import CONFLICT, MISSING, Api, Object, Refused
from tests.cluster.box.layout import Folder
from tests.cluster.box.loops import Picture
from tests.cluster.box.objects import CLAIMS, VOLUMES, volume

_BOUND = "pv.kubernetes.io/bind-completed"  # what the scheduler looks for, beside the volume's name


def waits(claim: Object) -> bool:
    """Whether a claim has no volume yet, and shall have one."""
    return "volumeName" not in claim["spec"] and "deletionTimestamp" not in claim["metadata"]


def volume_for(claim: Object) -> Object:
    """A volume of a claim's own, on no node in particular."""
    made = volume(claim)
    made["spec"]["hostPath"] = {"path": f"/nowhere/{made['metadata']['name']}"}
    return made


def bound(claim: Object, name: str) -> Object:
    """The claim as it is once it has that volume."""
    meta, spec = claim["metadata"], claim["spec"]
    notes = {**meta.get("annotations", {}), _BOUND: "yes"}
    kind = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}  # which an entry of a list does not say
    return {**kind, **claim, "metadata": {**meta, "annotations": notes}, "spec": {**spec, "volumeName": name}}


def run(folder: Folder) -> None:
    """Bind claims until killed; volumes stay when their claims go, for the box goes with them."""
    api = Api(folder.pki, keep=True)
    picture = Picture(folder.pki, {"claims": CLAIMS})
    while True:
        for kind, key in picture.next():
            claim = picture.objects[kind][key]
            if not waits(claim):
                continue
            made = volume_for(claim)
            api.create(VOLUMES, made)
            path = f"/api/v1/namespaces/{key[0]}/persistentvolumeclaims/{key[1]}"
            try:
                api.call("PUT", path, bound(claim, made["metadata"]["name"]))
            except Refused as refused:
                if refused.code not in {CONFLICT, MISSING}:  # the scheduler was first, and its change comes to us;
                    raise  # or the claim went meanwhile


if __name__ == "__main__":
    run(Folder(Path(sys.argv[1])))
