#!/usr/bin/env bash
# Tests a gateway by the stock Go client of ttrpc, as Debian ships it: unary calls.
#   Tests/Clients/go/run.sh
# Needs golang-go and golang-github-containerd-ttrpc-dev (scripts/setup --all); downloads nothing.
# SLUICE_BINARY: the gateway's program, default .build/debug/sluice. The last line is
# "N passed, N failed".
set -uo pipefail

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck source=../stack.sh
source "$here/../stack.sh"

command -v go >/dev/null || die "go is missing; see scripts/setup --all"
[[ -d /usr/share/gocode/src/github.com/containerd/ttrpc ]] ||
  die "golang-github-containerd-ttrpc-dev is missing; see scripts/setup --all"

find_binary
export GO111MODULE=off GOPATH=/usr/share/gocode CGO_ENABLED=0 GOFLAGS=-p=2 GOPROXY=off
[[ -n ${HOME:-}${GOCACHE:-} ]] || export GOCACHE=$folder/go-build
(cd "$here" && go vet . && go build -o "$folder/client" .) || die "the client does not build"
start_stack
start_gateway
"$folder/client" "$gateway_address" "$SLUICE_PRIMARY_DSN" >"$folder/client.out"
status=$?
if ((status)); then # the sum stays the last line
  sed '$d' "$folder/client.out"
  printf -- '---- end of the gateway'\''s log\n'
  tail -n 30 "$folder/gateway.log"
  printf -- '----\n'
  tail -n 1 "$folder/client.out" | grep -E '^[0-9]+ passed, [0-9]+ failed$' ||
    printf '0 passed, 1 failed\n'
else
  cat "$folder/client.out"
fi
exit "$status"
