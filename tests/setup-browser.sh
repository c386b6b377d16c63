#!/bin/sh
# Installs what the browser tests need beside tests/setup.sh: Debian's chromium, certutil for an authority of its own,
# and axe-core (by npm) into .tools.
# Called by `make test-browser`; needs root if something is missing.
set -eu
here=$(dirname "$0")
axe=4.14.1
sh "$here/setup.sh" chromium libnss3-tools
command -v npm > /dev/null || sh "$here/setup.sh" npm
[ -e "$here/../.tools/axe/node_modules/axe-core/axe.min.js" ] ||
  npm install --prefix "$here/../.tools/axe" --no-save --ignore-scripts --no-audit --no-fund "axe-core@$axe"
