#!/bin/sh
# Installs what the browser tests need beside tests/setup.sh: Debian's chromium, node, and certutil for an authority of
# its own; and by npm into .tools axe-core and oidc-provider, a login server (version 8: the newer ones want a newer node
# than Debian 12 has).
# Called by `make test-browser`; needs root if something is missing.
set -eu
here=$(dirname "$0")
axe=4.14.1
oidc=8.8.1
sh "$here/setup.sh" chromium libnss3-tools
command -v node > /dev/null || sh "$here/setup.sh" nodejs
command -v npm > /dev/null || sh "$here/setup.sh" npm
[ -e "$here/../.tools/axe/node_modules/axe-core/axe.min.js" ] ||
  npm install --prefix "$here/../.tools/axe" --no-save --ignore-scripts --no-audit --no-fund "axe-core@$axe"
[ -e "$here/../.tools/oidc/node_modules/oidc-provider/lib/index.js" ] ||
  npm install --prefix "$here/../.tools/oidc" --no-save --ignore-scripts --no-audit --no-fund "oidc-provider@$oidc"
