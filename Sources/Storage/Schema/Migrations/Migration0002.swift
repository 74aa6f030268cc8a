// Partitions: created ahead of time, dropped whole, never touched by the write path.

extension Migration {
  static let partitions = Migration(
    version: 2,
    name: "partitions",
    sql: #"""
      CREATE VIEW sluice.partition_ranges AS
        SELECT c.oid AS partition_oid, c.relname::text AS partition_name,
               tstzrange(bound[1]::timestamptz, bound[2]::timestamptz, '[)') AS covers
        FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        CROSS JOIN LATERAL regexp_match(
          pg_get_expr(c.relpartbound, c.oid), $bound$FROM \('(.+)'\) TO \('(.+)'\)$bound$) AS bound
        WHERE i.inhparent = 'sluice.entity_values'::regclass AND bound IS NOT NULL;

      -- Covers now and `ahead` more windows. What older windows of another width cover already is
      -- left out of the new ones, so the width may change at any time. ATTACH, not PARTITION OF:
      -- the parent stays open for writing; only the (empty) default partition is locked, and that
      -- for at most a second.
      CREATE FUNCTION sluice.ensure_partitions(width text DEFAULT NULL, ahead integer DEFAULT NULL)
      RETURNS TABLE (partition_name text, range_from timestamptz, range_to timestamptz, action text)
      LANGUAGE plpgsql SET lock_timeout = '1s' AS $function$
      #variable_conflict use_variable
      DECLARE
        step interval;
        start timestamp;
        gap tstzrange;
      BEGIN
        width := coalesce(width, (SELECT s.value FROM sluice.settings s
          WHERE s.name = 'partition_width'));
        ahead := coalesce(ahead, (SELECT s.value::integer FROM sluice.settings s
          WHERE s.name = 'partitions_ahead'));
        IF width IS NULL OR width NOT IN ('hour', 'day', 'week', 'month') THEN
          RAISE EXCEPTION 'partition width must be hour, day, week or month'
            USING ERRCODE = '22023';
        END IF;
        IF ahead NOT BETWEEN 0 AND 1000 THEN
          RAISE EXCEPTION 'partitions ahead must be 0 to 1000' USING ERRCODE = '22023';
        END IF;
        PERFORM pg_advisory_xact_lock(5497231, 2);
        step := ('1 ' || width)::interval;
        start := date_trunc(width, now() AT TIME ZONE 'UTC');
        FOR gap IN
          SELECT g.gap FROM generate_series(0, ahead) AS n, unnest(
            tstzmultirange(tstzrange((start + n * step) AT TIME ZONE 'UTC',
                                     (start + (n + 1) * step) AT TIME ZONE 'UTC', '[)'))
            - coalesce((SELECT range_agg(r.covers) FROM sluice.partition_ranges r), '{}')) AS g(gap)
          WHERE upper(g.gap) > now()
        LOOP
          range_from := lower(gap);
          range_to := upper(gap);
          partition_name := 'entity_values_p'
            || to_char(range_from AT TIME ZONE 'UTC', 'YYYYMMDD"t"HH24MISS');
          BEGIN
            EXECUTE format('CREATE TABLE sluice.%I (LIKE sluice.entity_values INCLUDING DEFAULTS '
                           'INCLUDING CONSTRAINTS INCLUDING STORAGE)', partition_name);
            action := 'created';
            IF sluice.default_partition_rows() > 0 THEN
              LOCK TABLE sluice.entity_values_default IN ACCESS EXCLUSIVE MODE;
              EXECUTE format('WITH moved AS (DELETE FROM sluice.entity_values_default '
                             'WHERE ingested_at >= $1 AND ingested_at < $2 RETURNING *) '
                             'INSERT INTO sluice.%I SELECT * FROM moved', partition_name)
                USING range_from, range_to;
              IF NOT EXISTS (SELECT FROM sluice.entity_values_default) THEN
                TRUNCATE sluice.entity_values_default;
              END IF;
              action := 'created, default emptied into it';
            END IF;
            EXECUTE format('ALTER TABLE sluice.entity_values ATTACH PARTITION sluice.%I FOR VALUES '
            'FROM (%L) TO (%L)',
                           partition_name, range_from, range_to);
            -- The first range of an empty BRIN index counts as summarised, and each row that falls
            -- into it would be added to its summary, one by one: 51 us a row instead of 3.
            IF action = 'created' THEN
              PERFORM brin_desummarize_range(i.indexrelid, 0)
              FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
              JOIN pg_am a ON a.oid = c.relam
              WHERE i.indrelid = format('sluice.%I', partition_name)::regclass
                AND a.amname = 'brin';
            END IF;
          EXCEPTION WHEN lock_not_available THEN
            action := 'busy';
          END;
          RETURN NEXT;
        END LOOP;
      END
      $function$;

      -- Drops what ended longer ago than `retention`. A partition in use is reported busy: try
      -- again later.
      CREATE FUNCTION sluice.drop_expired_partitions(retention interval DEFAULT NULL)
      RETURNS TABLE (partition_name text, range_from timestamptz, range_to timestamptz, action text)
      LANGUAGE plpgsql SET lock_timeout = '1s' AS $function$
      #variable_conflict use_variable
      DECLARE
        expired record;
      BEGIN
        retention := coalesce(retention, (SELECT s.value::interval FROM sluice.settings s
          WHERE s.name = 'retention'));
        IF retention IS NULL OR retention < interval '0' THEN
          RAISE EXCEPTION 'retention must be a positive interval' USING ERRCODE = '22023';
        END IF;
        PERFORM pg_advisory_xact_lock(5497231, 2);
        FOR expired IN
          SELECT r.partition_name AS name, r.covers FROM sluice.partition_ranges r
          WHERE upper(r.covers) <= now() - retention ORDER BY r.covers
        LOOP
          partition_name := expired.name;
          range_from := lower(expired.covers);
          range_to := upper(expired.covers);
          BEGIN
            EXECUTE format('DROP TABLE sluice.%I', partition_name);
            action := 'dropped';
          EXCEPTION WHEN lock_not_available THEN
            action := 'busy';
          END;
          RETURN NEXT;
        END LOOP;
      END
      $function$;

      -- 0 when empty, else a figure from the statistics, at least 1. Reads no row.
      CREATE FUNCTION sluice.default_partition_rows() RETURNS bigint
        LANGUAGE sql STABLE AS $function$
        SELECT CASE WHEN pg_relation_size('sluice.entity_values_default') = 0 THEN 0
          ELSE greatest(1, pg_stat_get_live_tuples('sluice.entity_values_default'::regclass)) END
      $function$;
      """#
  )
}
