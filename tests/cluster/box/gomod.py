"""Write go/go.mod for one version of Kubernetes; run by hand when the version changes, the result is checked in.

Usage: `python -m tests.cluster.box.gomod v1.34.4`, then look at the difference. Kubernetes' own modules ask for
version v0.0.0 of one another, which exists only in its source tree; every one of them needs a `replace`.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

MODULE = "k8s.io/kubernetes"
GO = Path(__file__).parent / "go"


def go_mod(upstream: str, version: str) -> str:
    """The text of our go.mod: `upstream` is Kubernetes' own go.mod of `version` (v1.x.y)."""
    staging = version.replace("v1.", "v0.", 1)
    etcd = re.search(r"go\.etcd\.io/etcd/api/v3 (v\S+)", upstream)
    modules = re.findall(r"^\t(\S+) => \./staging/", upstream, re.MULTILINE)
    settings = re.search(r"^go \S+$.*?(?=^require)", upstream, re.MULTILINE | re.DOTALL)
    if not etcd or not modules or not settings:
        raise ValueError(f"the go.mod of {MODULE} {version} is not of the expected shape")
    lines = [
        "module box",
        "",
        settings.group().strip(),
        "",
        "require (",
        f"\t{MODULE} {version}",
        f"\tgo.etcd.io/etcd/server/v3 {etcd.group(1)}",
        ")",
        "",
        "replace (",
        *(f"\t{module} => {module} {staging}" for module in modules),
        ")",
    ]
    return "\n".join(lines) + "\n"


def main(version: str) -> None:
    """Fetch Kubernetes' go.mod, write ours, let `go mod tidy` fill in the rest."""
    line = ["go", "mod", "download", "-json", f"{MODULE}@{version}"]
    found = json.loads(subprocess.run(line, check=True, stdout=subprocess.PIPE, cwd="/").stdout)
    (GO / "go.mod").write_text(go_mod(Path(found["GoMod"]).read_text(), version))
    subprocess.run(["go", "mod", "tidy"], check=True, cwd=GO)


if __name__ == "__main__":
    main(sys.argv[1])
