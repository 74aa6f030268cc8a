// Upserts: values of entities written by callers who wait for them, many calls in one transaction.

extension Migration {
  static let upserts = Migration(
    version: 7,
    name: "upserts",
    sql: #"""
      -- Writes values of entities, history and projection in this transaction. One array element
      -- for each value: `slots` says which request it belongs to; observed_us NULL means now, or one
      -- microsecond more than what is stored or comes before it in the call. Exactly one of
      -- numbers … documents is not NULL; all of them NULL takes the attribute out of the projection.
      -- Returns, for each value in its order, its time and the version of its document; 0 when the
      -- attribute is not hot.
      -- SLG03: a document would pass document_bytes_max; DETAIL is the slot. Nothing is changed.
      --
      -- A value that is already the newest one of its attribute, with the same time, is a repeat: it
      -- leaves no second row. Documents are locked first, in the order (tenant, entity), in one pass
      -- (DO UPDATE locks also what WHERE false leaves alone): what is read then cannot change.
      CREATE FUNCTION sluice.upsert_entities(
        slots integer[], tenants integer[], entities bigint[], attributes integer[],
        observed_us bigint[], numbers double precision[], integers bigint[], flags boolean[],
        labels text[], documents text[], document_bytes_max integer)
      RETURNS TABLE (slot integer, observed bigint, version bigint) LANGUAGE plpgsql
      SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $function$
      #variable_conflict use_column
      DECLARE
        now_us bigint;
        stored record;
      BEGIN
        INSERT INTO sluice.entity_jsonb AS j (tenant_id, entity_id, version)
          SELECT DISTINCT u.tenant_id, u.entity_id, 0
          FROM unnest(tenants, entities, attributes) AS u(tenant_id, entity_id, attribute_id)
          JOIN sluice.attributes a ON a.tenant_id = u.tenant_id
            AND a.attribute_id = u.attribute_id AND a.is_hot
          ORDER BY u.tenant_id, u.entity_id
          ON CONFLICT (tenant_id, entity_id) DO UPDATE SET version = 0 WHERE false;
        -- After the locks: whoever held them may have stored a later time.
        now_us := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
        FOR stored IN
          WITH given AS MATERIALIZED (
            SELECT u.*, a.is_hot, j.version AS old_version, u.attribute_id::text AS key,
              (j.hot_times -> u.attribute_id::text)::bigint AS old_time,
              j.hot_attrs -> u.attribute_id::text AS old_value,
              sluice.hot_text(u.number, u.integer, u.flag, u.label, u.document::jsonb)::jsonb
                AS value
            FROM unnest(slots, tenants, entities, attributes, observed_us, numbers, integers, flags,
                labels, documents) WITH ORDINALITY
              AS u(slot, tenant_id, entity_id, attribute_id, asked, number, "integer", flag, label,
                document, place)
            JOIN sluice.attributes a ON a.tenant_id = u.tenant_id
              AND a.attribute_id = u.attribute_id
            LEFT JOIN sluice.entity_jsonb j ON a.is_hot AND j.tenant_id = u.tenant_id
              AND j.entity_id = u.entity_id),
          timed AS MATERIALIZED (
            SELECT g.*, coalesce(g.asked, greatest(now_us, g.old_time + 1, max(g.asked) OVER before + 1)
                + count(*) FILTER (WHERE g.asked IS NULL) OVER before - 1) AS at
            FROM given g
            WINDOW before AS (PARTITION BY g.tenant_id, g.entity_id, g.attribute_id
              ORDER BY g.place ROWS UNBOUNDED PRECEDING)),
          history AS (
            INSERT INTO sluice.entity_values (entity_id, observed_at, tenant_id, attribute_id,
              number, integer, flag, label, document)
            -- In two parts: intervals are multiplied as doubles.
            SELECT t.entity_id, 'epoch'::timestamptz + t.at / 1000000 * interval '1 second'
                + t.at % 1000000 * interval '1 microsecond',
              t.tenant_id, t.attribute_id, t.number, t.integer, t.flag, t.label,
              t.document::jsonb
            FROM timed t
            WHERE t.value IS NOT NULL
              AND NOT (t.is_hot AND t.asked IS NOT NULL AND t.old_time IS NOT DISTINCT FROM t.at
                AND t.old_value IS NOT DISTINCT FROM t.value)
            ORDER BY t.place),
          newest AS (
            SELECT DISTINCT ON (t.tenant_id, t.entity_id, t.attribute_id) t.*
            FROM timed t WHERE t.is_hot
            ORDER BY t.tenant_id, t.entity_id, t.attribute_id, t.at DESC, t.place DESC),
          changes AS (
            SELECT n.tenant_id, n.entity_id,
              jsonb_object_agg(n.key, n.value) FILTER (WHERE n.value IS NOT NULL) AS attrs,
              coalesce(array_agg(n.key) FILTER (WHERE n.value IS NULL), '{}') AS dead,
              jsonb_object_agg(n.key, n.at) AS times
            FROM newest n
            WHERE n.old_time IS NULL OR n.at > n.old_time
              OR (n.at = n.old_time AND n.value IS DISTINCT FROM n.old_value)
            GROUP BY n.tenant_id, n.entity_id),
          updated AS (
            UPDATE sluice.entity_jsonb j
            SET version = j.version + 1,
              hot_attrs = (j.hot_attrs - c.dead) || coalesce(c.attrs, '{}'),
              hot_times = j.hot_times || c.times
            FROM changes c
            WHERE j.tenant_id = c.tenant_id AND j.entity_id = c.entity_id
            RETURNING j.tenant_id, j.entity_id, j.version,
              pg_column_size(j.hot_attrs) > document_bytes_max AND c.attrs IS NOT NULL AS is_full)
          SELECT t.slot, t.at, coalesce(u.version, t.old_version, 0) AS version,
            coalesce(u.is_full, false) AS is_full
          FROM timed t
          LEFT JOIN updated u ON t.is_hot AND u.tenant_id = t.tenant_id
            AND u.entity_id = t.entity_id
          ORDER BY t.place
        LOOP
          IF stored.is_full THEN
            RAISE EXCEPTION 'the newest values of an entity need too much room'
              USING ERRCODE = 'SLG03', DETAIL = stored.slot;
          END IF;
          slot := stored.slot;
          observed := stored.at;
          version := stored.version;
          RETURN NEXT;
        END LOOP;
      END
      $function$;
      """#
  )
}
