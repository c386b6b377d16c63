"""Provisions persistent volumes in a folder of this machine; a loop of the box, `python -m … FOLDER`.

`local` volumes and not host paths: the kubelet gives them the pod's fsGroup, as it does with real storage, and every
access mode is accepted (ReadWriteOncePod is kept by the scheduler). A claim is served when its first pod has a node.
"""

import shutil
import sys
from pathlib import Path

from tests.cluster.box.api import Api, Object
from tests.cluster.box.layout import Folder
from tests.cluster.box.loops import Picture, key_of
from tests.cluster.box.objects import CLAIMS, PROVISIONER, VOLUMES, volume

_WAITS_FOR = "volume.kubernetes.io/storage-provisioner"
_NODE = "volume.kubernetes.io/selected-node"
_BY = "pv.kubernetes.io/provisioned-by"


def volume_for(claim: Object, folder: Path) -> Object | None:
    """The volume that a claim waits for, a folder below `folder`; None when it does not wait for us."""
    meta, spec = claim["metadata"], claim["spec"]
    notes = meta.get("annotations", {})
    if notes.get(_WAITS_FOR) != PROVISIONER or _NODE not in notes or spec.get("volumeName"):
        return None
    made = volume(claim)
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [notes[_NODE]]}
    made["metadata"]["annotations"] = {_BY: PROVISIONER}
    made["spec"] |= {
        "local": {"path": str(folder / made["metadata"]["name"])},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        "persistentVolumeReclaimPolicy": "Delete",
    }
    return made


def released(volume: Object) -> bool:
    """Whether a volume is ours and its claim is gone, so that its folder and it shall go too."""
    meta = volume["metadata"]
    ours = meta.get("annotations", {}).get(_BY) == PROVISIONER
    return ours and "deletionTimestamp" not in meta and volume.get("status", {}).get("phase") == "Released"


def run(folder: Folder) -> None:
    """Serve claims until killed."""
    folder.volumes.mkdir(exist_ok=True)
    api = Api(folder.pki)
    picture = Picture(folder.pki, {"claims": CLAIMS, "volumes": VOLUMES})
    while True:
        # What has changed only: to look at thousands each time would cost a core.
        for kind, key in picture.next():
            found = picture.objects[kind][key]
            if kind == "volumes":
                if released(found):
                    shutil.rmtree(found["spec"]["local"]["path"], ignore_errors=True)
                    api.delete(f"{VOLUMES}/{found['metadata']['name']}")
                continue
            made = volume_for(found, folder.volumes)
            if made and key_of(made) not in picture.objects["volumes"]:
                Path(made["spec"]["local"]["path"]).mkdir(exist_ok=True)
                api.create(VOLUMES, made)


if __name__ == "__main__":
    run(Folder(Path(sys.argv[1])))
