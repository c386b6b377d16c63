#!/bin/sh
# Tells how far the pinned whatsmeow is behind its newest version: exit code 1 for more than DAYS (30), 2 when the module
# proxy does not know it. Called by `make core-age`; docs/whatsapp-core.md says how to move to a newer one.
set -eu
cd "$(dirname "$0")"
PATH=$PATH:$PWD/../../.tools/go/bin
MODULE=go.mau.fi/whatsmeow

pinned=$(go list -m -f '{{.Time.Unix}}' "$MODULE")
newest=$(go list -m -f '{{.Time.Unix}}' "$MODULE@main" 2> /dev/null) || {
  echo "The module proxy does not say which whatsmeow is the newest. Ours is $((($(date +%s) - pinned) / 86400)) days old." >&2
  exit 2
}
behind=$(((newest - pinned) / 86400))
echo "The pinned whatsmeow is $behind days behind the newest."
[ "$behind" -le "${DAYS:-30}" ]
