# shellcheck shell=bash disable=SC2154
# Gives every stack five ports of its own.
#
# A stack needs its ports seconds before its servers listen on them, so a look at what is listening
# is not enough: a claim file per base port, written under a lock, keeps parallel stacks apart. A
# claim is void once the folder it names is gone.

ports_claims=/tmp/sluice-stack-ports-$EUID
ports_per_stack=5

# Prints the TCP ports in state LISTEN, one per line.
listening_ports() {
  local port
  { cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || true; } |
    awk '$4 == "0A" { n = split($2, part, ":"); print part[n] }' |
    while read -r port; do printf '%d\n' "0x$port"; done
}

# Succeeds when none of the ports from $1 on is listening. $2: output of listening_ports.
ports_are_free() {
  local port
  for ((port = $1; port < $1 + ports_per_stack; port++)); do
    [[ $'\n'$2$'\n' != *$'\n'$port$'\n'* ]] || return 1
  done
}

# Succeeds when another stack has claimed base port $1; sets claimant, for people.
base_is_claimed() {
  local claim owner
  for claim in /tmp/sluice-stack-ports-*/"$1"; do
    [[ -e $claim ]] || continue
    owner=""
    { read -r owner <"$claim"; } 2>/dev/null || true
    claimant="${owner:-a folder that cannot be read} (user $(stat -c %U "$claim" 2>/dev/null))"
    [[ -O $claim ]] || return 0 # another user's folder cannot be looked at
    [[ $owner == "$stack_dir" || ! -d $owner ]] || return 0
  done
  return 1
}

# Claims base port $1, or a free one when $1 is empty, for $stack_dir; sets port_base.
claim_ports() {
  local wanted=${1:-} listening seed i
  mkdir -p "$ports_claims"
  [[ -d $ports_claims && ! -L $ports_claims && -O $ports_claims ]] ||
    die "$ports_claims does not belong to this user; remove it or have it removed"
  exec 8>"$ports_claims/lock"
  flock -w 30 8 || die "could not lock $ports_claims/lock within 30 s"
  listening=$(listening_ports)
  port_base=""
  if [[ -n $wanted ]]; then
    base_is_claimed "$wanted" && die "ports from $wanted on are claimed by another stack: $claimant"
    ports_are_free "$wanted" "$listening" ||
      die "one of the ports $wanted to $((wanted + ports_per_stack - 1)) is in use"
    port_base=$wanted
  else
    # 20000-31990 lies below the ports that Linux gives to outgoing connections.
    seed=$(cksum <<<"$EUID $stack_dir")
    seed=${seed%% *}
    for ((i = 0; i < 1200; i++)); do
      port_base=$((20000 + (seed + i) % 1200 * 10))
      if ! base_is_claimed "$port_base" && ports_are_free "$port_base" "$listening"; then break; fi
      port_base=""
    done
    [[ -n $port_base ]] || die "no free ports between 20000 and 31999; name some with --port-base"
  fi
  printf '%s\n' "$stack_dir" >"$ports_claims/$port_base"
  exec 8>&-
}

# Gives up the claim on base port $1.
release_ports() {
  local claim=$ports_claims/$1 owner=""
  [[ -O $claim ]] || return 0
  read -r owner <"$claim" || true
  [[ $owner != "$stack_dir" ]] || rm -f "$claim"
}
