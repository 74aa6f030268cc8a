// Staging: segments, what was staged, opening a session over it, and adoption from dead gateways.

extension Migration {
  static let staging = Migration(
    version: 5,
    name: "staging",
    sql: #"""
      -- Another number after every crash recovery and failover: what was staged before is gone.
      CREATE FUNCTION sluice.staging_incarnation() RETURNS bigint LANGUAGE plpgsql AS $function$
      DECLARE
        found_incarnation bigint;
      BEGIN
        LOOP
          SELECT m.incarnation INTO found_incarnation FROM sluice.staging_meta m;
          IF FOUND THEN
            RETURN found_incarnation;
          END IF;
          -- The clock, not a sequence: what a sequence gave out may be lost in the same crash.
          INSERT INTO sluice.staging_meta (incarnation)
            VALUES ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
            ON CONFLICT DO NOTHING;
        END LOOP;
      END
      $function$;

      -- Says that a gateway lives; once a second.
      CREATE FUNCTION sluice.gateway_beat(gateway uuid, cache boolean DEFAULT NULL) RETURNS void
        LANGUAGE sql AS $function$
        SELECT set_config('synchronous_commit', 'local', true);
        INSERT INTO sluice.gateways AS g (gateway_id, has_cache) VALUES (gateway, cache)
        ON CONFLICT (gateway_id) DO UPDATE
          SET beat_at = clock_timestamp(), has_cache = coalesce(excluded.has_cache, g.has_cache)
      $function$;

      -- Makes (or finds) a segment of a gateway's writer and returns its table name in schema
      -- sluice.
      CREATE FUNCTION sluice.create_segment(gateway uuid, slot integer) RETURNS text
        LANGUAGE plpgsql AS $function$
      DECLARE
        segment_name text := 'segment_' || replace(gateway::text, '-', '') || '_' || slot;
      BEGIN
        -- What is lost with it is made again: nobody waits for a replica's sake.
        PERFORM set_config('synchronous_commit', 'local', true);
        PERFORM pg_advisory_xact_lock(5497231, 3);
        PERFORM sluice.gateway_beat(gateway);
        EXECUTE format('CREATE UNLOGGED TABLE IF NOT EXISTS sluice.%I () INHERITS '
        '(sluice.staged_rows) '
                       'WITH (autovacuum_enabled = off)', segment_name);
        INSERT INTO sluice.segment_state (segment, gateway_id, slot)
          VALUES (segment_name, gateway, slot)
          ON CONFLICT (segment) DO NOTHING;
        RETURN segment_name;
      END
      $function$;

      -- Last in a staging transaction, after the COPY into `segment_name`: one entry per batch.
      -- Returns the incarnation. Takes no row lock and writes no WAL, so the commit waits for no
      -- disk: the epoch is held by a shared advisory lock, which open_producer takes exclusively to
      -- raise it.
      -- SLG01 as commit_group, but only the epoch is checked.
      CREATE FUNCTION sluice.stage_group(
        segment_name text, tenants integer[], producers uuid[], epochs bigint[], firsts bigint[],
          lasts bigint[],
        crcs bigint[], rejected_slots integer[] DEFAULT NULL, rejected_seqs bigint[] DEFAULT NULL,
        rejected_reasons smallint[] DEFAULT NULL)
      RETURNS bigint LANGUAGE plpgsql AS $function$
      DECLARE
        losers text;
      BEGIN
        PERFORM pg_advisory_xact_lock_shared(5497232, b.bucket)
        FROM (SELECT DISTINCT uuid_hash(p.id) & 63 AS bucket FROM unnest(producers) AS p(id)
          ORDER BY 1) AS b;
        SELECT string_agg(
          format('%s:%s:%s', w.slot, coalesce(p.epoch, 0), coalesce(p.durable_seq, 0)),
                          ',' ORDER BY w.slot) INTO losers
        FROM unnest(tenants, producers, epochs)
          WITH ORDINALITY AS w(tenant_id, producer_id, epoch, slot)
        LEFT JOIN sluice.producer_state p ON p.tenant_id = w.tenant_id
          AND p.producer_id = w.producer_id
        WHERE p.epoch IS DISTINCT FROM w.epoch;
        IF losers IS NOT NULL THEN
          RAISE EXCEPTION 'producers lost their place' USING ERRCODE = 'SLG01', DETAIL = losers;
        END IF;
        IF cardinality(rejected_seqs) > 0 THEN
          INSERT INTO sluice.staged_batches
            (tenant_id, producer_id, epoch, first_seq, last_seq, crc, segment, rejected_seqs,
              rejected_reasons)
          SELECT w.tenant_id, w.producer_id, w.epoch, w.first_seq, w.last_seq, w.crc, segment_name,
            r.seqs, r.reasons
          FROM unnest(tenants, producers, epochs, firsts, lasts, crcs) WITH ORDINALITY
            AS w(tenant_id, producer_id, epoch, first_seq, last_seq, crc, slot)
          LEFT JOIN (SELECT r.slot, array_agg(r.seq) AS seqs, array_agg(r.reason) AS reasons
                     FROM unnest(rejected_slots, rejected_seqs, rejected_reasons) AS r(slot, seq,
                       reason)
                     GROUP BY r.slot) AS r ON r.slot = w.slot;
        ELSE
          INSERT INTO sluice.staged_batches (tenant_id, producer_id, epoch, first_seq, last_seq,
            crc, segment)
          SELECT w.*, segment_name
            FROM unnest(tenants, producers, epochs, firsts, lasts, crcs) AS w;
        END IF;
        RETURN (SELECT m.incarnation FROM sluice.staging_meta m);
      END
      $function$;

      -- A staged value as entity_jsonb keeps it.
      CREATE FUNCTION sluice.hot_text(number double precision, "integer" bigint, flag boolean,
        label text, document jsonb)
      -- Not IMMUTABLE, which to_json is not: it would be called for every value instead of being
      -- written into the statement.
      RETURNS text LANGUAGE sql STABLE AS $function$
        SELECT CASE
          WHEN $1 IS NOT NULL THEN CASE WHEN $1::text IN ('NaN', 'Infinity', '-Infinity', '-0')
            THEN '"' || $1::text || '"' ELSE $1::text END
          WHEN $2 IS NOT NULL THEN $2::text
          WHEN $3 IS NOT NULL THEN $3::text
          WHEN $4 IS NOT NULL THEN to_json($4)::text
          ELSE $5::text END
      $function$;

      -- Many producers may open after their gateway's death, and each would read its whole segments:
      -- the first one makes an index. Nobody writes there any more, unless the dead wakes up; it is
      -- not waited for.
      CREATE FUNCTION sluice.index_dead_segment(segment_name text) RETURNS void
        LANGUAGE plpgsql AS $function$
      DECLARE
        segment_table regclass := to_regclass(format('sluice.%I', segment_name));
      BEGIN
        IF pg_relation_size(segment_table) < 4 << 20
          OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = segment_table)
          OR EXISTS (SELECT FROM sluice.segment_state s JOIN sluice.gateways g USING (gateway_id)
            WHERE s.segment = segment_name AND g.beat_at > clock_timestamp() - interval '3 s')
          OR NOT pg_try_advisory_xact_lock(5497233, hashtext(segment_name)) THEN
          RETURN;
        END IF;
        EXECUTE format('LOCK TABLE sluice.%I IN SHARE MODE NOWAIT', segment_name);
        EXECUTE format('CREATE INDEX ON sluice.%I (tenant_id, producer_id, seq)', segment_name);
        EXECUTE format('ANALYZE sluice.%I', segment_name);
      EXCEPTION WHEN lock_not_available THEN
        NULL;
      END
      $function$;

