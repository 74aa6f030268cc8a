#!/usr/bin/env bash
# Tests a gateway by a client that shares no code with it: Python and Google's own protobuf.
#   Tests/Clients/python/run.sh [--self-check] [TEXT…]
# TEXT: only tests whose claim contains it. --self-check: runs every test against servers that are
# wrong on purpose; a test that none of them can fail is worthless, and counts as failed.
# Needs python3-protobuf and protobuf-compiler (scripts/setup --all). SLUICE_BINARY: the gateway's
# program, default .build/debug/sluice. The last line is "N passed, N failed".
set -uo pipefail

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck source=../stack.sh
source "$here/../stack.sh"

python=/usr/bin/python3 # Debian's modules belong to this one
"$python" -c 'import google.protobuf' || die "python3-protobuf is missing; see scripts/setup --all"
command -v protoc >/dev/null || die "protoc is missing; see scripts/setup --all"

mkdir "$folder/generated"
(cd "$repository/Proto" && find . -name '*.proto' -print0 |
  xargs -0 protoc --python_out="$folder/generated" -I .) || die "protoc failed"

export SLUICE_TEST_GENERATED=$folder/generated SLUICE_TEST_FOLDER=$folder
export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
find_binary
start_stack
start_gateway
export SLUICE_TEST_ADDRESS=$gateway_address SLUICE_TEST_GATEWAY_PID=$gateway_pid
"$python" "$here/main.py" "$@"
