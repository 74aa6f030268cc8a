#!/usr/bin/env bash
# Runs scripts/stack for real: creation, repetition, crashes, repair, parallel stacks, odd folders.
#
# Usage: Tests/scripts/stack_test.sh [NAME…]    runs all tests, or those named
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
stack=$repository/scripts/stack
work=$(mktemp -d /tmp/sluice-stack-test.XXXXXX)
chmod 755 "$work"
unset SLUICE_STACK_DIR

finish() {
  local mark
  # Whatever a failed test left running, wherever it put it.
  while read -r mark; do
    "$stack" destroy --dir "$(dirname "$mark")" >/dev/null 2>&1 || true
  done < <(find "$work" -name .sluice-stack 2>/dev/null)
  rm -rf "$work"
}
trap finish EXIT

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}
expect() { # expect WHAT ACTUAL WANTED
  [[ $2 == "$3" ]] || fail "$1: got '$2', wanted '$3'"
}
expect_in() { # expect_in WHAT TEXT PART
  [[ $2 == *"$3"* ]] || fail "$1: '$3' is not in: $2"
}
refuses() { # refuses PART COMMAND…: the command fails, and says PART
  local part=$1 output
  shift
  if output=$("$@" 2>&1); then fail "succeeded but should not: $*"; fi
  expect_in "message of $*" "$output" "$part"
}
query() { PGOPTIONS='' psql -XAtq -v ON_ERROR_STOP=1 "$@" </dev/null; }
small_up() { "$stack" up --primary-only --no-redis --no-fsync --dir "$1" >/dev/null 2>"$work/log" || fail "up: $(<"$work/log")"; }
pid_in() { head -n 1 "$1/data/primary/postmaster.pid"; }

test_arguments() {
  expect_in help "$("$stack" --help)" "Usage: scripts/stack"
  refuses "unknown command" "$stack" fly
  refuses "unknown option" "$stack" up --fast
  refuses "wants a value" "$stack" up --dir
  refuses "wants a number" "$stack" up --port-base x
  refuses "no stack" "$stack" status --dir "$work/nothing"
  "$stack" down --dir "$work/nothing" 2>/dev/null || fail "down without a stack is no error"
  mkdir "$work/mine" && touch "$work/mine/thesis"
  refuses "not a stack" "$stack" up --dir "$work/mine"
  "$stack" destroy --dir "$work/mine" 2>/dev/null
  [[ -e $work/mine/thesis ]] || fail "destroy deleted a foreign file"
  refuses "characters" "$stack" up --dir "$work/it's"
}

test_primary_only() {
  local dir=$work/small pid
  small_up "$dir"
  pid=$(pid_in "$dir")
  small_up "$dir"
  expect "process after a second up" "$(pid_in "$dir")" "$pid"
  # shellcheck source=/dev/null
  source "$dir/stack.env"
  expect "user over the socket" "$(query "$SLUICE_PRIMARY_DSN" -c 'SELECT current_user')" sluice
  expect "database over TCP" "$(query "$SLUICE_STACK_PRIMARY_TCP_DSN" -c 'SELECT current_database()')" sluice
  expect "superuser" "$(query "$SLUICE_STACK_PRIMARY_ADMIN_DSN" -c 'SHOW is_superuser')" on
  expect "no replicas" "$SLUICE_REPLICA_DSNS$SLUICE_WAREHOUSE_DSN$SLUICE_REDIS" ""
  expect "wal_sender_timeout" "$(query "$SLUICE_PRIMARY_DSN" -c 'SHOW wal_sender_timeout')" 5s
  expect "synchronous_commit" "$(query "$SLUICE_PRIMARY_DSN" -c 'SHOW synchronous_commit')" on
  expect "fsync" "$(query "$SLUICE_PRIMARY_DSN" -c 'SHOW fsync')" off
  if query "${SLUICE_STACK_PRIMARY_TCP_DSN/sluice@/postgres@}" -c 'SELECT 1' 2>/dev/null; then
    fail "the superuser can enter over TCP"
  fi
  query "$SLUICE_PRIMARY_DSN" -c 'CREATE TABLE kept (x int)'
  "$stack" down --dir "$dir" 2>/dev/null
  # Until its new parent takes notice, an ended process remains as a zombie.
  [[ ! -d /proc/$pid || $(<"/proc/$pid/stat") == *") Z "* ]] || fail "down left process $pid"
  if "$stack" status --dir "$dir" >/dev/null; then fail "status is 0 although all is down"; fi
  "$stack" up --primary-only --no-redis --dir "$dir" >/dev/null 2>&1
  expect "fsync without --no-fsync" "$(query "$SLUICE_PRIMARY_DSN" -c 'SHOW fsync')" on
  query "$SLUICE_PRIMARY_DSN" -c 'SELECT FROM kept'
  "$stack" reset --primary-only --no-redis --no-fsync --dir "$dir" >/dev/null 2>&1
  if query "$SLUICE_PRIMARY_DSN" -c 'SELECT FROM kept' 2>/dev/null; then fail "reset kept the data"; fi
  "$stack" destroy --dir "$dir" 2>/dev/null
  [[ ! -e $dir ]] || fail "destroy left $(ls -A "$dir")"
}

