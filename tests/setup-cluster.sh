#!/bin/sh
# Installs what the cluster in a box needs beside tests/setup.sh: a container runtime, its network plugins, builders of
# images. Called by the cluster's targets of the Makefile; needs root. No service of these packages is started.
set -eu
command -v go > /dev/null || {
  echo "Go 1.26 or newer is needed to build the cluster's programs; Debian 12 has an older one" >&2
  exit 1
}
exec sh "$(dirname "$0")/setup.sh" containerd runc containernetworking-plugins nftables iptables conntrack socat kmod \
  mmdebstrap buildah prometheus
