// Upserts that nothing stored is in the way of, which is nearly all of them.

extension Migration {
  static let newestUpserts = Migration(
    version: 10,
    name: "newest_upserts",
    sql: #"""
      -- As upsert_entities, at half its cost, for values that are newer than what is stored: of
      -- attributes that are hot, none of them NULL, each attribute of an entity once. observed_us
      -- NULL means now.
      -- Returns, for each value that is written, in any order, its time and the version of its
      -- document. Nothing is written of an entity without a document, of one that has one of the
      -- values with the same time or a later one, and of one whose document might pass
      -- document_bytes_max: upsert_entities has to do those, in a transaction of its own, because
      -- the documents that are locked here would be locked out of order there.
      --
      -- There is no lock in front: where somebody else changes a document meanwhile, UPDATE waits
      -- and looks at what is there then with everything that stands here.
      CREATE FUNCTION sluice.upsert_newest(
        slots integer[], tenants integer[], entities bigint[], attributes integer[],
        observed_us bigint[], numbers double precision[], integers bigint[], flags boolean[],
        labels text[], documents text[], document_bytes_max integer)
      RETURNS TABLE (slot integer, observed bigint, version bigint) LANGUAGE plpgsql
      SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $function$
      #variable_conflict use_column
      DECLARE
        now_us bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
      BEGIN
        RETURN QUERY
        WITH given AS MATERIALIZED (
          SELECT u.*, u.attribute_id::text AS key, coalesce(u.asked, now_us) AS at,
            sluice.hot_text(u.number, u.integer, u.flag, u.label, u.document::jsonb)::jsonb
              AS value
          FROM unnest(slots, tenants, entities, attributes, observed_us, numbers, integers, flags,
              labels, documents)
            AS u(slot, tenant_id, entity_id, attribute_id, asked, number, "integer", flag, label,
              document)),
        changes AS (
          SELECT g.tenant_id, g.entity_id, count(*) AS values, min(g.key) AS key,
            min(g.at) AS at, jsonb_object_agg(g.key, g.value) AS attrs,
            jsonb_object_agg(g.key, g.at) AS times
          FROM given g
          GROUP BY g.tenant_id, g.entity_id
          ORDER BY g.tenant_id, g.entity_id),
        updated AS (
          UPDATE sluice.entity_jsonb j
          SET version = j.version + 1, hot_attrs = j.hot_attrs || c.attrs,
            hot_times = j.hot_times || c.times
          FROM changes c
          WHERE j.tenant_id = c.tenant_id AND j.entity_id = c.entity_id
            AND CASE WHEN c.values = 1
              THEN coalesce((j.hot_times -> c.key)::bigint < c.at, true)
              ELSE NOT EXISTS (SELECT FROM jsonb_each(c.times) AS t
                WHERE (j.hot_times -> t.key)::bigint >= t.value::bigint) END
            -- Of a compressed document nobody knows the size.
            AND CASE WHEN pg_column_compression(j.hot_attrs) IS NULL
              THEN pg_column_size(j.hot_attrs) + pg_column_size(c.attrs)
              ELSE pg_column_size(j.hot_attrs || c.attrs) END <= document_bytes_max
          RETURNING j.tenant_id, j.entity_id, j.version),
        written AS MATERIALIZED (
          SELECT g.*, u.version
          FROM given g
          JOIN updated u ON u.tenant_id = g.tenant_id AND u.entity_id = g.entity_id),
        history AS (
          INSERT INTO sluice.entity_values (entity_id, observed_at, tenant_id, attribute_id,
            number, integer, flag, label, document)
          -- In two parts: intervals are multiplied as doubles.
          SELECT w.entity_id, 'epoch'::timestamptz + w.at / 1000000 * interval '1 second'
              + w.at % 1000000 * interval '1 microsecond',
            w.tenant_id, w.attribute_id, w.number, w.integer, w.flag, w.label, w.document::jsonb
          FROM written w)
        SELECT w.slot, w.at, w.version FROM written w;
      END
      $function$;
      """#
  )
}
