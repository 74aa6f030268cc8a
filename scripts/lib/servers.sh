# shellcheck shell=bash disable=SC2154
# Starts, finds and stops the servers of a stack, each by its own process id.
#
# Wants: stack_home, data, run, port_base, pg_bin, server_user.

members=(primary replica1 replica2 warehouse redis)

# Port of a member: the base plus its place in the list.
port_of() {
  local i
  for i in "${!members[@]}"; do
    [[ ${members[i]} != "$1" ]] || { printf '%d' $((port_base + i)); return; }
  done
}

# Runs a command as the user the servers run as. Servers must not inherit the stack's lock (9).
as_server() {
  if ((EUID == 0)); then
    setpriv --reuid "$server_user" --regid "$(id -g "$server_user")" --init-groups -- "$@" 9>&-
  else
    "$@" 9>&-
  fi
}

# Runs SQL given by further psql arguments as superuser: sql MEMBER DATABASE [psql arguments]
sql() {
  local member=$1 database=$2
  shift 2
  PGCONNECT_TIMEOUT=10 "$pg_bin/psql" -XAtq -v ON_ERROR_STOP=1 \
    "host=$run port=$(port_of "$member") user=postgres dbname=$database" "$@" </dev/null 9>&-
}

redis_command() { timeout 10 redis-cli -s "$run/redis.sock" "$@" 9>&-; }

pid_file() {
  if [[ $1 == redis ]]; then printf '%s' "$data/redis/redis.pid"; else printf '%s' "$data/$1/postmaster.pid"; fi
}

# Prints the process id of a running member. A pid file alone proves nothing, its number may
# belong to another process by now: the process must work in the member's own data folder.
pid_of() {
  local pid=""
  { read -r pid <"$(pid_file "$1")"; } 2>/dev/null || [[ -n $pid ]] || return 1
  [[ $pid =~ ^[0-9]+$ && $(readlink "/proc/$pid/cwd" 2>/dev/null) == "$data/$1" ]] || return 1
  # A stopped server that nobody has waited for yet is gone too.
  [[ $(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null) != Z* ]] || return 1
  printf '%s' "$pid"
}

# Prints every process working in the data folder of a member.
processes_of() {
  local link
  for link in /proc/[0-9]*/cwd; do
    if [[ $(readlink "$link" 2>/dev/null) == "$data/$1" ]]; then
      link=${link#/proc/}
      printf '%s\n' "${link%/cwd}"
    fi
  done
}

# After a crash of a member: waits for the children it left behind, then clears its pid file.
clear_crashed() {
  local member=$1 pid i
  [[ -e $(pid_file "$member") || -e $run/.s.PGSQL.$(port_of "$member").lock ]] || return 0
  for ((i = 0; i < 100; i++)); do
    [[ -n $(processes_of "$member") ]] || break
    sleep 0.1
  done
  # Ten seconds without a server: they will not leave by themselves.
  for pid in $(processes_of "$member"); do kill -KILL "$pid" 2>/dev/null || true; done
  rm -f "$(pid_file "$member")"
  if [[ $member == redis ]]; then
    rm -f "$run/redis.sock"
  else
    rm -f "$run/.s.PGSQL.$(port_of "$member")" "$run/.s.PGSQL.$(port_of "$member").lock"
  fi
}

# Ends the script with what a server wrote to its log from byte $2 on.
die_with_log() {
  local member=$1 offset=$2 message=$3 log=$stack_home/log/$1.log
  {
    printf '%s: %s; the end of %s:\n' "$program" "$message" "$log"
    tail -c +$((offset + 1)) "$log" 2>/dev/null | tail -n 20 | sed 's/^/  | /'
  } >&2
  die "$message"
}

log_bytes() { stat -c %s "$stack_home/log/$1.log" 2>/dev/null || printf 0; }

start_postgres() {
  local member=$1 offset
  clear_crashed "$member"
  offset=$(log_bytes "$member")
  as_server "$pg_bin/pg_ctl" start -s -w -t 120 -D "$data/$member" -l "$stack_home/log/$member.log" \
    </dev/null >/dev/null 2>&1 || die_with_log "$member" "$offset" "$member did not start"
  say "$member started on port $(port_of "$member")"
}

start_redis() {
  local offset i
  clear_crashed redis
  offset=$(log_bytes redis)
  as_server redis-server "$stack_home/redis.conf" </dev/null >/dev/null 2>&1 ||
    die_with_log redis "$offset" "redis did not start"
  for ((i = 0; i < 100; i++)); do
    if [[ $(redis_command ping 2>/dev/null) == PONG ]]; then
      say "redis started on port $(port_of redis)"
      return
    fi
    sleep 0.05
  done
  die_with_log redis "$offset" "redis did not start"
}

# Waits up to $2 seconds for process $1 to end.
wait_gone() {
  local i
  for ((i = 0; i < $2 * 20; i++)); do
    [[ -d /proc/$1 && $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) != Z* ]] || return 0
    sleep 0.05
  done
  return 1
}

# Stops a member and waits: stop_member MEMBER fast|immediate
stop_member() {
  local member=$1 mode=$2 pid signal=INT
  if ! pid=$(pid_of "$member"); then
    clear_crashed "$member"
    return 0
  fi
  [[ $mode == fast ]] || signal=QUIT
  [[ $member != redis ]] || signal=TERM
  kill "-$signal" "$pid" 2>/dev/null || true
  kill -CONT "$pid" 2>/dev/null || true # a test may have frozen it
  if ! wait_gone "$pid" 60; then
    say "$member did not stop within 60 s, so it is killed"
    kill -KILL "$pid" 2>/dev/null || true
    wait_gone "$pid" 10 || die "process $pid ($member) cannot be stopped"
  fi
  clear_crashed "$member"
  say "$member stopped"
}
