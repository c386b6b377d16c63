#!/bin/sh
# Looks the core over, both as it is released and as the sandbox has it, and tests it: vet and staticcheck, the tests
# (with a race detector where there is a C compiler), then each fuzz test for FUZZ (5s). Called by `make core-check`.
set -eu
cd "$(dirname "$0")"
PATH=$PATH:$PWD/../../.tools/go/bin
STATICCHECK=honnef.co/go/tools/cmd/staticcheck@v0.8.2

for tags in '' sandbox; do
  go vet -tags "$tags" .
  go run "$STATICCHECK" -tags "$tags" .
done
if command -v gcc > /dev/null; then go test -race .; else go test .; fi
for fuzz in $(sed -n 's/^func \(Fuzz[A-Za-z]*\).*/\1/p' ./*_test.go); do
  go test -run '^$' -fuzz "^$fuzz\$" -fuzztime "${FUZZ:-5s}" .
done