      -- What promote_staged moves of one staged batch: from_seq to to_seq of first_seq to last_seq.
      CREATE TYPE sluice.staged_run AS (
        tenant_id integer, producer_id uuid, segment text, from_seq bigint, to_seq bigint,
        first_seq bigint, crc bigint, rejected_seqs bigint[], rejected_reasons smallint[]);

      -- Moves the staged batches of these producers that continue their durable_seq, under the same
      -- guard as commit_group: batches of the current epoch only, each sequence number once. What
      -- is durable already is skipped, so running it again is a no-op. Producers are locked in
      -- order, then entities.
      CREATE FUNCTION sluice.promote_staged(
        tenants integer[], producers uuid[], OUT batches bigint, OUT moved_values bigint)
      LANGUAGE plpgsql AS $function$
      #variable_conflict use_column
      DECLARE
        runs sluice.staged_run[];
        ranges sluice.staged_run[];
        part_ranges sluice.staged_run[];
        part text;
        moved bigint;
        t integer[]; e bigint[]; a integer[]; o bigint[]; v text[];
        hot_t integer[] := '{}'; hot_e bigint[] := '{}'; hot_a integer[] := '{}';
        hot_o bigint[] := '{}'; hot_v text[] := '{}';
      BEGIN
        moved_values := 0;
        PERFORM FROM sluice.producer_state p
          JOIN (SELECT DISTINCT * FROM unnest(tenants, producers) AS u(tenant_id, producer_id)) AS w
            USING (tenant_id, producer_id)
          ORDER BY p.tenant_id, p.producer_id FOR NO KEY UPDATE OF p;
        -- covered: up to where durable_seq and the batches before reach. The first batch that
        -- starts behind a hole, and all after it, stay.
        SELECT coalesce(array_agg(ROW(r.tenant_id, r.producer_id, r.segment, r.covered + 1,
            r.last_seq, r.first_seq, r.crc, r.rejected_seqs, r.rejected_reasons)::sluice.staged_run
            ORDER BY r.tenant_id, r.producer_id, r.covered), '{}')
          INTO runs
          FROM (
            SELECT c.*, bool_or(c.first_seq > c.covered + 1) OVER batch AS broken
            FROM (
              SELECT b.*, b.ctid AS place, greatest(p.durable_seq, max(b.last_seq) OVER (
                  PARTITION BY b.tenant_id, b.producer_id
                  ORDER BY b.first_seq, b.last_seq, b.segment, b.ctid
                  ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS covered
              FROM sluice.staged_batches b
              JOIN (SELECT DISTINCT * FROM unnest(tenants, producers)
                      AS u(tenant_id, producer_id)) AS w USING (tenant_id, producer_id)
              JOIN sluice.producer_state p USING (tenant_id, producer_id)
              WHERE b.epoch = p.epoch AND b.last_seq > p.durable_seq) AS c
            WINDOW batch AS (PARTITION BY c.tenant_id, c.producer_id
              ORDER BY c.first_seq, c.last_seq, c.segment, c.place)) AS r
          WHERE NOT r.broken AND r.last_seq > r.covered;
        -- Runs that continue each other in a segment become one: the joins below compare every row
        -- with every range of its producer, and a backlog has thousands of batches.
        SELECT array_agg(ROW(i.tenant_id, i.producer_id, i.segment, i.from_seq, i.to_seq, NULL,
            NULL, NULL, NULL)::sluice.staged_run)
          INTO ranges
          FROM (
            SELECT c.tenant_id, c.producer_id, c.segment, min(c.from_seq) AS from_seq,
              max(c.to_seq) AS to_seq
            FROM (
              SELECT r.*, r.to_seq - sum(r.to_seq - r.from_seq + 1) OVER (
                PARTITION BY r.tenant_id, r.producer_id, r.segment ORDER BY r.from_seq) AS island
              FROM unnest(runs) AS r) AS c
            GROUP BY c.tenant_id, c.producer_id, c.segment, c.island) AS i;
        FOR part IN SELECT DISTINCT r.segment FROM unnest(ranges) AS r ORDER BY 1 LOOP
          PERFORM sluice.index_dead_segment(part);
          -- An array of its own: of a condition on its members the planner expects so few to be left
          -- that it would read the whole segment for each.
          SELECT array_agg(r) INTO part_ranges FROM unnest(ranges) AS r WHERE r.segment = part;
          EXECUTE format($move$
            INSERT INTO sluice.entity_values (entity_id, observed_at, tenant_id, attribute_id,
              number, integer, flag, label, document)
            SELECT entity_id, observed_at, tenant_id, attribute_id, number, integer, flag, label,
              document
            FROM (
              SELECT DISTINCT ON (s.tenant_id, s.producer_id, s.seq) s.*
              FROM sluice.%I s JOIN unnest($1) AS r
                ON r.tenant_id = s.tenant_id AND r.producer_id = s.producer_id
                AND s.seq BETWEEN r.from_seq AND r.to_seq
              ORDER BY s.tenant_id, s.producer_id, s.seq) AS s $move$, part) USING part_ranges;
          GET DIAGNOSTICS moved = ROW_COUNT;
          moved_values := moved_values + moved;
          EXECUTE format($hot$
            SELECT array_agg(s.tenant_id ORDER BY s.seq), array_agg(s.entity_id ORDER BY s.seq),
              array_agg(s.attribute_id ORDER BY s.seq),
              array_agg((extract(epoch FROM s.observed_at) * 1000000)::bigint ORDER BY s.seq),
              array_agg(sluice.hot_text(s.number, s.integer, s.flag, s.label, s.document)
                ORDER BY s.seq)
            FROM sluice.%I s JOIN unnest($1) AS r
              ON r.tenant_id = s.tenant_id AND r.producer_id = s.producer_id
              AND s.seq BETWEEN r.from_seq AND r.to_seq
            JOIN sluice.attributes a ON a.tenant_id = s.tenant_id
              AND a.attribute_id = s.attribute_id
            WHERE a.is_hot $hot$, part) INTO t, e, a, o, v USING part_ranges;
          hot_t := hot_t || t; hot_e := hot_e || e; hot_a := hot_a || a;
          hot_o := hot_o || o; hot_v := hot_v || v;
        END LOOP;
        INSERT INTO sluice.rejected_values (tenant_id, producer_id, seq, reason)
          SELECT r.tenant_id, r.producer_id, x.seq, x.reason
          FROM unnest(runs) AS r, unnest(r.rejected_seqs, r.rejected_reasons) AS x(seq, reason)
          WHERE x.seq BETWEEN r.from_seq AND r.to_seq
          ON CONFLICT (tenant_id, producer_id, seq) DO NOTHING;
        UPDATE sluice.producer_state p
        SET durable_seq = d.to_seq, updated_at = now(),
          recent = (p.recent || d.recent)[cardinality(p.recent) + cardinality(d.recent) - 23:]
        FROM (
          SELECT r.tenant_id, r.producer_id, max(r.to_seq) AS to_seq,
            array_agg(x.field ORDER BY r.from_seq, x.place) AS recent
          FROM unnest(runs) AS r, unnest(ARRAY[r.first_seq, r.to_seq, r.crc])
            WITH ORDINALITY AS x(field, place)
          GROUP BY r.tenant_id, r.producer_id) AS d
        WHERE p.tenant_id = d.tenant_id AND p.producer_id = d.producer_id;
        batches := cardinality(runs);
        IF cardinality(hot_e) > 0 THEN
          PERFORM sluice.fold_hot_values(hot_t, hot_e, hot_a, hot_o, hot_v, 1048576);
        END IF;
      END
      $function$;

      -- Opens a session. A new session id raises the epoch, the same one gets the same answer. What
      -- was staged is promoted first, so nothing staged by an older session is left behind the new
      -- epoch. lowest_held: the lowest sequence number the client could still send, 0 for none. If
      -- it lies beyond durable_seq + 1, the values between are lost: recorded, returned and
      -- skipped.
      --
      -- Epoch 0: nothing was done. Either the caller's positions are of another database than this
      -- one (database_id), or it is patient and a gateway that lives is about to make durable what
      -- it has staged of this producer, which is cheaper than to promote it here: ask again soon.
      CREATE FUNCTION sluice.open_producer(
        tenant integer, producer uuid, session uuid, lowest_held bigint DEFAULT 0,
        known_database uuid DEFAULT NULL, patient boolean DEFAULT false,
        OUT epoch bigint, OUT durable_seq bigint, OUT lost_from bigint, OUT lost_to bigint,
          OUT recent bigint[], OUT database_id uuid)
      LANGUAGE plpgsql AS $function$
      #variable_conflict use_column
      DECLARE
        state sluice.producer_state;
      BEGIN
        epoch := 0;
        durable_seq := 0;
        lost_from := 0;
        lost_to := 0;
        recent := '{}';
        database_id := (SELECT s.value::uuid FROM sluice.settings s WHERE s.name = 'database_id');
        IF known_database <> database_id
          OR patient AND EXISTS (
            SELECT FROM sluice.staged_batches b
            JOIN sluice.producer_state p USING (tenant_id, producer_id)
            JOIN sluice.segment_state s USING (segment)
            JOIN sluice.gateways g USING (gateway_id)
            WHERE b.tenant_id = tenant AND b.producer_id = producer AND b.epoch = p.epoch
              AND b.last_seq > p.durable_seq
              AND g.beat_at > clock_timestamp() - interval '3 s') THEN
          RETURN;
        END IF;
        PERFORM pg_advisory_xact_lock(5497232, uuid_hash(producer) & 63);
        INSERT INTO sluice.producer_state (tenant_id, producer_id, epoch, durable_seq, session_id)
          SELECT t.tenant_id, producer, 0, 0, session FROM sluice.tenants t
            WHERE t.tenant_id = tenant
          ON CONFLICT (tenant_id, producer_id) DO NOTHING;
        IF EXISTS (SELECT FROM sluice.staged_batches b WHERE b.tenant_id = tenant
          AND b.producer_id = producer) THEN
          PERFORM sluice.promote_staged(ARRAY[tenant], ARRAY[producer]);
        END IF;
        SELECT p.* INTO state FROM sluice.producer_state p
          WHERE p.tenant_id = tenant AND p.producer_id = producer FOR NO KEY UPDATE;
        IF NOT FOUND THEN
          RAISE EXCEPTION 'there is no such tenant' USING ERRCODE = 'SLG02';
        END IF;
        IF lowest_held > state.durable_seq + 1 THEN
          lost_from := state.durable_seq + 1;
          lost_to := lowest_held - 1;
          INSERT INTO sluice.lost_ranges (tenant_id, producer_id, from_seq, to_seq, session_id)
            VALUES (tenant, producer, lost_from, lost_to, session)
            ON CONFLICT (tenant_id, producer_id, from_seq)
            DO UPDATE
              SET to_seq = excluded.to_seq, session_id = excluded.session_id, recorded_at = now();
          state.durable_seq := lost_to;
        ELSIF state.session_id = session THEN
          SELECT coalesce(min(l.from_seq), 0), coalesce(max(l.to_seq), 0) INTO lost_from, lost_to
          FROM sluice.lost_ranges l
          WHERE l.tenant_id = tenant AND l.producer_id = producer AND l.session_id = session;
        END IF;
        IF state.session_id <> session OR state.epoch = 0 OR lost_to = state.durable_seq
          AND lost_to > 0 THEN
          IF state.session_id <> session OR state.epoch = 0 THEN
            state.epoch := state.epoch + 1;
          END IF;
          UPDATE sluice.producer_state p
          SET epoch = state.epoch, durable_seq = state.durable_seq, session_id = session,
            opened_at = now(), updated_at = now()
          WHERE p.tenant_id = tenant AND p.producer_id = producer;
        END IF;
        epoch := state.epoch;
        durable_seq := state.durable_seq;
        recent := state.recent;
      END
      $function$;

      -- Adopts what dead gateways left: up to about max_batches staged batches, oldest producers
      -- first, in one transaction. Dead: no beat for dead_after. That only decides when; what is
      -- moved, the guard decides.
      CREATE FUNCTION sluice.stage_flush(
        max_batches integer DEFAULT 1000, dead_after interval DEFAULT '3 seconds',
        OUT batches bigint, OUT moved_values bigint)
      LANGUAGE plpgsql AS $function$
      #variable_conflict use_column
      DECLARE
        t integer[];
        p uuid[];
      BEGIN
        SELECT array_agg(d.tenant_id), array_agg(d.producer_id) INTO t, p FROM (
          SELECT b.tenant_id, b.producer_id, sum(count(*))
            OVER (ORDER BY min(b.staged_at), b.tenant_id, b.producer_id)
                   - count(*) AS before
          FROM sluice.staged_batches b
          JOIN sluice.segment_state s USING (segment)
          LEFT JOIN sluice.gateways g ON g.gateway_id = s.gateway_id
            AND g.beat_at > clock_timestamp() - dead_after
          JOIN sluice.producer_state o USING (tenant_id, producer_id)
          WHERE g.gateway_id IS NULL AND b.last_seq > o.durable_seq AND b.epoch = o.epoch
          GROUP BY b.tenant_id, b.producer_id) AS d
        WHERE d.before < max_batches;
        batches := 0;
        moved_values := 0;
        IF cardinality(p) > 0 THEN
          SELECT m.batches, m.moved_values INTO batches, moved_values
            FROM sluice.promote_staged(t, p) AS m;
        END IF;
      END
      $function$;

      -- Empties a segment, in a transaction of its own, if all it holds is durable (or fenced).
      -- False: not yet, or in use; nobody waits longer than 10 ms behind this.
      CREATE FUNCTION sluice.truncate_segment(segment_name text) RETURNS boolean
      LANGUAGE plpgsql SET lock_timeout = '10ms' AS $function$
      BEGIN
        IF NOT EXISTS (SELECT FROM sluice.segment_state s WHERE s.segment = segment_name)
          OR sluice.segment_pending(segment_name) THEN
          RETURN false;
        END IF;
        BEGIN
          EXECUTE format('LOCK TABLE sluice.%I IN ACCESS EXCLUSIVE MODE', segment_name);
        EXCEPTION WHEN lock_not_available THEN
          RETURN false;
        END;
        -- Whoever held the lock may have staged more.
        IF sluice.segment_pending(segment_name) THEN
          RETURN false;
        END IF;
        -- What is lost with it is made again: nobody waits for a replica's sake.
        PERFORM set_config('synchronous_commit', 'local', true);
        EXECUTE format('TRUNCATE sluice.%I', segment_name);
        DELETE FROM sluice.staged_batches b WHERE b.segment = segment_name;
        UPDATE sluice.segment_state s SET truncated_at = now() WHERE s.segment = segment_name;
        RETURN true;
      END
      $function$;

      CREATE FUNCTION sluice.segment_pending(segment_name text) RETURNS boolean
        LANGUAGE sql AS $function$
        SELECT EXISTS (
          SELECT FROM sluice.staged_batches b
          LEFT JOIN sluice.producer_state p USING (tenant_id, producer_id)
          WHERE b.segment = segment_name AND b.last_seq > p.durable_seq AND b.epoch >= p.epoch)
      $function$;

      -- Drops the emptied segments of gateways that have been dead for long.
      CREATE FUNCTION sluice.drop_dead_segments(dead_after interval DEFAULT '1 minute')
        RETURNS integer
      LANGUAGE plpgsql SET lock_timeout = '10ms' AS $function$
      DECLARE
        dead record;
        dropped integer := 0;
      BEGIN
        -- What is lost with it is made again: nobody waits for a replica's sake.
        PERFORM set_config('synchronous_commit', 'local', true);
        FOR dead IN
          SELECT s.segment FROM sluice.segment_state s
          LEFT JOIN sluice.gateways g ON g.gateway_id = s.gateway_id
            AND g.beat_at > clock_timestamp() - dead_after
          WHERE g.gateway_id IS NULL ORDER BY 1
        LOOP
          BEGIN
            IF to_regclass(format('sluice.%I', dead.segment)) IS NOT NULL THEN
              EXECUTE format('LOCK TABLE sluice.%I IN ACCESS EXCLUSIVE MODE', dead.segment);
            END IF;
            IF NOT sluice.segment_pending(dead.segment) THEN
              EXECUTE format('DROP TABLE IF EXISTS sluice.%I', dead.segment);
              DELETE FROM sluice.staged_batches b WHERE b.segment = dead.segment;
              DELETE FROM sluice.segment_state s WHERE s.segment = dead.segment;
              dropped := dropped + 1;
            END IF;
          EXCEPTION WHEN lock_not_available THEN
            NULL;
          END;
        END LOOP;
        DELETE FROM sluice.gateways g WHERE g.beat_at < clock_timestamp() - dead_after
          AND NOT EXISTS (SELECT FROM sluice.segment_state s WHERE s.gateway_id = g.gateway_id);
        RETURN dropped;
      END
      $function$;
      """#
  )
}
