#!/bin/sh
# Installs what the cluster in a box needs beside tests/setup.sh: a container runtime, its network plugins, builders of
# images, and Go into .tools where there is none that is new enough (Debian 12 has 1.19). Called by the cluster's targets
# of the Makefile; needs root. No service of these packages is started.
set -eu
here=$(dirname "$0")
sh "$here/setup.sh" containerd runc containernetworking-plugins nftables iptables conntrack socat kmod \
  mmdebstrap buildah prometheus python3-venv
sh "$here/setup-go.sh"
