#!/bin/sh
# Builds ponton-whatsapp without cgo: build.sh OUTPUT [TAGS]. The same sources give the same bytes.
# GOOS and GOARCH choose another platform. Go comes from the path or, where that has none, from .tools (make core).
#
# One constant of whatsmeow is replaced in a copy that is compiled instead: more than 2,048 stanzas waiting inside it lose
# their order, and a backlog may be longer. If the line is not there exactly once, nothing is built.
set -eu
cd "$(dirname "$0")"
PATH=$PATH:$PWD/../../.tools/go/bin
QUEUE=65536
LINE='^const handlerQueueSize = 2048$'

rm -rf build && mkdir build
go mod download go.mau.fi/whatsmeow
cp -R "$(go list -m -f '{{.Dir}}' go.mau.fi/whatsmeow)" build/whatsmeow && chmod -R u+w build/whatsmeow
[ "$(grep -c "$LINE" build/whatsmeow/client.go)" = 1 ] || {
  echo "whatsmeow's queue is not where it was: look at build.sh before you move to this version" >&2
  exit 1
}
sed -i "s/$LINE/const handlerQueueSize = $QUEUE/" build/whatsmeow/client.go
cp go.mod go.sum build/
go mod edit -replace go.mau.fi/whatsmeow=./build/whatsmeow build/go.mod
CGO_ENABLED=0 go build -modfile build/go.mod -trimpath -buildvcs=false -ldflags '-s -w -buildid=' ${2:+-tags "$2"} -o "$1" .
