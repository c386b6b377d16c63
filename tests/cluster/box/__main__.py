"""`python -m tests.cluster.box VERB`: the cluster in a box by hand (up, down, exec, image, status, build)."""

import argparse
import os
import sys
import time
from dataclasses import fields
from pathlib import Path

from tests.cluster.box.box import Box, BoxFailed, down
from tests.cluster.box.build import PROGRAMS, BuildFailed, program, say
from tests.cluster.box.images import IMAGES, archive
from tests.cluster.box.layout import Folder, Options

FOR_DEMO = ("box", "pause", "coredns", "helm")


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.box", description="A Kubernetes in private namespaces."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="bring a box up, print where its kubeconfig is")
    up.add_argument("--node", action="store_true", help="with a real node: containerd, kubelet, kube-proxy, DNS")
    up.add_argument("--no-policy", dest="policy", action="store_false", help="do not enforce network policies")
    up.add_argument("--kwok", type=int, default=0, metavar="N", help="N fake nodes of a thousand pods each")
    up.add_argument("--audit", action="store_true", help="keep an audit log")
    up.add_argument("--owner", type=int, default=0, metavar="PID", help="take the box down when this process ends")
    build = verbs.add_parser("build", help="build every program now, so that nothing else waits for it")
    build.add_argument("part", nargs="?", choices=["all", "demo"], default="all", help="what the demo needs, or all")
    gone = verbs.add_parser("down", help="end it, say what it left behind (exit code 1 when there is anything)")
    gone.add_argument("--logs", type=Path, help="copy the logs to this folder first")
    inside = verbs.add_parser("exec", help="run a command inside: exec [--name NAME] -- kubectl get pods -A")
    image = verbs.add_parser("image", help="build images, load them into the node if there is one, name their archives")
    image.add_argument("images", nargs="+", metavar="IMAGE", help=f"{', '.join(IMAGES)}, or the path of an OCI archive")
    status = verbs.add_parser("status", help="what the box knows about itself")
    for verb in (up, gone, inside, image, status):
        verb.add_argument("--name", default="box", help="which one; several can run side by side")
    inside.add_argument("line", nargs="+")
    return parser


def main() -> int:
    """Carry out one verb; gives the exit code."""
    asked = _arguments().parse_args()
    try:
        return _carry_out(asked)
    except (BoxFailed, BuildFailed) as failed:
        say(str(failed))
        return 1


def _carry_out(asked: argparse.Namespace) -> int:
    started = time.monotonic()
    if asked.verb == "up":
        wanted = {field.name for field in fields(Options)}
        box = Box.up(Options(**{key: value for key, value in vars(asked).items() if key in wanted}))
        say(f"up in {time.monotonic() - started:.1f} s\nexport KUBECONFIG={box.kubeconfig}")
    elif asked.verb == "build":
        for name in PROGRAMS if asked.part == "all" else FOR_DEMO:
            say(f"{name}: {program(name)}")
    elif asked.verb == "down":
        left = down(asked.name, asked.logs)
        say(f"down in {time.monotonic() - started:.1f} s; left behind: {', '.join(left) or 'nothing'}")
        return bool(left)
    elif asked.verb == "exec":
        line = Box.named(asked.name).command(*asked.line)
        sys.stdout.flush()
        os.execvp(line[0], line)  # noqa: S606 - the person's own command
    elif asked.verb == "image":
        _images(asked.name, asked.images)
    else:
        for key, value in Box.named(asked.name).folder.notes().items():
            say(f"{key}: {value}")
    return 0


def _images(name: str, wanted: list[str]) -> None:
    archives = [archive(image) if image in IMAGES else Path(image) for image in wanted]
    folder = Folder.of(name)
    for made in archives:
        if folder.containerd.exists():
            Box.named(name).load(made)
        say(f"{made}{' (loaded)' if folder.containerd.exists() else ''}")


if __name__ == "__main__":
    sys.exit(main())
