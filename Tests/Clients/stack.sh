# What the clients' run.sh share: a private PostgreSQL with the schema, a gateway, and their end.
# shellcheck shell=bash
# To be sourced. Sets: repository, folder (temporary), SLUICE_TEST_BINARY, and after `start_gateway`
# gateway_pid and gateway_address. Whatever was started is stopped by its pid when the script exits.

repository=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
folder=$(mktemp -d "${TMPDIR:-/tmp}/sluice-clients.XXXXXX")
chmod 755 "$folder" # as root, the servers run as another user
gateway_pid=""

finish() {
  local status=$?
  trap - EXIT
  if [[ -n $gateway_pid ]]; then
    kill -TERM "$gateway_pid" 2>/dev/null
    for _ in {1..150}; do
      kill -0 "$gateway_pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "$gateway_pid" 2>/dev/null
    wait "$gateway_pid" 2>/dev/null
  fi
  "$repository/scripts/stack" destroy --dir "$folder/stack" >/dev/null 2>&1
  rm -rf "$folder"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

die() {
  printf 'error: %s\n' "$*" >&2
  printf '0 passed, 1 failed\n'
  exit 1
}

# The gateway's program: SLUICE_BINARY, else the debug build, which is made when it is missing.
# The variable goes no further: to the gateway it would be a setting that does not exist.
find_binary() {
  SLUICE_TEST_BINARY=${SLUICE_BINARY:-$repository/.build/debug/sluice}
  unset SLUICE_BINARY
  if [[ ! -x $SLUICE_TEST_BINARY ]]; then
    [[ $SLUICE_TEST_BINARY == "$repository/.build/debug/sluice" ]] ||
      die "$SLUICE_TEST_BINARY is not a program"
    (cd "$repository" && swift build --product sluice) >&2 || die "the gateway does not build"
  fi
  # A copy: a build that goes on meanwhile must not exchange the program under the tests.
  cp "$SLUICE_TEST_BINARY" "$folder/sluice" || die "$SLUICE_TEST_BINARY cannot be copied"
  SLUICE_TEST_BINARY=$folder/sluice
  "$SLUICE_TEST_BINARY" --version >/dev/null || die "the gateway's program does not run"
  export SLUICE_TEST_BINARY
}

start_stack() {
  "$repository/scripts/stack" up --dir "$folder/stack" --primary-only --no-redis --no-fsync \
    >"$folder/stack.log" 2>&1 || {
    cat "$folder/stack.log" >&2
    die "the stack did not start"
  }
  # shellcheck source=/dev/null
  source "$folder/stack/stack.env"
  "$SLUICE_TEST_BINARY" migrate --dsn "$SLUICE_PRIMARY_DSN" >"$folder/migrate.log" 2>&1 || {
    cat "$folder/migrate.log" >&2
    die "the schema could not be made"
  }
}

# Starts the gateway that the tests share; two loops, whatever the machine has.
start_gateway() {
  : >"$folder/gateway.out"
  "$SLUICE_TEST_BINARY" serve --listen 127.0.0.1:0 --primary-dsn "$SLUICE_PRIMARY_DSN" \
    --workers 2 >"$folder/gateway.out" 2>"$folder/gateway.log" &
  gateway_pid=$!
  for _ in {1..300}; do
    gateway_address=$(sed -n 's/^listening on //p' "$folder/gateway.out")
    [[ -z $gateway_address ]] || return 0
    kill -0 "$gateway_pid" 2>/dev/null || break
    sleep 0.1
  done
  cat "$folder/gateway.log" >&2
  die "the gateway did not start"
}
