# shellcheck shell=bash disable=SC2034
# Finds the PostgreSQL server programs, wherever the distribution put them.

postgres_major_min=14

# Prints "MAJOR BINDIR" of every complete server installation, newest first.
# Debian keeps the server out of PATH, and what PATH has may be one link among others.
list_postgres() {
  local directory major found=" "
  for directory in "${SLUICE_STACK_PG_BINDIR:-}" /usr/lib/postgresql/*/bin \
    "$(pg_config --bindir 2>/dev/null || true)" \
    "$(dirname "$(readlink -f "$(command -v postgres || true)")" 2>/dev/null || true)" \
    /usr/local/pgsql/bin; do
    [[ -n $directory && $found != *" $directory "* ]] || continue
    found+="$directory "
    [[ -x $directory/postgres && -x $directory/initdb && -x $directory/pg_ctl &&
      -x $directory/psql && -x $directory/pg_basebackup && -x $directory/pg_dump ]] || continue
    major=$("$directory/postgres" --version 2>/dev/null | sed -n 's/^[^0-9]*\([0-9]*\).*/\1/p')
    [[ -n $major && $major -ge $postgres_major_min ]] || continue
    printf '%s %s\n' "$major" "$directory"
  done | sort -rn -k1,1 -s
}

# Sets pg_bin and pg_major: the newest server, or the one of the given major version.
# SLUICE_STACK_PG_BINDIR names a folder that wins. Returns 1 when there is none.
find_postgres() {
  local wanted=${1:-} major directory
  pg_bin="" pg_major=""
  while read -r major directory; do
    [[ -z $wanted || $major == "$wanted" ]] || continue
    if [[ -z $pg_bin || $directory == "${SLUICE_STACK_PG_BINDIR:-}" ]]; then
      pg_bin=$directory pg_major=$major
    fi
  done < <(list_postgres)
  [[ -n $pg_bin ]]
}
