# shellcheck shell=bash disable=SC2154
# Connects the warehouse to the primary by logical replication.
#
# Tables without a replica identity may only send inserts, or the primary would refuse to update
# them; so there are two publications. Partitions arrive under the name of their root, so a
# partition made later needs no change here: its rows find their place on the warehouse, at worst
# in the default partition.

# Permanent tables of the schema, roots instead of partitions, as "name|t" (has an identity) or "name|f".
tables_query="SELECT format('%I.%I', n.nspname, c.relname) || '|' || (CASE c.relreplident
    WHEN 'n' THEN false WHEN 'd' THEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
    ELSE true END)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = 'sluice' AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition
  ORDER BY c.relname"

# The columns of these tables; equal on both sides or replication would stop at the first row.
columns_query="SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
  WHERE n.nspname = 'sluice' AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition
    AND a.attnum > 0 AND NOT a.attisdropped
  ORDER BY 1, 2"

has_subscription() {
  [[ -n $(sql warehouse sluice -c "SELECT 1 FROM pg_subscription WHERE subname = 'sluice_warehouse'") ]]
}

primary_connection() { printf 'host=%s port=%s user=postgres dbname=sluice' "$run" "$(port_of primary)"; }

# Removes the subscription, its slot and the warehouse's copy of the schema.
forget_warehouse() {
  if has_subscription; then
    # Apart from its slot, so that this also works when the slot is lost.
    sql warehouse sluice -c 'ALTER SUBSCRIPTION sluice_warehouse DISABLE' \
      -c 'ALTER SUBSCRIPTION sluice_warehouse SET (slot_name = NONE)' \
      -c 'DROP SUBSCRIPTION sluice_warehouse' || die "could not drop the subscription"
  fi
  drop_slot
  sql warehouse sluice -c 'SET client_min_messages = warning' -c 'DROP SCHEMA IF EXISTS sluice CASCADE' ||
    die "could not empty the warehouse"
}

