#!/bin/sh
# Builds ponton-whatsapp without cgo: build.sh OUTPUT [TAGS]. The same sources give the same bytes.
# GOOS and GOARCH choose another platform. Go comes from the path or, where that has none, from .tools (make core).
#
# Three lines of whatsmeow are replaced in a copy that is compiled instead. More than 2,048 stanzas waiting inside it lose
# their order, and a backlog may be longer. And its lock on sending is given back once a message was written: it would be
# kept until WhatsApp's answer, in which one chat makes all others wait. If a line is not there exactly once, nothing is
# built.
set -eu
cd "$(dirname "$0")"
PATH=$PATH:$PWD/../../.tools/go/bin

rm -rf build && mkdir build
go mod download go.mau.fi/whatsmeow
cp -R "$(go list -m -f '{{.Dir}}' go.mau.fi/whatsmeow)" build/whatsmeow && chmod -R u+w build/whatsmeow
replace() { # FILE LINE NEW
  [ "$(grep -c "^$2\$" "build/whatsmeow/$1")" = 1 ] || {
    echo "a line of whatsmeow's $1 is not where it was: look at build.sh before you move to this version" >&2
    exit 1
  }
  sed -i "s/^$2\$/$3/" "build/whatsmeow/$1"
}
replace client.go 'const handlerQueueSize = 2048' 'const handlerQueueSize = 65536'
replace send.go '	defer cli.messageSendLock.Unlock()' '	release := sync.OnceFunc(cli.messageSendLock.Unlock)\n	defer release()'
replace send.go '	var respNode \*waBinary.Node' '	release()\n	var respNode *waBinary.Node'
sed -i 's/^	"strings"$/	"strings"\n	"sync"/' build/whatsmeow/send.go
cp go.mod go.sum build/
go mod edit -replace go.mau.fi/whatsmeow=./build/whatsmeow build/go.mod
CGO_ENABLED=0 go build -modfile build/go.mod -trimpath -buildvcs=false -ldflags '-s -w -buildid=' ${2:+-tags "$2"} -o "$1" .
