// Producers: opening a session, and the guard at the end of every durable transaction.

extension Migration {
  static let producers = Migration(
    version: 4,
    name: "producers",
    sql: #"""
      -- Folds values into the hot projection and returns the documents that changed. Per attribute the
      -- newest observed_at wins, equal times go to the later commit, and within a call to the later place.
      -- observed_us: microseconds since 1970; NULL for the whole call means now, or one more than
      -- what is stored. new_values: JSON text, or 'x' and the hex of its UTF-8; NULL is a tombstone.
      -- A document that would pass the cap keeps its old values and gets overflowed_at.
      -- Rows are locked in the order (tenant, entity).
      CREATE FUNCTION sluice.upsert_hot_attrs(
        tenants integer[], entities bigint[], attributes integer[], observed_us bigint[], new_values text[],
        document_bytes_max integer DEFAULT 1048576)
      RETURNS TABLE (tenant_id integer, entity_id bigint, version bigint) LANGUAGE plpgsql AS $function$
      #variable_conflict use_column
      DECLARE
        untimed boolean := observed_us IS NULL;
        now_us bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
      BEGIN
        RETURN QUERY
          WITH newest AS (
            SELECT DISTINCT ON (h.tenant_id, h.entity_id, h.attribute_id)
              h.tenant_id, h.entity_id, h.attribute_id::text AS key, coalesce(h.observed, now_us) AS observed,
              CASE WHEN h.value LIKE 'x%' THEN convert_from(decode(substr(h.value, 2), 'hex'), 'UTF8')::jsonb
                ELSE h.value::jsonb END AS value
            FROM unnest(tenants, entities, attributes, observed_us, new_values)
              WITH ORDINALITY AS h(tenant_id, entity_id, attribute_id, observed, value, place)
            ORDER BY h.tenant_id, h.entity_id, h.attribute_id, h.observed DESC, h.place DESC),
          documents AS (
            SELECT n.tenant_id, n.entity_id,
              coalesce(jsonb_object_agg(n.key, n.value) FILTER (WHERE n.value IS NOT NULL), '{}') AS attrs,
              jsonb_object_agg(n.key, n.observed) AS times
            FROM newest n GROUP BY n.tenant_id, n.entity_id)
          INSERT INTO sluice.entity_jsonb AS j (tenant_id, entity_id, version, overflowed_at, hot_attrs, hot_times)
          SELECT d.tenant_id, d.entity_id, 1,
            CASE WHEN pg_column_size(d.attrs) > document_bytes_max THEN now() END,
            CASE WHEN pg_column_size(d.attrs) > document_bytes_max THEN '{}' ELSE d.attrs END,
            CASE WHEN pg_column_size(d.attrs) > document_bytes_max THEN '{}' ELSE d.times END
          FROM documents d ORDER BY d.tenant_id, d.entity_id
          ON CONFLICT (tenant_id, entity_id) DO UPDATE SET (version, overflowed_at, hot_attrs, hot_times) = (
            SELECT j.version + 1,
              CASE WHEN fits THEN j.overflowed_at ELSE now() END,
              CASE WHEN fits THEN merged.attrs ELSE j.hot_attrs END,
              CASE WHEN fits THEN merged.times ELSE j.hot_times END
            FROM (
              SELECT (j.hot_attrs - coalesce(array_agg(n.key) FILTER (WHERE NOT excluded.hot_attrs ? n.key), '{}'))
                  || coalesce(jsonb_object_agg(n.key, excluded.hot_attrs -> n.key)
                       FILTER (WHERE excluded.hot_attrs ? n.key), '{}') AS attrs,
                j.hot_times || jsonb_object_agg(n.key,
                  CASE WHEN untimed THEN greatest(n.at::bigint, (j.hot_times -> n.key)::bigint + 1)
                    ELSE n.at::bigint END) AS times
              FROM jsonb_each(excluded.hot_times) AS n(key, at)
              WHERE untimed OR NOT j.hot_times ? n.key OR n.at::bigint > (j.hot_times -> n.key)::bigint
                OR (n.at = j.hot_times -> n.key
                    AND excluded.hot_attrs -> n.key IS DISTINCT FROM j.hot_attrs -> n.key)) AS merged,
              LATERAL (SELECT pg_column_size(merged.attrs) <= greatest(document_bytes_max, pg_column_size(j.hot_attrs))) AS f(fits))
          WHERE untimed OR EXISTS (
            SELECT FROM jsonb_each(excluded.hot_times) AS n(key, at)
            WHERE NOT j.hot_times ? n.key OR n.at::bigint > (j.hot_times -> n.key)::bigint
              OR (n.at = j.hot_times -> n.key
                  AND excluded.hot_attrs -> n.key IS DISTINCT FROM j.hot_attrs -> n.key))
          RETURNING j.tenant_id, j.entity_id, j.version;
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
        DELETE FROM sluice.rejected_values v
        USING (SELECT DISTINCT tenants[s] AS tenant_id, producers[s] AS producer_id FROM unnest(slots) AS s) AS p,
        LATERAL (SELECT o.seq FROM sluice.rejected_values o
                 WHERE o.tenant_id = p.tenant_id AND o.producer_id = p.producer_id
                 ORDER BY o.seq DESC OFFSET 10000 LIMIT 1) AS oldest
        WHERE v.tenant_id = p.tenant_id AND v.producer_id = p.producer_id AND v.seq <= oldest.seq;
      END
      $function$;

      -- The guard, last in the transaction that wrote the rows. Producers are named once each, with one
      -- contiguous range; recents[i] is the array literal of their batches, {first, last, crc, …}, the
      -- last 8 are kept. rejected_slots and the like: positions (from 1) in `producers`.
      -- hot_*: as in upsert_hot_attrs. Returns how many documents changed.
      -- SLG01: nothing is changed; DETAIL lists who lost as slot:epoch:durable_seq,… (epoch 0: unknown).
      CREATE FUNCTION sluice.commit_group(
        tenants integer[], producers uuid[], epochs bigint[], firsts bigint[], lasts bigint[], recents text[],
        rejected_slots integer[] DEFAULT NULL, rejected_seqs bigint[] DEFAULT NULL,
        rejected_reasons smallint[] DEFAULT NULL,
        hot_tenants integer[] DEFAULT NULL, hot_entities bigint[] DEFAULT NULL,
        hot_attributes integer[] DEFAULT NULL, hot_observed_us bigint[] DEFAULT NULL,
        hot_values text[] DEFAULT NULL, document_bytes_max integer DEFAULT 1048576)
      RETURNS integer LANGUAGE plpgsql AS $function$
      DECLARE
        advanced bigint[];
        folded integer := 0;
        losers text;
      BEGIN
        WITH locked AS MATERIALIZED (
          SELECT p.tenant_id, p.producer_id, w.epoch, w.first_seq, w.last_seq, w.recent, w.slot
          FROM unnest(tenants, producers, epochs, firsts, lasts, recents) WITH ORDINALITY
            AS w(tenant_id, producer_id, epoch, first_seq, last_seq, recent, slot)
          JOIN sluice.producer_state p ON p.tenant_id = w.tenant_id AND p.producer_id = w.producer_id
          ORDER BY p.tenant_id, p.producer_id
          FOR NO KEY UPDATE OF p),
        updated AS (
          UPDATE sluice.producer_state p
          SET durable_seq = l.last_seq, updated_at = now(),
            recent = (p.recent || l.recent::bigint[])[cardinality(p.recent) + cardinality(l.recent::bigint[]) - 23:]
          FROM locked l
          WHERE p.tenant_id = l.tenant_id AND p.producer_id = l.producer_id
            AND p.epoch = l.epoch AND p.durable_seq = l.first_seq - 1
          RETURNING l.slot)
        SELECT array_agg(u.slot) INTO advanced FROM updated u;
        IF coalesce(cardinality(advanced), 0) <> cardinality(producers) THEN
          SELECT string_agg(format('%s:%s:%s', w.slot, coalesce(p.epoch, 0), coalesce(p.durable_seq, 0)),
                            ',' ORDER BY w.slot) INTO losers
          FROM unnest(tenants, producers) WITH ORDINALITY AS w(tenant_id, producer_id, slot)
          LEFT JOIN sluice.producer_state p ON p.tenant_id = w.tenant_id AND p.producer_id = w.producer_id
          WHERE w.slot <> ALL (coalesce(advanced, '{}'));
          RAISE EXCEPTION 'producers lost their place' USING ERRCODE = 'SLG01', DETAIL = losers;
        END IF;
        IF cardinality(rejected_seqs) > 0 THEN
          PERFORM sluice.store_rejected(tenants, producers, rejected_slots, rejected_seqs, rejected_reasons);
        END IF;
        IF cardinality(hot_entities) > 0 THEN
          SELECT count(*) INTO folded FROM sluice.upsert_hot_attrs(
            hot_tenants, hot_entities, hot_attributes, hot_observed_us, hot_values, document_bytes_max);
        END IF;
        RETURN folded;
      END
      $function$;
      """#
  )
}