toy_schema="CREATE SCHEMA sluice;
  CREATE TABLE sluice.tenants (tenant_id bigint PRIMARY KEY, name text);
  CREATE TABLE sluice.rejected_values (x int);
  CREATE UNLOGGED TABLE sluice.entity_values_ingest (x int);
  CREATE TABLE sluice.entity_values (ingested_at timestamptz DEFAULT now(), number float8) PARTITION BY RANGE (ingested_at);
  CREATE TABLE sluice.entity_values_default PARTITION OF sluice.entity_values DEFAULT;
  INSERT INTO sluice.tenants VALUES (1, 'a');
  INSERT INTO sluice.entity_values (number) SELECT generate_series(1, 1000);"

# Waits until a query gives the wanted answer: eventually DSN QUERY WANTED
eventually() {
  local i answer
  for ((i = 0; i < 100; i++)); do
    answer=$(query "$1" -c "$2" 2>/dev/null || true)
    [[ $answer != "$3" ]] || return 0
    sleep 0.1
  done
  fail "'$2' gives '$answer', wanted '$3'"
}

test_everything() {
  local dir=$work/full replica member rows="SELECT count(*) FROM sluice.entity_values"
  # Through a pipe: a server that held the pipe open would hang this.
  timeout 120 "$stack" up --no-fsync --dir "$dir" 2>"$work/log" | cat >/dev/null || fail "up: $(<"$work/log")"
  # shellcheck source=/dev/null
  source "$dir/stack.env"
  "$stack" status --dir "$dir" >"$work/status" || fail "status: $(<"$work/status")"
  expect "members" "$(grep -c ' up ' "$work/status")" 5
  expect "replicas that stream" "$(grep -c ' streaming ' "$work/status")" 2
  /usr/bin/python3 -c 'import json, sys; json.load(sys.stdin)' < <("$stack" status --json --dir "$dir") || fail "no JSON"
  refuses "stack down" "$stack" up --port-base 19000 --dir "$dir"
  for replica in ${SLUICE_REPLICA_DSNS//,/ }; do
    expect "delay" "$(query "$replica" -c 'SHOW max_standby_streaming_delay')" 1s
    expect "feedback" "$(query "$replica" -c 'SHOW hot_standby_feedback')" on
  done
  expect "redis" "$(redis-cli -h "${SLUICE_REDIS%:*}" -p "${SLUICE_REDIS#*:}" config get maxmemory-policy | tail -n 1)" volatile-lfu
  expect "redis socket" "$(redis-cli -s "$SLUICE_STACK_REDIS_SOCKET" ping)" PONG

  refuses "sluice migrate" "$stack" subscribe --dir "$dir"
  query "$SLUICE_PRIMARY_DSN" -c "$toy_schema"
  "$stack" subscribe --dir "$dir" 2>"$work/log" || fail "subscribe: $(<"$work/log")"
  query "$SLUICE_PRIMARY_DSN" -c 'CREATE FUNCTION sluice.seven() RETURNS int LANGUAGE sql AS $$ SELECT 7 $$'
  "$stack" subscribe --dir "$dir" 2>"$work/log" || fail "second subscribe: $(<"$work/log")"
  expect "a function of a later migration" "$(query "$SLUICE_WAREHOUSE_DSN" -c 'SELECT sluice.seven()')" 7
  query "$SLUICE_PRIMARY_DSN" -c "INSERT INTO sluice.entity_values (number) VALUES (7)" \
    -c "UPDATE sluice.tenants SET name = 'b'" -c 'INSERT INTO sluice.rejected_values VALUES (1)' \
    -c 'DELETE FROM sluice.rejected_values'
  eventually "$SLUICE_WAREHOUSE_DSN" "$rows" 1001
  eventually "$SLUICE_WAREHOUSE_DSN" "SELECT name FROM sluice.tenants" b
  for replica in ${SLUICE_REPLICA_DSNS//,/ }; do eventually "$replica" "$rows" 1001; done

  # Crashes: the primary, a replica and Redis are killed, a replica loses its data.
  kill -KILL "$(pid_in "$dir")" "$(head -n 1 "$dir/data/replica1/postmaster.pid")" "$(<"$dir/data/redis/redis.pid")"
  sleep 0.3
  if "$stack" status --dir "$dir" >"$work/status"; then fail "status is 0 after a crash"; fi
  expect "crashed" "$(grep -c ' crashed ' "$work/status")" 3
  rm "$dir/ready/replica2"
  "$stack" up --no-fsync --dir "$dir" >/dev/null 2>"$work/log" || fail "up after crashes: $(<"$work/log")"
  query "$SLUICE_PRIMARY_DSN" -c "INSERT INTO sluice.entity_values (number) VALUES (8)"
  for replica in ${SLUICE_REPLICA_DSNS//,/ } "$SLUICE_WAREHOUSE_DSN"; do eventually "$replica" "$rows" 1002; done

  # A replica whose slot is gone is copied anew; so is a warehouse, on request.
  kill -KILL "$(head -n 1 "$dir/data/replica1/postmaster.pid")"
  sleep 0.5
  query "$SLUICE_STACK_PRIMARY_ADMIN_DSN" -c "SELECT pg_drop_replication_slot('replica1')" >/dev/null
  "$stack" up --no-fsync --dir "$dir" >/dev/null 2>"$work/log" || fail "up without a slot: $(<"$work/log")"
  query "$SLUICE_PRIMARY_DSN" -c 'ALTER TABLE sluice.tenants ADD COLUMN more int'
  refuses "--fresh" "$stack" subscribe --dir "$dir"
  "$stack" subscribe --fresh --dir "$dir" 2>"$work/log" || fail "subscribe --fresh: $(<"$work/log")"
  eventually "$SLUICE_WAREHOUSE_DSN" "$rows" 1002

  # Other ports: replicas and the subscription find the primary again.
  "$stack" down --dir "$dir" 2>/dev/null
  for member in primary replica1 replica2 warehouse; do
    [[ ! -e $dir/data/$member/postmaster.pid ]] || fail "down left $member"
  done
  "$stack" up --no-fsync --dir "$dir" --port-base 19310 >/dev/null 2>"$work/log" || fail "up on other ports: $(<"$work/log")"
  # shellcheck source=/dev/null
  source "$dir/stack.env"
  expect_in "primary" "$SLUICE_PRIMARY_DSN" 19310
  query "$SLUICE_PRIMARY_DSN" -c "INSERT INTO sluice.entity_values (number) VALUES (9)"
  for replica in ${SLUICE_REPLICA_DSNS//,/ } "$SLUICE_WAREHOUSE_DSN"; do eventually "$replica" "$rows" 1003; done
  "$stack" destroy --dir "$dir" 2>/dev/null
  [[ ! -e $dir ]] || fail "destroy left $(ls -A "$dir")"
}

test_repair() {
  local dir=$work/repair before
  # Interrupted in the middle of initdb: no mark, some files.
  small_up "$dir"
  "$stack" down --dir "$dir" 2>/dev/null
  rm "$dir/ready/primary" "$dir/data/primary/global/pg_control"
  small_up "$dir"
  # A pid file that names a foreign process: this shell must survive.
  "$stack" down --dir "$dir" 2>/dev/null
  printf '%s\n%s\n' $$ "$dir/data/primary" >"$dir/data/primary/postmaster.pid"
  expect_in "status" "$("$stack" status --dir "$dir" || true)" crashed
  "$stack" down --dir "$dir" 2>/dev/null
  small_up "$dir"
  before=$(cat "$dir/port-base")
  # A server that cannot start says why.
  "$stack" down --dir "$dir" 2>/dev/null
  printf "shared_buffers = nonsense\n" >>"$dir/data/primary/postgresql.conf"
  refuses 'invalid value for parameter "shared_buffers"' "$stack" up --primary-only --no-redis --dir "$dir"
  sed -i '$d' "$dir/data/primary/postgresql.conf"
  small_up "$dir"
  expect "ports stay" "$(cat "$dir/port-base")" "$before"
  # A frozen server can be stopped.
  kill -STOP "$(pid_in "$dir")"
  "$stack" down --dir "$dir" 2>/dev/null
  "$stack" destroy --dir "$dir" 2>/dev/null
}

test_parallel() {
  local i ports processes=()
  for i in 1 2 3 4; do
    "$stack" up --primary-only --no-fsync --dir "$work/parallel$i" >"$work/parallel$i.log" 2>&1 &
    processes+=($!)
  done
  # Two at once on the same folder.
  "$stack" up --primary-only --no-fsync --dir "$work/parallel1" >/dev/null 2>&1 &
  processes+=($!)
  for i in "${processes[@]}"; do wait "$i" || fail "a parallel up failed: $(cat "$work"/parallel*.log)"; done
  ports=$(cat "$work"/parallel?/port-base | sort -u | wc -l)
  expect "different ports" "$ports" 4
  for i in 1 2 3 4; do
    "$stack" status --dir "$work/parallel$i" >/dev/null || fail "parallel$i is not up"
    "$stack" destroy --dir "$work/parallel$i" 2>/dev/null
  done
}

test_odd_folders() {
  local dir long
  # The path of a socket is limited to 107 bytes; spaces need care.
  long=$work/$(printf 'a%.0s' {1..120})
  for dir in "$long" "$work/with a space"; do
    small_up "$dir"
    # shellcheck source=/dev/null
    source "$dir/stack.env"
    expect "answer in $dir" "$(query "$SLUICE_PRIMARY_DSN" -c 'SELECT 1')" 1
    "$stack" destroy --dir "$dir" 2>/dev/null
    [[ ! -e $dir && ! -e $SLUICE_STACK_SOCKETS ]] || fail "destroy left something of $dir"
  done
  # Redis has a configuration file of its own.
  "$stack" up --primary-only --no-fsync --dir "$work/with a space" >/dev/null 2>&1 || fail "Redis with a space"
  "$stack" destroy --dir "$work/with a space" 2>/dev/null
}

# As root the servers run as `postgres`, who may not reach every folder.
test_unreachable_folder() {
  ((EUID == 0)) || return 0
  mkdir -m 700 "$work/closed"
  small_up "$work/closed/stack"
  # shellcheck source=/dev/null
  source "$work/closed/stack/stack.env"
  expect "answer" "$(query "$SLUICE_PRIMARY_DSN" -c 'SELECT 1')" 1
  [[ -e $work/closed/stack/data/primary/PG_VERSION && -e $work/closed/stack/log/primary.log ]] || fail "no pointers"
  small_up "$work/closed/stack"
  "$stack" destroy --dir "$work/closed/stack" 2>/dev/null
  [[ ! -e $work/closed/stack && ! -e $SLUICE_STACK_DATA ]] || fail "destroy left something"
}

# An ordinary user needs nothing but the programs.
test_ordinary_user() {
  ((EUID == 0)) || return 0
  local user=nobody scripts=$work/scripts dir=$work/home/stack
  cp -r "$repository/scripts" "$scripts"
  mkdir "$work/home" && chown "$user" "$work/home"
  as_user() { (cd / && setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups -- "$@"); }
  as_user "$scripts/stack" up --no-fsync --dir "$dir" >/dev/null 2>"$work/log" || fail "up as $user: $(<"$work/log")"
  as_user "$scripts/stack" up --no-fsync --dir "$dir" >/dev/null 2>"$work/log" || fail "second up as $user: $(<"$work/log")"
  as_user "$scripts/stack" status --dir "$dir" >/dev/null || fail "status as $user"
  refuses "belongs to $user" "$stack" up --dir "$dir"
  refuses "another stack: $dir (user $user)" "$stack" up --primary-only --no-redis --dir "$work/second" \
    --port-base "$(<"$dir/port-base")"
  small_up "$work/roots"
  refuses "belongs to root" as_user "$scripts/stack" down --dir "$work/roots"
  refuses "belongs to root" as_user "$scripts/stack" status --dir "$work/roots"
  as_user "$scripts/stack" destroy --dir "$dir" 2>/dev/null
  [[ ! -e $dir ]] || fail "destroy as $user left $(ls -A "$dir")"
  "$stack" destroy --dir "$work/roots" 2>/dev/null
}

tests=(arguments primary_only everything repair parallel odd_folders unreachable_folder ordinary_user)
[[ $# == 0 ]] || tests=("$@")
for name in "${tests[@]}"; do
  began=$SECONDS
  ("test_$name")
  printf 'ok %s (%d s)\n' "$name" $((SECONDS - began))
done
