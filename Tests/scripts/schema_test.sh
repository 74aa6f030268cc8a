#!/usr/bin/env bash
# Tests the schema and the COPY encoder against a PostgreSQL of its own: migrations, commit_group,
# open_producer, staging and adoption, partitions, COPY round trip, JSON.
#   Tests/scripts/schema_test.sh [group...]      default: all groups
#   SCHEMA_BREAK='s/…/…/' breaks the schema by a sed expression first: some test must then fail.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

bin=${PG_BIN:-$(ls -d /usr/lib/postgresql/*/bin | tail -1)}
folder=$(mktemp -d /tmp/schema_test.XXXXXX)
as_owner=()
if [[ $(id -u) == 0 ]]; then
  chown postgres "$folder"
  as_owner=(runuser -u postgres --)
fi
export PGHOST=$folder PGPORT=5432 PGUSER=postgres PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
finish() {
  "${as_owner[@]}" "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap finish EXIT
chmod 755 "$folder"

passed=0
failed=0
pass() { passed=$((passed + 1)); }
fail() {
  failed=$((failed + 1))
  printf 'FAIL %s\n' "$1"
  shift
  printf '     %s\n' "$@"
}
sql() { psql -XqAt -v VERBOSITY=verbose "$@" 2>&1; }
run() { sql -c "$1"; }
# A transaction of these statements in the background, open until `release`.
hold() {
  (echo "BEGIN; $1; DO \$\$ BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN NULL; END \$\$; COMMIT" | sql -f - >/dev/null) &
  until_counted "query LIKE 'DO%pg_sleep(600)%'"
}
# Waits until a session is so.
until_counted() {
  until [[ $(run "SELECT count(*) FROM pg_stat_activity WHERE $1 AND pid <> pg_backend_pid()") == 1 ]]; do sleep 0.1; done
}
# Commits it.
release() {
  run "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO%pg_sleep(600)%' AND pid <> pg_backend_pid()" >/dev/null
}
# name, expected output, statement
expect() {
  local got
  got=$(run "$3") || true
  if [[ $got == "$2" ]]; then pass; else fail "$1" "expected: $2" "got:      $got"; fi
}
# name, pattern, statement
expect_like() {
  local got
  got=$(run "$3") || true
  if [[ $got =~ $2 ]]; then pass; else fail "$1" "expected: $2" "got:      $got"; fi
}

# The generator: prints the schema, encodes rows, judges documents.
build() {
  local sources=(Sources/Storage/Schema/Migration.swift Sources/Storage/Schema/Migrations.swift
    Sources/Storage/Schema/Migrations/*.swift)
  local name
  for name in BatchColumns CopyBuffer CopyEncoder RowLayout RowSelection RejectedValue CatalogIndex \
    BatchCheck TextCheck JSONText HotValues SQLWriter GroupStatement ProducerHead; do
    sources+=("Sources/Storage/Ingest/$name.swift")
  done
  for name in CopyFixture JSONSamples; do
    sed 's/^import Storage$//' "Tests/StorageTests/$name.swift" >"$folder/$name.swift"
    sources+=("$folder/$name.swift")
  done
  cp Tests/scripts/schema_test_main.txt "$folder/main.swift"
  swiftc -O -swift-version 6 -enable-experimental-feature Lifetimes -module-name generator \
    "${sources[@]}" "$folder/main.swift" -o "$folder/generator"
}

start() {
  "${as_owner[@]}" "$bin/initdb" -D "$folder/data" -A trust -U postgres --no-sync >/dev/null
  cat >>"$folder/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$folder'
fsync = off
deadlock_timeout = 100ms
log_min_messages = warning
timezone = 'Asia/Kathmandu'
CONF
  "${as_owner[@]}" "$bin/pg_ctl" -D "$folder/data" -l "$folder/data/log" -w start >/dev/null
}

# An empty database with the schema.
fresh() {
  run 'DROP DATABASE IF EXISTS work WITH (FORCE)' >/dev/null
  PGDATABASE=postgres run 'CREATE DATABASE work' >/dev/null
  export PGDATABASE=work
  sql -v ON_ERROR_STOP=1 -f "$folder/schema.sql"
}
database() { PGDATABASE=postgres fresh; export PGDATABASE=work; }

p() { printf '00000000-0000-0000-0000-%012x' "$1"; }
# open producer $1 in a session of its own, $2 lowest held
open() { run "SELECT epoch, durable_seq, lost_from, lost_to, recent FROM sluice.open_producer(1, '$(p "$1")', '$(p "${3:-$1}")', ${2:-0})"; }
nothing=NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1048576
# one producer: number, epoch, first, last, crc
commit() { echo "SELECT sluice.commit_group('{1}','{$(p "$1")}','{$2}','{$3}','{$4}','{\"{$3,$4,${5:-7}}\"}',$nothing)"; }

test_migrations() {
  database
  expect "migrating twice changes nothing" "" "$(cat "$folder/schema.sql")"
  # Each has a file of its own.
  local files=(Sources/Storage/Schema/Migrations/Migration*.swift)
  expect "every migration is recorded" "$(seq -s, ${#files[@]})" \
    "SELECT string_agg(version::text, ',' ORDER BY version) FROM sluice.schema_migrations"
  PGDATABASE=postgres run 'DROP DATABASE IF EXISTS twice' >/dev/null
  PGDATABASE=postgres run 'CREATE DATABASE twice' >/dev/null
  local one two
  PGDATABASE=twice sql -v ON_ERROR_STOP=1 -f "$folder/schema.sql" >"$folder/one" & one=$!
  PGDATABASE=twice sql -v ON_ERROR_STOP=1 -f "$folder/schema.sql" >"$folder/two" & two=$!
  if wait $one && wait $two; then pass; else fail "two gateways migrate at once" "$(cat "$folder/one" "$folder/two")"; fi
  expect "the objects are there" "1" "SELECT count(*) FROM sluice.tenants"
  run "INSERT INTO sluice.schema_migrations VALUES (1000, 'future', 'x')" >/dev/null
  expect_like "a newer database is refused" "newer than this gateway" "$(cat "$folder/schema.sql")"
  run "DELETE FROM sluice.schema_migrations WHERE version = 1000; UPDATE sluice.schema_migrations SET checksum = 'x' WHERE version = 2" >/dev/null
  expect_like "a changed migration is refused" "migration 2 was applied with another text" "$(cat "$folder/schema.sql")"
}

test_catalog() {
  database
  expect "keys keep their order, repeats included" "1,2|2,1|3,2|" \
    "SELECT string_agg(position || ',' || entity_id || '|', '' ORDER BY position) FROM sluice.resolve_entities(1, ARRAY['b','a','b'])"
  run "SELECT sluice.resolve_entities(1, ARRAY['a','b'])" >/dev/null
  expect "known keys use no ids" "3" "SELECT entity_id FROM sluice.resolve_entities(1, ARRAY['c'])"
  expect "existing_only creates nothing" "" "SELECT entity_id FROM sluice.resolve_entities(1, ARRAY['zz'], true)"
  expect "attributes are dense and mismatches are reported" \
    "1:1:created,2:2:created,3:1:type_mismatch,4:none:not_found," \
    "SELECT string_agg(position || ':' || coalesce(attribute_id::text, 'none') || ':' || outcome || ',', '' ORDER BY position)
     FROM sluice.resolve_attributes(1, ARRAY['t','u','t','n'], ARRAY[1,2,3,0]::smallint[], ARRAY['','','',''], ARRAY[true,false,false,false])"
  expect "the catalog's version rises" "2" "SELECT catalog_version FROM sluice.tenants"
  expect "an attribute can be made hot" "2|t" "SELECT attribute_id, is_hot FROM sluice.update_attribute(1, 'u', true, NULL)"
  run "UPDATE sluice.tenants SET may_create_names = false" >/dev/null
  expect "a tenant may be forbidden to create" "|" "SELECT entity_id, NULL FROM sluice.resolve_entities(1, ARRAY['new'])"
  run "UPDATE sluice.tenants SET may_create_names = true" >/dev/null
  local session pids=()
  for session in 1 2 3 4; do
    for round in 1 2 3 4 5; do
      echo "SELECT count(entity_id) FROM sluice.resolve_entities(1, ARRAY(SELECT 'k' || i FROM generate_series($round * 50, $round * 50 + 99) i ORDER BY random()));"
      echo "SELECT count(attribute_id) FROM sluice.resolve_attributes(1, ARRAY(SELECT 'n' || i FROM generate_series(1, $round * 10) i ORDER BY random()), array_fill(1::smallint, ARRAY[$round * 10]), array_fill(''::text, ARRAY[$round * 10]), array_fill(false, ARRAY[$round * 10]));"
    done | sql -v ON_ERROR_STOP=1 -f - >"$folder/catalog.$session" &
    pids+=($!)
  done
  wait "${pids[@]}" || fail "concurrent resolving" "$(cat "$folder"/catalog.*)"
  expect "concurrent resolving finds every key once" "300|300" \
    "SELECT count(*), count(DISTINCT entity_id) FROM sluice.entities WHERE external_key LIKE 'k%'"
  expect "concurrent resolving keeps attributes dense" "t" "SELECT count(*) = max(attribute_id) AND count(*) = 52 FROM sluice.attributes"
}

test_commit() {
  database
  open 1 >/dev/null; open 2 >/dev/null; open 3 >/dev/null
  expect "a contiguous range is taken" "0" "$(commit 1 1 1 10)"
  expect_like "a duplicate loses" "SLG01.*DETAIL: *1:1:10" "$(commit 1 1 1 10)"
  expect_like "a gap loses" "DETAIL: *1:1:10" "$(commit 1 1 12 20)"
  expect_like "an older epoch is fenced" "DETAIL: *1:1:10" "$(commit 1 0 11 20)"
  expect_like "an unknown producer loses" "DETAIL: *1:0:0" "$(commit 99 1 1 5)"
  expect "and is not made known" "3" "SELECT count(*) FROM sluice.producer_state"
  expect_like "one loser takes all with it, and only losers are named" "DETAIL: *2:1:10,4:0:0[^,]" \
    "SELECT sluice.commit_group('{1,1,1,1}','{$(p 3),$(p 1),$(p 2),$(p 98)}','{1,1,1,1}','{1,1,1,1}','{5,10,5,5}','{\"{1,5,7}\",\"{1,10,7}\",\"{}\",\"{}\"}',$nothing)"
  expect "nothing advanced" "10,0,0" "SELECT string_agg(durable_seq::text, ',' ORDER BY producer_id) FROM sluice.producer_state"
  local n
  for n in $(seq 11 20); do run "$(commit 1 1 "$n" "$n" "$n")" >/dev/null; done
  expect "the last eight batches are kept" "{13,13,13,14,14,14,15,15,15,16,16,16,17,17,17,18,18,18,19,19,19,20,20,20}" \
    "SELECT recent FROM sluice.producer_state WHERE durable_seq = 20"
  run "SELECT sluice.commit_group('{1}','{$(p 2)}','{1}','{1}','{5}','{\"{1,5,1}\"}','{1,1}','{3,5}','{2,9}',NULL,NULL,NULL,NULL,NULL,1000)" >/dev/null
  expect "rejected values are kept" "3:2,5:9" "SELECT string_agg(seq || ':' || reason, ',' ORDER BY seq) FROM sluice.rejected_values"
  run "SELECT sluice.store_rejected('{1}', '{$(p 2)}', array_fill(1, ARRAY[10050]), ARRAY(SELECT generate_series(100, 10149)), array_fill(1::smallint, ARRAY[10050]))" >/dev/null
  expect "at most 10,000 of a producer, the newest" "10000|150" "SELECT count(*), min(seq) FROM sluice.rejected_values"
  expect_like "a savepoint is refused when it matters" "0A000" \
    "BEGIN; SAVEPOINT s; SELECT sluice.commit_group('{1,1}','{$(p 2),$(p 3)}','{1,1}','{6,5}','{7,6}','{\"{}\",\"{}\"}',$nothing); COMMIT"
  run "$(commit 3 1 1 9)" >/dev/null
  # Two gateways: the second waits, then loses all although one of its producers was good.
  hold "$(commit 3 1 10 19)"
  (until_counted "wait_event_type = 'Lock'"; release) &
  expect_like "a group that waited sees what was committed" "DETAIL: *2:1:19" \
    "SELECT sluice.commit_group('{1,1}','{$(p 1),$(p 3)}','{1,1}','{21,10}','{30,12}','{\"{21,30,7}\",\"{10,12,7}\"}',$nothing)"
  wait
  expect "and leaves the others where they were" "20" "SELECT durable_seq FROM sluice.producer_state WHERE producer_id = '$(p 1)'"
}

test_concurrency() {
  database
  local n pids=()
  for n in 1 2 3 4 5 6 7 8 9 10; do open "$n" >/dev/null; done
  run "CREATE SCHEMA test;
    CREATE FUNCTION test.group(seed double precision) RETURNS integer LANGUAGE plpgsql AS \$\$
    DECLARE
      t integer[]; p uuid[]; e bigint[]; f bigint[]; l bigint[]; r text[]; h bigint[];
    BEGIN
      PERFORM setseed(seed);
      SELECT array_agg(1), array_agg(producer_id), array_agg(epoch), array_agg(durable_seq + 1),
             array_agg(durable_seq + 2), array_agg(format('{%s,%s,7}', durable_seq + 1, durable_seq + 2))
        INTO t, p, e, f, l, r FROM (SELECT * FROM sluice.producer_state ORDER BY random() LIMIT 5) s;
      INSERT INTO sluice.entity_values (entity_id, observed_at, tenant_id, attribute_id, integer)
        SELECT 1, now(), 1, ('x' || right(u.id::text, 4))::bit(16)::integer, i
        FROM unnest(p, f, l) AS u(id, a, b), generate_series(u.a, u.b) i;
      SELECT array_agg(i) INTO h FROM (SELECT 1 + (random() * 20)::integer AS i FROM generate_series(1, 10)) g;
      RETURN sluice.commit_group(t, p, e, f, l, r, NULL, NULL, NULL, array_fill(1, ARRAY[10]), h,
        array_fill(1, ARRAY[10]), array_fill((random() * 1e6)::bigint, ARRAY[10]), array_fill('1'::text, ARRAY[10]), 1000000);
    END \$\$;
    -- Holds every row lock long enough for the others to get in between.
    CREATE FUNCTION test.slow() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN PERFORM pg_sleep(0.002); RETURN NEW; END \$\$;
    CREATE TRIGGER slow BEFORE UPDATE ON sluice.producer_state FOR EACH ROW EXECUTE FUNCTION test.slow();
    CREATE TRIGGER slow BEFORE UPDATE ON sluice.entity_jsonb FOR EACH ROW EXECUTE FUNCTION test.slow()" >/dev/null
  : >"$folder/data/log"
  for n in 1 2 3 4 5 6 7 8; do
    (for i in $(seq 1 60); do echo "SELECT test.group(0.$n$i);"; done | sql -f - >"$folder/group.$n") &
    pids+=($!)
  done
  wait "${pids[@]}"
  local errors
  errors=$(cat "$folder"/group.* | sed -n 's/.*ERROR: *//p' | grep -v 'lost their place' | sort | uniq -c || true)
  if [[ -z $errors ]]; then pass; else fail "overlapping groups end well or lose their place, nothing else" "$errors"; fi
  expect "some groups met" "t" "SELECT $(grep -c 'lost their place' <(cat "$folder"/group.*)) > 0"
  expect "rows and positions agree exactly" "0" \
    "SELECT count(*) FROM sluice.producer_state p LEFT JOIN (SELECT attribute_id, count(*) n, count(DISTINCT integer) d, max(integer) m FROM sluice.entity_values GROUP BY 1) v
     ON v.attribute_id = ('x' || right(p.producer_id::text, 4))::bit(16)::integer WHERE p.durable_seq <> coalesce(v.n, 0) OR v.d <> v.n OR v.m <> v.n"

  # Folding: whatever the order of commits, the newest time wins.
  run "TRUNCATE sluice.entity_jsonb" >/dev/null
  pids=()
  for n in 1 2 3 4 5 6 7 8; do
    (for i in $(seq 1 60); do
      at=$(((i * 7919 + n * 104729) % 100000))
      echo "SELECT sluice.fold_hot_values('{1,1,1}','{$((i % 3 + 1)),$(((i + 1) % 3 + 1)),$(((i + 2) % 3 + 1))}','{1,$n,1}','{$at,$at,$at}','{$at,$at,$at}',100000);"
      echo "INSERT INTO test.seen SELECT e, a, $at FROM unnest('{$((i % 3 + 1)),$(((i + 1) % 3 + 1)),$(((i + 2) % 3 + 1))}'::bigint[],'{1,$n,1}'::integer[]) u(e, a);"
    done) >"$folder/fold.$n"
  done
  run "CREATE TABLE test.seen(e bigint, a integer, at bigint)" >/dev/null
  for n in 1 2 3 4 5 6 7 8; do sql -f "$folder/fold.$n" >"$folder/folded.$n" & pids+=($!); done
  wait "${pids[@]}"
  expect "concurrent folds end with the newest of every attribute" "0" \
    "SELECT count(*) FROM (SELECT e, a, max(at) at FROM test.seen GROUP BY 1, 2) s LEFT JOIN sluice.entity_jsonb j ON j.entity_id = s.e
     WHERE (j.hot_times ->> s.a::text)::bigint IS DISTINCT FROM s.at OR (j.hot_attrs ->> s.a::text)::bigint IS DISTINCT FROM s.at"
  if grep -q 'deadlock detected' "$folder/data/log" "$folder"/folded.*; then fail "no deadlocks"; else pass; fi
}

test_fold() {
  database
  local fold="SELECT sluice.fold_hot_values"
  expect "a new document is made" "1" "$fold('{1}','{7}','{1}','{100}','{1.5}',1000)"
  expect "late data changes nothing" "0" "$fold('{1}','{7}','{1}','{99}','{9}',1000)"
  expect "the same again changes nothing" "0" "$fold('{1}','{7}','{1}','{100}','{1.5}',1000)"
  expect "a tie goes to the later commit" "1" "$fold('{1}','{7}','{1}','{100}','{2.5}',1000)"
  expect "within a call newest wins, then the later place" "1" "$fold('{1,1,1,1}','{7,7,7,7}','{2,2,2,2}','{5,9,9,1}','{1,2,3,4}',1000)"
  expect "versions count changes" "3|{\"1\": 2.5, \"2\": 3}|{\"1\": 100, \"2\": 9}" "SELECT version, hot_attrs, hot_times FROM sluice.entity_jsonb"
  expect "a tombstone removes the value and keeps its time" "1" "$fold('{1}','{7}','{2}','{20}','{NULL}',1000)"
  expect "data older than the tombstone stays dead" "0" "$fold('{1}','{7}','{2}','{19}','{8}',1000)"
  expect "what is there now" "4|{\"1\": 2.5}|{\"1\": 100, \"2\": 20}" "SELECT version, hot_attrs, hot_times FROM sluice.entity_jsonb"
  run "$fold('{1}','{7}','{3}','{9000000000000000}','{1}',1000)" >/dev/null
  expect "upserts without a time return the version" "1|7|6" "SELECT * FROM sluice.upsert_hot_attrs('{1}','{7}','{3}',NULL,'{2}')"
  expect "and are newer than any clock" "9000000000000001" "SELECT hot_times ->> '3' FROM sluice.entity_jsonb"
  expect "hex is JSON text" "1" "$fold('{1}','{8}','{1}','{1}','{x22c3bc22}',1000)"
  expect "and comes back" "ü" "SELECT hot_attrs ->> '1' FROM sluice.entity_jsonb WHERE entity_id = 8"
  expect "a document past the cap keeps what it has" "1" "$fold('{1}','{8}','{2}','{5}','{x22$(printf '61%.0s' $(seq 1 2000))22}',1000)"
  expect "and says so" "t|{\"1\": \"ü\"}|{\"1\": 1}" "SELECT overflowed_at IS NOT NULL, hot_attrs, hot_times FROM sluice.entity_jsonb WHERE entity_id = 8"
  # Doubles come back as they went in.
  expect "every double survives" "0" "SELECT sum(sluice.fold_hot_values('{1}', ARRAY[100 + i]::bigint[], '{1}', '{1}', ARRAY[sluice.hot_text(v, NULL, NULL, NULL, NULL)], 1000)) - count(*)
    FROM unnest('{5e-324,1.7976931348623157e308,2.2250738585072014e-308,0.1,1e23,123456789012345680,-0,NaN,Infinity,-Infinity,0,4.35}'::float8[]) WITH ORDINALITY u(v, i)"
  expect "bit by bit" "12" "SELECT count(*) FROM unnest('{5e-324,1.7976931348623157e308,2.2250738585072014e-308,0.1,1e23,123456789012345680,-0,NaN,Infinity,-Infinity,0,4.35}'::float8[]) WITH ORDINALITY u(v, i)
    JOIN LATERAL (SELECT hot_attrs ->> '1' AS text FROM sluice.entity_jsonb WHERE entity_id = 100 + i OFFSET 0) j ON float8send(j.text::float8) = float8send(v)"
  run "$fold('{1}','{200}','{1}','{1}','{9223372036854775807}',1000)" >/dev/null
  expect "integers are exact" "9223372036854775807" "SELECT hot_attrs ->> '1' FROM sluice.entity_jsonb WHERE entity_id = 200"
}

test_producers() {
  database
  expect "an unknown producer starts at 0" "1|0|0|0|{}" "SELECT epoch, durable_seq, lost_from, lost_to, recent FROM sluice.open_producer(1, '$(p 1)', '$(p 11)', 0)"
  expect "the same session gets the same epoch" "1|0|0|0|{}" "SELECT epoch, durable_seq, lost_from, lost_to, recent FROM sluice.open_producer(1, '$(p 1)', '$(p 11)', 0)"
  expect "a new session raises it" "2|0|0|0|{}" "SELECT epoch, durable_seq, lost_from, lost_to, recent FROM sluice.open_producer(1, '$(p 1)', '$(p 12)', 1)"
  expect_like "and fences the older one" "DETAIL: *1:2:0" "$(commit 1 1 1 5)"
  run "$(commit 1 2 1 10)" >/dev/null
  expect "what it sent is remembered" "3|10|0|0|{1,10,7}" "SELECT epoch, durable_seq, lost_from, lost_to, recent FROM sluice.open_producer(1, '$(p 1)', '$(p 13)', 11)"
  expect "what the client still holds is no loss" "4|10|0|0|{1,10,7}" "SELECT epoch, durable_seq, lost_from, lost_to, recent FROM sluice.open_producer(1, '$(p 1)', '$(p 14)', 5)"
  expect "a shortfall is told and skipped" "5|99|11|99|{1,10,7}" "SELECT epoch, durable_seq, lost_from, lost_to, recent FROM sluice.open_producer(1, '$(p 1)', '$(p 15)', 100)"
  expect "the retry is told the same" "5|99|11|99|{1,10,7}" "SELECT epoch, durable_seq, lost_from, lost_to, recent FROM sluice.open_producer(1, '$(p 1)', '$(p 15)', 100)"
  expect "the next session is not" "6|99|0|0|{1,10,7}" "SELECT epoch, durable_seq, lost_from, lost_to, recent FROM sluice.open_producer(1, '$(p 1)', '$(p 16)', 100)"
  expect "the loss is recorded" "11|99" "SELECT from_seq, to_seq FROM sluice.lost_ranges"
  local database="(SELECT value::uuid FROM sluice.settings WHERE name = 'database_id')"
  expect "positions of another database are refused, and nothing is done" "0|0|t|6" \
    "SELECT o.epoch, o.durable_seq, o.database_id = $database, p.epoch FROM sluice.open_producer(1, '$(p 1)', '$(p 17)', 1000, '$(p 9)') o, sluice.producer_state p WHERE p.producer_id = '$(p 1)'"
  expect "those of this one are not" "7|99" "SELECT epoch, durable_seq FROM sluice.open_producer(1, '$(p 1)', '$(p 17)', 100, $database)"
  expect_like "there must be such a tenant" "no such tenant" "SELECT epoch, durable_seq, lost_from, lost_to, recent FROM sluice.open_producer(77, '$(p 1)', '$(p 11)', 0)"
}

# segment, producer, epoch, first, last
stage() {
  echo "BEGIN; INSERT INTO sluice.$1 (entity_id, observed_at, tenant_id, attribute_id, number, producer_id, seq)
    SELECT 5, to_timestamp(1000 + i), 1, 1, i, '$(p "$2")', i FROM generate_series($4, $5) i;
    SELECT sluice.stage_group('$1', '{1}', '{$(p "$2")}', '{$3}', '{$4}', '{$5}', '{77}', ${6:-NULL}, ${7:-NULL}, ${8:-NULL}); COMMIT;"
}

test_staging() {
  database
  run "SELECT sluice.resolve_attributes(1, ARRAY['t'], ARRAY[1]::smallint[], ARRAY[''], ARRAY[true])" >/dev/null
  open 1 >/dev/null; open 2 >/dev/null
  expect_like "the incarnation is there" "^[0-9]{16}$" "SELECT sluice.staging_incarnation()"
  local first second
  first=$(run "SELECT sluice.create_segment('$(p 100)', 0)")
  second=$(run "SELECT sluice.create_segment('$(p 200)', 0)")
  expect "making a segment twice finds it" "$first" "SELECT sluice.create_segment('$(p 100)', 0)"
  # However slow the machine is.
  run "UPDATE sluice.gateways SET beat_at = 'infinity'" >/dev/null
  run "$(stage "$first" 1 1 1 100)" >/dev/null
  run "$(stage "$first" 2 1 1 50 "'{1}'" "'{51}'" "'{4}'")" >/dev/null
  run "$(stage "$second" 1 1 101 150)" >/dev/null
  expect_like "an older epoch cannot stage" "DETAIL: *1:1:0" "$(stage "$first" 1 0 151 160)"
  expect "and leaves nothing" "200" "SELECT count(*) FROM sluice.entity_values_ingest"
  expect "living gateways are left alone" "0|0" "SELECT * FROM sluice.stage_flush(100)"
  # Promotion from memory: what became durable is not shown twice.
  run "INSERT INTO sluice.entity_values (entity_id, observed_at, tenant_id, attribute_id, number) SELECT 5, now(), 1, 1, i FROM generate_series(1, 100) i; $(commit 1 1 1 100)" >/dev/null
  expect "what is durable is hidden" "100|100" "SELECT (SELECT count(*) FROM sluice.entity_values_ingest), (SELECT count(*) FROM sluice.entity_values)"
  expect "a segment with more to promote is not emptied" "f" "SELECT sluice.truncate_segment('$first')"
  run "UPDATE sluice.gateways SET beat_at = now() - interval '1 minute' WHERE gateway_id = '$(p 100)'" >/dev/null
  expect "a dead gateway's batches are adopted, those of the living are not" "1|50" "SELECT * FROM sluice.stage_flush(100)"
  expect "adopting again is a no-op" "0|0" "SELECT * FROM sluice.stage_flush(100)"
  expect "adoption folds" "50" "SELECT hot_attrs ->> '1' FROM sluice.entity_jsonb WHERE entity_id = 5"
  run "UPDATE sluice.gateways SET beat_at = now() - interval '1 minute'" >/dev/null
  expect "the chain goes on in another segment" "1|50" "SELECT * FROM sluice.stage_flush(100)"
  expect "every value once" "200|150|50" "SELECT (SELECT count(*) FROM sluice.entity_values), max(durable_seq), min(durable_seq) FROM sluice.producer_state"
  expect "nothing is staged any more" "0" "SELECT count(*) FROM sluice.entity_values_ingest"
  # A reader holds the segment: truncation gives up at once.
  hold "SELECT count(*) FROM sluice.entity_values_ingest"
  expect "a segment in use is not emptied" "f" "SELECT sluice.truncate_segment('$first')"
  release
  wait
  expect "a durable segment is emptied" "t" "SELECT sluice.truncate_segment('$first')"
  expect "with its batches" "0" "SELECT count(*) FROM sluice.staged_batches WHERE segment = '$first'"
  expect "segments of the dead are dropped" "2" "SELECT sluice.drop_dead_segments('10 s')"

  # Holes, overlaps, repeats, crc ring, limit.
  first=$(run "SELECT sluice.create_segment('$(p 300)', 0)")
  run "$(stage "$first" 1 1 151 160)" >/dev/null
  run "$(stage "$first" 1 1 151 160)" >/dev/null
  run "$(stage "$first" 1 1 156 170)" >/dev/null
  run "$(stage "$first" 1 1 181 190)" >/dev/null
  run "UPDATE sluice.gateways SET beat_at = now() - interval '1 minute'" >/dev/null
  expect "repeats and overlaps move once, a hole stops" "2|20" "SELECT * FROM sluice.stage_flush(100)"
  expect "each of them once" "20|20" "SELECT count(*), count(DISTINCT number) FROM sluice.entity_values WHERE number BETWEEN 151 AND 190"
  expect "a new session takes what continues" "2|170" "SELECT epoch, durable_seq FROM sluice.open_producer(1, '$(p 1)', '$(p 12)', 171)"
  run "$(stage "$first" 1 2 171 175)" >/dev/null
  expect "open promotes what was staged before it raises the epoch" "3|175" "SELECT epoch, durable_seq FROM sluice.open_producer(1, '$(p 1)', '$(p 13)', 171)"
  expect "what was fenced does not keep a segment" "t" "SELECT sluice.truncate_segment('$first')"
  # Rejected values come along.
  run "$(stage "$first" 2 1 51 60 "'{1}'" "'{55}'" "'{4}'")" >/dev/null
  run "UPDATE sluice.gateways SET beat_at = now() - interval '1 minute'; SELECT sluice.stage_flush(100)" >/dev/null
  expect "rejected values are kept" "55|4" "SELECT seq, reason FROM sluice.rejected_values"
  # Two adopters at once.
  run "$(stage "$first" 2 1 61 20000)" >/dev/null
  run "UPDATE sluice.gateways SET beat_at = now() - interval '1 minute'" >/dev/null
  (run "SELECT * FROM sluice.stage_flush(100)" >"$folder/adopt.1") & (run "SELECT * FROM sluice.stage_flush(100)" >"$folder/adopt.2") &
  wait
  expect "two adopters move each value once" "19940|19940" "SELECT count(*), count(DISTINCT number) FROM sluice.entity_values WHERE ingested_at = (SELECT max(ingested_at) FROM sluice.entity_values)"

  # Opening behind what is staged: patiently while its gateway lives, by an index when it is dead.
  local patient="SELECT epoch, durable_seq FROM sluice.open_producer(1, '$(p 3)', '$(p 33)', 1, NULL, true)"
  local segment
  segment=$(run "SELECT sluice.create_segment('$(p 500)', 0)")
  run "UPDATE sluice.gateways SET beat_at = 'infinity'" >/dev/null
  open 3 >/dev/null
  run "$(stage "$segment" 3 1 1 60000)" >/dev/null
  expect "a patient opening leaves promotion to a living gateway" "0|0" "$patient"
  expect "and fences nobody" "1" "SELECT epoch FROM sluice.producer_state WHERE producer_id = '$(p 3)'"
  run "UPDATE sluice.gateways SET beat_at = now() - interval '1 minute'" >/dev/null
  run "$(stage "$segment" 3 1 60001 60100)" >/dev/null
  hold "LOCK TABLE sluice.$segment IN ROW EXCLUSIVE MODE"
  run "SELECT sluice.index_dead_segment('$segment')" >/dev/null
  expect "whoever still writes there is not waited for" "0" "SELECT count(*) FROM pg_index WHERE indrelid = 'sluice.$segment'::regclass"
  release
  wait
  expect "a dead one's segment is promoted by whoever opens" "2|60100" "$patient"
  expect "with an index for all who come behind" "1" "SELECT count(*) FROM pg_index WHERE indrelid = 'sluice.$segment'::regclass"
  run "SELECT sluice.truncate_segment('$segment')" >/dev/null

  # A crash empties staging and shows a new incarnation.
  local before
  before=$(run "SELECT sluice.staging_incarnation()")
  run "$(stage "$first" 2 1 20001 20010)" >/dev/null
  "${as_owner[@]}" "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null
  "${as_owner[@]}" "$bin/pg_ctl" -D "$folder/data" -l "$folder/data/log" -w start >/dev/null
  expect "a crash shows a new incarnation" "t|0" "SELECT sluice.staging_incarnation() > $before, (SELECT count(*) FROM sluice.staged_rows)"
  expect "what was durable stays" "20000" "SELECT durable_seq FROM sluice.producer_state WHERE producer_id = '$(p 2)'"

  # A staging commit waits for no disk: nothing it writes is logged but its own commit.
  first=$(run "SELECT sluice.create_segment('$(p 400)', 0)")
  local bytes
  bytes=$(printf '%s\n' "SELECT pg_current_wal_insert_lsn() AS before \gset" \
    "\o /dev/null" "$(stage "$first" 2 1 20001 20100)" "\o" \
    "SELECT pg_current_wal_insert_lsn() - :'before'" | sql -f -)
  if [[ $bytes -lt 200 ]]; then pass; else fail "staging logs nothing but its commit" "$bytes bytes"; fi
}

test_partitions() {
  database
  expect "the default width is there" "4" "SELECT count(*) FROM sluice.partition_ranges"
  expect "bounds are UTC, whatever the session says" "t" "SELECT bool_and(lower(covers) AT TIME ZONE 'UTC' = date_trunc('day', lower(covers) AT TIME ZONE 'UTC')) FROM sluice.partition_ranges"
  expect "again there is nothing to do" "" "SELECT * FROM sluice.ensure_partitions()"
  expect "narrower windows wait for the end of wider ones" "0" "SELECT count(*) FROM sluice.ensure_partitions('hour', 2)"
  expect "wider windows take what is left" "t" "SELECT count(*) >= 1 AND min(range_from) = (SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + interval '4 days') FROM sluice.ensure_partitions('month', 1)"
  expect "no overlap, no hole" "t" "SELECT count(*) = 1 FROM (SELECT unnest(range_agg(covers)) FROM sluice.partition_ranges) r"
  expect "weeks, too" "t" "SELECT count(*) >= 0 FROM sluice.ensure_partitions('week', 8)"
  expect_like "an unknown width is refused" "must be hour, day" "SELECT * FROM sluice.ensure_partitions('year', 1)"
  local n pids=()
  for n in 1 2 3 4; do (run "SELECT count(*) FROM sluice.ensure_partitions('hour', 2000 / 2)" >"$folder/ensure.$n") & pids+=($!); done
  wait "${pids[@]}"
  if grep -q ERROR "$folder"/ensure.*; then fail "four at once" "$(cat "$folder"/ensure.*)"; else pass; fi
  expect "the default partition is empty" "0" "SELECT sluice.default_partition_rows()"

  database
  run "DO \$\$ DECLARE r record; BEGIN FOR r IN SELECT partition_name FROM sluice.partition_ranges LOOP EXECUTE 'DROP TABLE sluice.' || r.partition_name; END LOOP; END \$\$;
    INSERT INTO sluice.entity_values (entity_id, observed_at, tenant_id, attribute_id, number) SELECT 1, now(), 1, 1, i FROM generate_series(1, 10) i" >/dev/null
  expect_like "without a partition rows are caught, and alarm" "^[1-9]" "SELECT sluice.default_partition_rows()"
  expect_like "a new partition takes them over" "default emptied into it" "SELECT action FROM sluice.ensure_partitions('day', 0)"
  expect "and the alarm ends" "0|10|0" "SELECT sluice.default_partition_rows(), (SELECT count(*) FROM sluice.entity_values), (SELECT count(*) FROM sluice.entity_values_default)"
  run "CREATE TABLE sluice.old (LIKE sluice.entity_values INCLUDING DEFAULTS); ALTER TABLE sluice.entity_values ATTACH PARTITION sluice.old FOR VALUES FROM ('2001-01-01') TO ('2001-02-01')" >/dev/null
  hold "SELECT count(*) FROM sluice.entity_values"
  expect "a partition in use is reported" "old|busy" "SELECT partition_name, action FROM sluice.drop_expired_partitions('1 day')"
  release
  wait
  expect "retention drops whole partitions" "old|dropped" "SELECT partition_name, action FROM sluice.drop_expired_partitions('1 day')"
  # Writers go on while partitions are attached.
  hold "INSERT INTO sluice.entity_values (entity_id, observed_at, tenant_id, attribute_id) SELECT 1, now(), 1, 1"
  expect "attaching does not wait for writers" "created" "SELECT action FROM sluice.ensure_partitions('day', 1)"
  release
  wait
}

test_operations() {
  database
  open 1 >/dev/null; open 2 >/dev/null
  run "UPDATE sluice.producer_state SET updated_at = now() - interval '401 days', opened_at = now() - interval '401 days' WHERE producer_id = '$(p 1)'; INSERT INTO sluice.rejected_values (tenant_id, producer_id, seq, reason) SELECT 1, producer_id, 7, 1 FROM sluice.producer_state" >/dev/null
  expect "a producer of long ago is forgotten with its rejected values" "1" "SELECT sluice.forget_producers()"
  expect "the other one is not" "1|1" "SELECT (SELECT count(*) FROM sluice.producer_state), (SELECT count(*) FROM sluice.rejected_values)"
  run "SELECT sluice.beat(); SELECT pg_sleep(0.6); SELECT sluice.beat(); SELECT sluice.beat()" >/dev/null
  expect "beats that come at once are one" "2|2" "SELECT (SELECT beat FROM sluice.heartbeat), (SELECT count(*) FROM sluice.heartbeat_history)"
  run "INSERT INTO sluice.heartbeat_history SELECT now() - i * interval '1 second', '0/1', 0, 1, 1 FROM generate_series(2, 7200) i; SELECT pg_sleep(0.6); SELECT sluice.beat()" >/dev/null
  expect "history thins out and ends" "t" "SELECT count(*) BETWEEN 400 AND 450 AND max(now() - beat_at) BETWEEN '60 minutes' AND '67 minutes' FROM sluice.heartbeat_history"
  expect "all is well" "" "SELECT check_name FROM sluice.health_check() WHERE NOT ok"
  expect "throughput can be read" "t" "SELECT count(*) > 1 FROM sluice.v_write_throughput"
  expect "lag can be read" "0" "SELECT count(*) FROM sluice.check_replication_lag()"
}

test_copy() {
  database
  local seed
  for seed in 1 2 3; do
    (cd "$folder" && ./generator rows "$seed" >/dev/null)
    chmod 644 "$folder"/*.copy
    run "TRUNCATE sluice.entity_values" >/dev/null
    sql -v ON_ERROR_STOP=1 -c "COPY sluice.entity_values($("$folder/generator" columns)) FROM '$folder/direct.copy' (FORMAT binary)" || fail "COPY of rows, seed $seed"
    local query="entity_id, (extract(epoch FROM observed_at) * 1000000)::bigint, tenant_id, attribute_id,
      encode(float8send(number), 'hex'), integer, flag, 'x' || encode(convert_to(label, 'UTF8'), 'hex'), 'x' || encode(convert_to(document::text, 'UTF8'), 'hex')"
    sql -c "SELECT $query FROM sluice.entity_values" >"$folder/got.txt"
    if cmp -s "$folder/expected.txt" "$folder/got.txt"; then pass; else fail "rows come back as they were, seed $seed" "$(diff "$folder/expected.txt" "$folder/got.txt" | cut -c1-200 | head -6)"; fi
    run "DELETE FROM sluice.segment_state" >/dev/null
    local segment
    segment=$(run "SELECT sluice.create_segment('$(p "$seed")', 0)")
    sql -v ON_ERROR_STOP=1 -c "COPY sluice.$segment($("$folder/generator" stagedColumns)) FROM '$folder/staged.copy' (FORMAT binary)" || fail "COPY of staged rows, seed $seed"
    sql -c "SELECT $query FROM sluice.$segment" >"$folder/got.txt"
    if cmp -s "$folder/expected.txt" "$folder/got.txt"; then pass; else fail "staged rows come back as they were, seed $seed"; fi
    sql -c "SELECT producer_id || ' ' || seq FROM sluice.$segment" >"$folder/got.txt"
    if cmp -s "$folder/sequences.txt" "$folder/got.txt"; then pass; else fail "staged rows have their producer and sequence numbers, seed $seed" "$(diff "$folder/sequences.txt" "$folder/got.txt" | head -4)"; fi
  done
  # The whole transaction, with the statement's own text.
  database
  open 1 >/dev/null; open 2 >/dev/null
  run "SELECT sluice.resolve_attributes(1, ARRAY['a','b','c','d','e'], ARRAY[1,2,3,4,5]::smallint[], array_fill(''::text, ARRAY[5]), array_fill(true, ARRAY[5]))" >/dev/null
  (cd "$folder" && ./generator group)
  chmod 644 "$folder"/*.copy
  sed "s#FROM STDIN#FROM '$folder/direct.copy'#" "$folder/group.sql" >"$folder/group2.sql"
  sql -v ON_ERROR_STOP=1 -f "$folder/group2.sql" >"$folder/group.out" || fail "the durable transaction" "$(cut -c1-300 "$folder/group.out")"
  expect "producers advanced" "30,30" "SELECT string_agg(durable_seq::text, ',' ORDER BY producer_id) FROM sluice.producer_state"
  expect "rejected values are stored" "2" "SELECT seq FROM sluice.rejected_values"
  expect "hot values are folded" '{"1": "NaN", "2": -9223372036854775808, "3": true, "4": "ü\"\\\t€", "5": {"a": [1]}}' "SELECT hot_attrs FROM sluice.entity_jsonb WHERE entity_id = 1"
  expect "batches are remembered" "{1,10,11,11,30,12}" "SELECT recent FROM sluice.producer_state WHERE producer_id = '$(p 1)'"
}

test_json() {
  database
  (cd "$folder" && ./generator json "${JSON_SEED:-1}" 20000)
  chmod 644 "$folder/json.txt"
  run "CREATE TABLE documents(hex text, verdict text);
    CREATE FUNCTION takes(hex text) RETURNS boolean LANGUAGE plpgsql AS \$\$ BEGIN PERFORM convert_from(decode(hex, 'hex'), 'UTF8')::jsonb; RETURN true; EXCEPTION WHEN OTHERS THEN RETURN false; END \$\$;
    COPY documents FROM '$folder/json.txt'" >/dev/null
  run "ALTER TABLE documents ADD taken boolean; UPDATE documents SET taken = takes(hex)" >/dev/null
  expect "what passes here passes there" "" "SELECT left(hex, 200) FROM documents WHERE verdict = 'ok' AND NOT taken LIMIT 5"
  expect "what fails here fails there, but for depth and zeros with large exponents" "" "SELECT verdict, left(hex, 200) FROM documents WHERE verdict NOT IN ('ok', 'jsonTooDeep') AND taken
    AND convert_from(decode(hex, 'hex'), 'UTF8') !~ '0[.0]*[eE][+]?[0-9]{6}' LIMIT 5"
  expect "both kinds were tried" "t" "SELECT count(*) FILTER (WHERE taken) > 3000 AND count(*) FILTER (WHERE NOT taken) > 3000 FROM documents"
}

all=(migrations catalog commit concurrency fold producers staging partitions operations copy json)
build
start
"$folder/generator" sql | sed "${SCHEMA_BREAK:-}" >"$folder/schema.sql"
chmod 644 "$folder/schema.sql"
for group in "${@:-${all[@]}}"; do
  for name in $group; do "test_$name"; done
done
echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
