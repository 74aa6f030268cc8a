# shellcheck shell=bash disable=SC2154
# What a stack says about itself: stack.env and status.

socket_dsn() { printf 'postgresql://%s@/sluice?host=%s&port=%s' "${2:-sluice}" "$run" "$(port_of "$1")"; }
tcp_dsn() { printf 'postgresql://sluice@127.0.0.1:%s/sluice' "$(port_of "$1")"; }

# Prints the running replicas' addresses, joined by commas: running_replicas socket_dsn|tcp_dsn
running_replicas() {
  local member list=""
  for member in replica1 replica2; do
    ! pid_of "$member" >/dev/null || list+=",$("$1" "$member")"
  done
  printf '%s' "${list#,}"
}

# Prints stack.env. Only members that are running have addresses; the other names are empty.
environment() {
  local warehouse="" warehouse_tcp="" redis="" redis_socket=""
  if pid_of warehouse >/dev/null; then
    warehouse=$(socket_dsn warehouse) warehouse_tcp=$(tcp_dsn warehouse)
  fi
  if pid_of redis >/dev/null; then
    redis=127.0.0.1:$(port_of redis) redis_socket=$run/redis.sock
  fi
  cat <<END
export SLUICE_STACK_DIR='$stack_dir'
export SLUICE_PRIMARY_DSN='$(socket_dsn primary)'
export SLUICE_REPLICA_DSNS='$(running_replicas socket_dsn)'
export SLUICE_WAREHOUSE_DSN='$warehouse'
export SLUICE_REDIS='$redis'
# The same over TCP, the superuser, and the rest.
export SLUICE_STACK_PRIMARY_TCP_DSN='$(tcp_dsn primary)'
export SLUICE_STACK_REPLICA_TCP_DSNS='$(running_replicas tcp_dsn)'
export SLUICE_STACK_WAREHOUSE_TCP_DSN='$warehouse_tcp'
export SLUICE_STACK_PRIMARY_ADMIN_DSN='$(socket_dsn primary postgres)'
export SLUICE_STACK_REDIS_SOCKET='$redis_socket'
export SLUICE_STACK_SOCKETS='$run'
export SLUICE_STACK_DATA='$data'
export SLUICE_STACK_PG_BINDIR='$pg_bin'
END
}

write_environment() {
  environment >"$stack_dir/stack.env.new"
  mv "$stack_dir/stack.env.new" "$stack_dir/stack.env"
}

# Sets pid, state, replication and lag_bytes of a member. $2: rows "name|state|lag" of the primary.
describe() {
  local member=$1 senders=$2 row sender=$1
  pid="" state=down replication="" lag_bytes=""
  if ! pid=$(pid_of "$member"); then
    [[ ! -e $(pid_file "$member") ]] || state=crashed
    return 0
  fi
  if [[ $member == redis ]]; then
    if [[ $(redis_command ping 2>/dev/null) == PONG ]]; then state=up; else state=silent; fi
    return
  fi
  if sql "$member" postgres -c 'SELECT 1' >/dev/null 2>&1; then state=up; else state=silent; fi
  [[ $member != primary ]] || return 0
  [[ $member != warehouse ]] || sender=sluice_warehouse
  row=$(grep "^$sender|" <<<"$senders" || true)
  if [[ -n $row ]]; then
    IFS='|' read -r _ replication lag_bytes <<<"$row"
  elif [[ $member == warehouse ]]; then
    replication=none
    [[ $(sql warehouse sluice -c 'SELECT count(*) FROM pg_subscription' 2>/dev/null) != 1 ]] ||
      replication=disconnected
  else
    replication=disconnected
  fi
}

# Prints every member. Returns 1 when one is not up or a replica does not stream.
print_status() {
  local json=$1 member senders="" rows="" found=0 healthy=0 pid state replication lag_bytes
  if pid_of primary >/dev/null; then
    senders=$(sql primary postgres -c "SELECT application_name || '|' || state || '|' ||
      coalesce(greatest(0, pg_wal_lsn_diff(pg_current_wal_flush_lsn(), replay_lsn))::text, '')
      FROM pg_stat_replication" 2>/dev/null || true)
  fi
  ((json)) || printf '%-10s %6s %8s %-8s %-13s %s\n' NAME PORT PID STATE REPLICATION LAG_BYTES
  for member in "${members[@]}"; do
    is_ready "$member" || continue
    found=1
    describe "$member" "$senders"
    [[ $state == up && $replication != disconnected ]] || healthy=1
    if ((json)); then
      rows+=",{\"name\":\"$member\",\"port\":$(port_of "$member"),\"pid\":${pid:-null},"
      rows+="\"state\":\"$state\",\"replication\":\"$replication\",\"lag_bytes\":${lag_bytes:-null}}"
    else
      printf '%-10s %6s %8s %-8s %-13s %s\n' "$member" "$(port_of "$member")" "${pid:--}" \
        "$state" "${replication:--}" "${lag_bytes:--}"
    fi
  done
  ((found)) || healthy=1
  ((!json)) || printf '{"dir":"%s","members":[%s]}\n' "$stack_dir" "${rows#,}"
  return "$healthy"
}
