#!/bin/sh
# Installs what a bare Debian 12 lacks to run the tests and the demo. Called by `make setup` and .ci/run; needs root.
# With arguments it installs those packages instead (see setup-cluster.sh).
# Services that the packages start by themselves are neither used nor touched: every test brings its own.
set -eu

PACKAGES="prosody prosody-modules redis-server libmagic1 lua5.4 lua-busted lua-check lua-posix openssl iproute2 procps
python3-venv python3-pip make ca-certificates git"

missing=""
for package in ${*:-$PACKAGES}; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
  # A container has no init to start services, and a test machine shall not get new ones.
  printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d.ponton && chmod +x /usr/sbin/policy-rc.d.ponton
  [ -e /usr/sbin/policy-rc.d ] || { ln -s policy-rc.d.ponton /usr/sbin/policy-rc.d; made_policy=1; }
  apt-get update -q
  # shellcheck disable=SC2086 # the list is meant to be split
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
  [ -z "${made_policy:-}" ] || rm -f /usr/sbin/policy-rc.d
  rm -f /usr/sbin/policy-rc.d.ponton
fi
