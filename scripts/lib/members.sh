# shellcheck shell=bash disable=SC2154
# Creates and configures the members of a stack: primary, replicas, warehouse, Redis.
#
# Each function can be run again at any time: it completes what is missing. A member whose creation
# was interrupted has no mark in ready/ and is created anew.

is_ready() { [[ -e $stack_home/ready/$1 ]]; }
set_ready() { : >"$stack_home/ready/$1"; }

# Prints the settings of a PostgreSQL member.
postgres_settings() {
  local member=$1
  cat <<END
# Written by scripts/stack at every start; put your own settings into postgresql.conf.
cluster_name = 'sluice-$member'
listen_addresses = '127.0.0.1'
port = $(port_of "$member")
unix_socket_directories = '$run'
max_connections = 200
max_worker_processes = 16
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
log_checkpoints = on
synchronous_commit = on
fsync = $fsync
wal_compression = $wal_compression
max_wal_size = 4GB
checkpoint_timeout = 15min
# A replica needs at least what its primary has.
max_wal_senders = 16
max_replication_slots = 16
wal_level = logical
END
  case $member in
    primary)
      cat <<END
shared_buffers = 256MB
min_wal_size = 512MB
wal_sender_timeout = 5s
max_slot_wal_keep_size = 2GB  # a replica left behind must not fill the disk
END
      ;;
    replica*)
      cat <<END
shared_buffers = 128MB
hot_standby = on
hot_standby_feedback = on
max_standby_streaming_delay = 1s
wal_receiver_timeout = 5s
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 1s
primary_conninfo = 'host=$run port=$(port_of primary) user=postgres application_name=$member'
primary_slot_name = '$member'
END
      ;;
    warehouse)
      cat <<END
shared_buffers = 128MB
wal_receiver_timeout = 5s
wal_receiver_status_interval = 1s  # the primary hangs up after 5 s of silence
wal_retrieve_retry_interval = 1s
max_logical_replication_workers = 8
max_sync_workers_per_subscription = 4
END
      ;;
  esac
}

# Writes the settings of a PostgreSQL member; a running one reloads what changed.
configure_postgres() {
  local member=$1 settings pid
  local file=$data/$member/stack.conf
  settings=$(postgres_settings "$member")
  [[ -e $file && $(<"$file") == "$settings" ]] && return 0
  as_server tee "$file" >/dev/null <<<"$settings"
  if pid=$(pid_of "$member"); then kill -HUP "$pid"; fi
}

# wal_compression = lz4 needs PostgreSQL 15 and a build with lz4.
choose_wal_compression() {
  wal_compression=on
  if ((pg_major >= 15)) && grep -qa 'liblz4\.so' "$pg_bin/postgres"; then wal_compression=lz4; fi
}

# Makes an empty PostgreSQL with the role and the database `sluice`.
create_postgres() {
  local member=$1 output
  stop_member "$member" immediate
  rm -rf "${data:?}/$member"
  # Bytewise order: fast, and the same on every node.
  output=$(as_server "$pg_bin/initdb" -D "$data/$member" -U postgres --auth=trust --encoding=UTF8 \
    --locale=C.UTF-8 --lc-collate=C --lc-messages=C --no-sync --no-instructions 2>&1) ||
    die "initdb failed for $member: $output"
  as_server tee -a "$data/$member/postgresql.conf" >/dev/null <<<"include 'stack.conf'"
  # The superuser can run programs on this machine, so it comes only through the sockets' folder,
  # which only the owner of the stack can enter.
  as_server tee "$data/$member/pg_hba.conf" >/dev/null <<END
local all         all             trust
local replication postgres        trust
host  all  sluice 127.0.0.1/32    trust
END
  configure_postgres "$member"
  start_postgres "$member"
  sql "$member" postgres -c 'CREATE ROLE sluice LOGIN' -c 'GRANT pg_monitor TO sluice' \
    -c "ALTER ROLE sluice SET statement_timeout = '330s'" \
    -c 'CREATE DATABASE sluice OWNER sluice' || die "could not create the database on $member"
  set_ready "$member"
}

# Makes sure that the primary or the warehouse is there and running.
ensure_postgres() {
  local member=$1
  if ! is_ready "$member"; then
    say "$member is being created"
    create_postgres "$member"
    return
  fi
  configure_postgres "$member"
  pid_of "$member" >/dev/null || start_postgres "$member"
  sql "$member" sluice -c 'SELECT 1' >/dev/null || die "$member is running but does not answer"
}

# Prints the state of a replica's slot on the primary: nothing, "reserved", "lost", …
slot_state() {
  sql primary postgres -c "SELECT coalesce(wal_status, 'unreserved') FROM pg_replication_slots
    WHERE slot_name = '$1'"
}

# Copies the primary into a new replica.
create_replica() {
  local member=$1 output
  say "$member is being copied from the primary"
  stop_member "$member" immediate
  rm -rf "${data:?}/$member"
  if [[ -n $(slot_state "$member") ]]; then
    sql primary postgres -c "SELECT pg_drop_replication_slot('$member')" >/dev/null ||
      die "could not drop the replication slot of $member"
  fi
  sql primary postgres -c "SELECT pg_create_physical_replication_slot('$member', true)" >/dev/null ||
    die "could not create the replication slot of $member"
  output=$(as_server "$pg_bin/pg_basebackup" -D "$data/$member" -X stream -S "$member" -c fast --no-sync \
    -d "host=$run port=$(port_of primary) user=postgres" 2>&1 </dev/null) ||
    die "pg_basebackup failed for $member: $output"
  as_server touch "$data/$member/standby.signal"
  configure_postgres "$member"
  start_postgres "$member"
  set_ready "$member"
}

# Makes sure that a replica is there and running. Without its slot it may have missed WAL that is
# gone now; it is only a copy, so it is made anew.
ensure_replica() {
  local member=$1 slot
  slot=$(slot_state "$member")
  if ! is_ready "$member" || [[ -z $slot || $slot == lost ]]; then
    create_replica "$member"
    return
  fi
  configure_postgres "$member"
  pid_of "$member" >/dev/null || start_postgres "$member"
  [[ $(sql "$member" sluice -c 'SELECT pg_is_in_recovery()') == t ]] ||
    die "$member is no replica any more (it was promoted); 'stack reset' starts afresh"
}

# Waits until the primary streams to a replica.
wait_streaming() {
  local member=$1 i
  for ((i = 0; i < 300; i++)); do
    [[ $(sql primary postgres -c "SELECT state FROM pg_stat_replication
      WHERE application_name = '$member'" 2>/dev/null) != streaming ]] || return 0
    sleep 0.1
  done
  die_with_log "$member" 0 "$member does not stream from the primary"
}

ensure_redis() {
  local settings
  as_server mkdir -p "$data/redis"
  settings="# Written by scripts/stack at every start.
port $(port_of redis)
bind 127.0.0.1
unixsocket $run/redis.sock
unixsocketperm 700
dir \"$data/redis\"
pidfile \"$data/redis/redis.pid\"
logfile \"$stack_home/log/redis.log\"
daemonize yes
save \"\"
appendonly no
maxmemory 256mb
maxmemory-policy volatile-lfu"
  [[ -e $stack_home/redis.conf && $(<"$stack_home/redis.conf") == "$settings" ]] ||
    printf '%s\n' "$settings" >"$stack_home/redis.conf"
  pid_of redis >/dev/null || start_redis
  [[ $(redis_command ping 2>/dev/null) == PONG ]] || die "redis is running but does not answer"
  set_ready redis
}
