// Producers: opening a session, and the guard at the end of every durable transaction.

extension Migration {
  static let producers = Migration(
    version: 4,
    name: "producers",
    sql: #"""
      -- Folds values into the hot projection and returns how many documents changed. Per attribute
      -- the newest observed_at wins, equal times go to the later commit, and within a call to the
      -- later place. observed_us: microseconds since 1970; NULL for the whole call means now, or
      -- one more than what is stored. new_values: JSON text, or 'x' and the hex of its UTF-8; NULL
      -- is a tombstone. A document that would pass the cap keeps its old values and gets
      -- overflowed_at.
      --
      -- Documents are merged as this statement's snapshot shows them and stored only if their
      -- version is still the same. The store locks them in the order (tenant, entity) either way,
      -- so a second round, which sees what others committed meanwhile, is the last. (A merge inside
      -- DO UPDATE by jsonb_each took 2.5 times as long.)
      CREATE FUNCTION sluice.fold_hot_values(
        tenants integer[], entities bigint[], attributes integer[], observed_us bigint[],
        new_values text[], document_bytes_max integer)
      RETURNS integer LANGUAGE plpgsql
      SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $function$
      DECLARE
        untimed boolean := observed_us IS NULL;
        now_us bigint := 0;
        wanted integer;
        stored integer;
        folded integer := 0;
      BEGIN
        IF untimed THEN
          now_us := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
        END IF;
        LOOP
          WITH newest AS (
            SELECT DISTINCT ON (h.tenant_id, h.entity_id, h.attribute_id)
              h.tenant_id, h.entity_id, h.attribute_id::text AS key,
              coalesce(h.observed, now_us) AS observed,
              CASE WHEN h.value LIKE 'x%'
                THEN convert_from(decode(substr(h.value, 2), 'hex'), 'UTF8')::jsonb
                ELSE h.value::jsonb END AS value
            FROM unnest(tenants, entities, attributes, observed_us, new_values)
              WITH ORDINALITY AS h(tenant_id, entity_id, attribute_id, observed, value, place)
            ORDER BY h.tenant_id, h.entity_id, h.attribute_id, h.observed DESC, h.place DESC),
          changes AS (
            SELECT n.tenant_id, n.entity_id, j.version, j.hot_attrs, j.hot_times,
              jsonb_object_agg(n.key, n.value) FILTER (WHERE n.value IS NOT NULL) AS attrs,
              array_agg(n.key) FILTER (WHERE n.value IS NULL) AS dead,
              jsonb_object_agg(n.key, CASE WHEN untimed
                THEN greatest(n.observed, (j.hot_times -> n.key)::bigint + 1)
                ELSE n.observed END) AS times
            FROM newest n
            LEFT JOIN sluice.entity_jsonb j
              ON j.tenant_id = n.tenant_id AND j.entity_id = n.entity_id
            WHERE untimed OR j.hot_times -> n.key IS NULL
              OR n.observed > (j.hot_times -> n.key)::bigint
              OR (n.observed = (j.hot_times -> n.key)::bigint
                  AND n.value IS DISTINCT FROM j.hot_attrs -> n.key)
            GROUP BY n.tenant_id, n.entity_id, j.tenant_id, j.entity_id),
          merged AS (
            SELECT c.*, pg_column_size(m.attrs) <= document_bytes_max
                OR pg_column_size(m.attrs) <= pg_column_size(c.hot_attrs) AS fits, m.attrs AS whole
            FROM changes c, LATERAL (SELECT CASE WHEN c.dead IS NULL
              THEN coalesce(c.hot_attrs, '{}') || c.attrs
              ELSE (coalesce(c.hot_attrs, '{}') - c.dead) || coalesce(c.attrs, '{}') END) AS m(
                attrs)),
          stores AS (
            INSERT INTO sluice.entity_jsonb AS j
              (tenant_id, entity_id, version, overflowed_at, hot_attrs, hot_times)
            SELECT m.tenant_id, m.entity_id, coalesce(m.version, 0) + 1,
              CASE WHEN NOT m.fits THEN now() END,
              CASE WHEN m.fits THEN m.whole ELSE coalesce(m.hot_attrs, '{}') END,
              CASE WHEN m.fits THEN coalesce(m.hot_times, '{}') || m.times
                ELSE coalesce(m.hot_times, '{}') END
            FROM merged m ORDER BY m.tenant_id, m.entity_id
            ON CONFLICT (tenant_id, entity_id) DO UPDATE
              SET version = excluded.version, hot_attrs = excluded.hot_attrs,
                hot_times = excluded.hot_times,
                overflowed_at = coalesce(excluded.overflowed_at, j.overflowed_at)
              WHERE j.version = excluded.version - 1
            RETURNING 1)
          SELECT (SELECT count(*) FROM changes), (SELECT count(*) FROM stores) INTO wanted, stored;
          folded := folded + stored;
          EXIT WHEN stored = wanted;
        END LOOP;
        RETURN folded;
      END
      $function$;

      -- The same for concurrent upserts grouped into one call, by anyone; returns the version that
      -- each named document has now.
      CREATE FUNCTION sluice.upsert_hot_attrs(
        tenants integer[], entities bigint[], attributes integer[], observed_us bigint[],
        new_values text[], document_bytes_max integer DEFAULT 1048576)
      RETURNS TABLE (tenant_id integer, entity_id bigint, version bigint) LANGUAGE plpgsql
      SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $function$
      #variable_conflict use_column
      BEGIN
        PERFORM sluice.fold_hot_values(
          tenants, entities, attributes, observed_us, new_values, document_bytes_max);
        RETURN QUERY
          SELECT j.tenant_id, j.entity_id, j.version
          FROM (SELECT DISTINCT u.* FROM unnest(tenants, entities) AS u(tenant_id, entity_id)) AS n
          JOIN sluice.entity_jsonb j ON j.tenant_id = n.tenant_id AND j.entity_id = n.entity_id;
      END
      $function$;

      -- Keeps the newest 10,000 rejected values of each producer.
      CREATE FUNCTION sluice.store_rejected(
        tenants integer[], producers uuid[], slots integer[], seqs bigint[], reasons smallint[])
      RETURNS void LANGUAGE plpgsql AS $function$
      BEGIN
        INSERT INTO sluice.rejected_values AS v (tenant_id, producer_id, seq, reason)
        SELECT tenants[r.slot], producers[r.slot], r.seq, r.reason
        FROM unnest(slots, seqs, reasons) AS r(slot, seq, reason)
        ON CONFLICT (tenant_id, producer_id, seq) DO NOTHING;
        -- The cutoff is found once per producer: left to the planner it would be found once per row.
        WITH cutoffs AS MATERIALIZED (
          SELECT p.tenant_id, p.producer_id, oldest.seq
          FROM (SELECT DISTINCT tenants[s] AS tenant_id, producers[s] AS producer_id
            FROM unnest(slots) AS s) AS p,
          LATERAL (SELECT o.seq FROM sluice.rejected_values o
                   WHERE o.tenant_id = p.tenant_id AND o.producer_id = p.producer_id
                   ORDER BY o.seq DESC OFFSET 10000 LIMIT 1) AS oldest)
        DELETE FROM sluice.rejected_values v USING cutoffs c
        WHERE v.tenant_id = c.tenant_id AND v.producer_id = c.producer_id AND v.seq <= c.seq;
      END
      $function$;

      -- The guard, last in the transaction that wrote the rows. Each producer is named once, with
      -- one contiguous range; recents[i] is the array literal of its batches, {first, last, crc,
      -- …}, of which the last 8 are kept. rejected_slots and the like: positions (from 1) in
      -- `producers`. hot_*: as in fold_hot_values. Returns how many documents changed. No argument
      -- has a default: reading one takes longer than passing NULL.
      -- SLG01: nothing is changed; DETAIL lists who lost as slot:epoch:durable_seq,… (epoch 0:
      -- unknown).
      --
      -- ON CONFLICT locks, checks and advances a producer in one step, in the order of the sort; a
      -- producer that is really inserted is unknown and lost, and goes again with the transaction.
      -- (An ordered FOR UPDATE joined to an UPDATE took 1.35 times as long, a loop of updates
      -- twice.)
      CREATE FUNCTION sluice.commit_group(
        tenants integer[], producers uuid[], epochs bigint[], firsts bigint[], lasts bigint[],
        recents text[], rejected_slots integer[], rejected_seqs bigint[],
          rejected_reasons smallint[],
        hot_tenants integer[], hot_entities bigint[], hot_attributes integer[],
        hot_observed_us bigint[], hot_values text[], document_bytes_max integer)
      RETURNS integer LANGUAGE plpgsql
      SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $function$
      DECLARE
        advanced integer;
        winners integer;
        losers text;
        folded integer := 0;
      BEGIN
        WITH stored AS (
          -- `recent` brings the first sequence number along, before the batches.
          INSERT INTO sluice.producer_state AS p
            (tenant_id, producer_id, epoch, durable_seq, recent, updated_at, opened_at, session_id)
          SELECT w.tenant_id, w.producer_id, w.epoch, w.last_seq, w.first_seq || w.recent::bigint[],
            now(), '-infinity', '00000000-0000-0000-0000-000000000000'
          FROM unnest(tenants, producers, epochs, firsts, lasts, recents)
            AS w(tenant_id, producer_id, epoch, first_seq, last_seq, recent)
          ORDER BY w.tenant_id, w.producer_id
          ON CONFLICT (tenant_id, producer_id) DO UPDATE
            SET durable_seq = excluded.durable_seq, updated_at = excluded.updated_at,
              recent = (p.recent || excluded.recent[2:])[
                cardinality(p.recent) + cardinality(excluded.recent) - 24:]
            WHERE p.epoch = excluded.epoch AND p.durable_seq = excluded.recent[1] - 1
          RETURNING p.opened_at)
        SELECT count(*) FILTER (WHERE s.opened_at > '-infinity') INTO advanced FROM stored s;
        IF advanced <> cardinality(producers) THEN
          -- What this transaction wrote has its number; under a savepoint it would not.
          SELECT count(*) FILTER (WHERE w.won),
            string_agg(format('%s:%s:%s', w.slot, coalesce(w.epoch, 0), coalesce(w.durable_seq, 0)),
                       ',' ORDER BY w.slot) FILTER (WHERE NOT w.won)
          INTO winners, losers
          FROM (
            SELECT w.slot, p.epoch, p.durable_seq,
              coalesce(p.xmin = pg_current_xact_id()::xid, false) AS won
            FROM unnest(tenants, producers) WITH ORDINALITY AS w(tenant_id, producer_id, slot)
            LEFT JOIN sluice.producer_state p ON p.tenant_id = w.tenant_id
              AND p.producer_id = w.producer_id AND p.opened_at > '-infinity') AS w;
          IF winners <> advanced THEN
            RAISE EXCEPTION 'commit_group cannot run under a savepoint, or with a producer twice'
              USING ERRCODE = '0A000';
          END IF;
          RAISE EXCEPTION 'producers lost their place' USING ERRCODE = 'SLG01', DETAIL = losers;
        END IF;
        IF cardinality(rejected_seqs) > 0 THEN
          PERFORM sluice.store_rejected(
            tenants, producers, rejected_slots, rejected_seqs, rejected_reasons);
        END IF;
        IF cardinality(hot_entities) > 0 THEN
          folded := sluice.fold_hot_values(hot_tenants, hot_entities, hot_attributes,
            hot_observed_us, hot_values, document_bytes_max);
        END IF;
        RETURN folded;
      END
      $function$;
      """#
  )
}