# Drops the slot on the primary once its sender has gone.
drop_slot() {
  local i
  for ((i = 0; i < 100; i++)); do
    [[ -n $(sql primary sluice -c "SELECT 1 FROM pg_replication_slots
      WHERE slot_name = 'sluice_warehouse' AND active") ]] || break
    sleep 0.1
  done
  sql primary sluice -c "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
    WHERE slot_name = 'sluice_warehouse'" >/dev/null || die "could not drop the slot of the subscription"
}

# Makes or updates one publication: publish NAME OPERATIONS TABLES. Without tables there is none.
publish() {
  local name=$1 operations=$2 tables=$3
  if [[ -z $tables ]]; then
    sql primary sluice -c 'SET client_min_messages = warning' -c "DROP PUBLICATION IF EXISTS $name"
  elif [[ -n $(sql primary sluice -c "SELECT 1 FROM pg_publication WHERE pubname = '$name'") ]]; then
    sql primary sluice -c "ALTER PUBLICATION $name SET TABLE $tables"
  else
    sql primary sluice -c "CREATE PUBLICATION $name FOR TABLE $tables
      WITH (publish = '$operations', publish_via_partition_root = true)"
  fi || die "could not publish $tables"
}

# Copies the definition of the schema, and the extensions it may need, to the warehouse.
copy_schema() {
  local extension
  while read -r extension; do
    sql warehouse sluice -c 'SET client_min_messages = warning' \
      -c "CREATE EXTENSION IF NOT EXISTS \"$extension\" CASCADE" ||
      die "could not create extension $extension on the warehouse"
  done < <(sql primary sluice -c "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'")
  "$pg_bin/pg_dump" --schema-only --schema=sluice --no-publications --no-subscriptions \
    -d "$(primary_connection)" 9>&- |
    "$pg_bin/psql" -XqAt -v ON_ERROR_STOP=1 --single-transaction -o /dev/null \
      -d "host=$run port=$(port_of warehouse) user=postgres dbname=sluice" 9>&- ||
    die "could not copy the schema to the warehouse"
}

# Brings functions that a migration added or changed since to the warehouse.
copy_functions() {
  sql primary sluice -c "SELECT pg_get_functiondef(oid) || ';' FROM pg_proc
      WHERE pronamespace = 'sluice'::regnamespace AND prokind IN ('f', 'p') ORDER BY oid" |
    "$pg_bin/psql" -XqAt -v ON_ERROR_STOP=1 --single-transaction -o /dev/null \
      -d "host=$run port=$(port_of warehouse) user=postgres dbname=sluice" 9>&- ||
    die "could not copy functions to the warehouse; start it anew with 'stack subscribe --fresh'"
}

# Brings an existing subscription back after a start of the servers: after a change of ports it looks
# for the primary in the wrong place.
resume_subscription() {
  local i
  has_subscription || return 0
  if [[ $(sql warehouse sluice -c "SELECT subconninfo FROM pg_subscription
      WHERE subname = 'sluice_warehouse'") != "$(primary_connection)" ]]; then
    sql warehouse sluice -c "ALTER SUBSCRIPTION sluice_warehouse CONNECTION '$(primary_connection)'"
  fi
  for ((i = 0; i < 100; i++)); do
    [[ -z $(sql primary sluice -c "SELECT 1 FROM pg_stat_replication
      WHERE application_name = 'sluice_warehouse'") ]] || return 0
    sleep 0.1
  done
  say "the warehouse does not stream from the primary (its slot: $(slot_state sluice_warehouse)); 'stack subscribe' says more"
}

subscribe() {
  local fresh=$1 timeout=$2 table identity full="" inserts="" names="" slot waiting i
  while IFS='|' read -r table identity; do
    if [[ $identity == t* ]]; then full+=", $table"; else inserts+=", $table"; fi
  done < <(sql primary sluice -c "$tables_query")
  [[ -n $full$inserts ]] || die "the primary has no schema 'sluice' with tables; run 'sluice migrate' first"

  slot=$(slot_state sluice_warehouse)
  if ((!fresh)) && has_subscription && [[ -z $slot || $slot == lost ]]; then
    die "the warehouse has fallen behind for good (its slot is ${slot:-gone}); start it anew with 'stack subscribe --fresh'"
  fi
  ((!fresh)) || forget_warehouse

  publish sluice_warehouse 'insert, update, delete, truncate' "${full#, }"
  publish sluice_warehouse_inserts insert "${inserts#, }"
  [[ -z $full ]] || names+=", sluice_warehouse"
  [[ -z $inserts ]] || names+=", sluice_warehouse_inserts"

  if [[ -z $(sql warehouse sluice -c "SELECT 1 FROM pg_namespace WHERE nspname = 'sluice'") ]]; then
    say "the schema is being copied to the warehouse"
    copy_schema
  elif [[ $(sql primary sluice -c "$columns_query") != "$(sql warehouse sluice -c "$columns_query")" ]]; then
    die "the warehouse has an older schema; start it anew with 'stack subscribe --fresh'"
  else
    copy_functions
  fi

  if has_subscription; then
    sql warehouse sluice -c "ALTER SUBSCRIPTION sluice_warehouse ENABLE" \
      -c "ALTER SUBSCRIPTION sluice_warehouse SET PUBLICATION ${names#, }" || die "could not update the subscription"
  else
    [[ -z $slot ]] || drop_slot
    sql warehouse sluice -c 'SET client_min_messages = warning' -c "CREATE SUBSCRIPTION sluice_warehouse
      CONNECTION '$(primary_connection)' PUBLICATION ${names#, }" || die "could not create the subscription"
  fi

  say "waiting until the warehouse has copied every table"
  for ((i = 0; i < timeout * 10; i++)); do
    waiting=$(sql warehouse sluice -c "SELECT string_agg(srrelid::regclass::text, ', ')
      FROM pg_subscription_rel WHERE srsubstate <> 'r'")
    if [[ -z $waiting ]]; then
      say "the warehouse is subscribed"
      return
    fi
    sleep 0.1
  done
  die_with_log warehouse 0 "the warehouse has not copied these tables within $timeout s: $waiting"
}
