// What operators and the clock look at: the heartbeat, lag, throughput and health.

extension Migration {
  static let operations = Migration(
    version: 6,
    name: "operations",
    sql: #"""
      -- Once a second from any gateway. The flush LSN is read before this row is written, so
      -- whoever sees the row also sees everything up to its lsn. The time is read before the lsn, so
      -- what was acknowledged until then lies within it. Beats that come within half a second
      -- write nothing.
      CREATE FUNCTION sluice.beat(OUT lsn pg_lsn, OUT beat_at timestamptz)
        LANGUAGE plpgsql AS $function$
      #variable_conflict use_column
      DECLARE
        current_at timestamptz := clock_timestamp();
        current_lsn pg_lsn := pg_current_wal_flush_lsn();
        current_timeline integer := ('x'
          || left(pg_walfile_name(current_lsn), 8))::bit(32)::integer;
        cluster bigint := (SELECT c.system_identifier FROM pg_control_system() c);
        written bigint;
      BEGIN
        -- What is lost with it is made again: nobody waits for a replica's sake.
        PERFORM set_config('synchronous_commit', 'local', true);
        UPDATE sluice.heartbeat h
          SET beat = h.beat + 1, lsn = greatest(h.lsn, current_lsn), beat_at = current_at,
            timeline = current_timeline, system_identifier = cluster
          WHERE h.beat_at < current_at - interval '500 ms' OR h.beat = 0
            OR (h.timeline, h.system_identifier) IS DISTINCT FROM (current_timeline, cluster);
        IF FOUND THEN
          SELECT coalesce(sum(pg_stat_get_tuples_inserted(i.inhrelid)), 0) INTO written
            FROM pg_inherits i WHERE i.inhparent = 'sluice.entity_values'::regclass;
          INSERT INTO sluice.heartbeat_history
            VALUES (current_at, current_lsn, written, current_timeline, cluster)
            ON CONFLICT DO NOTHING;
          DELETE FROM sluice.heartbeat_history o
            WHERE o.beat_at < current_at - interval '66 minutes'
              OR (o.beat_at < current_at - interval '5 minutes' AND EXISTS (
                SELECT FROM sluice.heartbeat_history k
                WHERE k.beat_at < o.beat_at
                  AND k.beat_at >= date_bin('30 seconds', o.beat_at, 'epoch')));
        END IF;
        lsn := current_lsn;
        beat_at := current_at;
      END
      $function$;

      -- Diagnostics, never routing: a half-open link keeps showing its last figures
      -- (CONSISTENCY.md). staleness: an upper bound from the heartbeat's history; NULL when the
      -- history does not reach back.
      CREATE FUNCTION sluice.check_replication_lag()
      RETURNS TABLE (application_name text, client_addr inet, state text, sync_state text,
        replay_lsn pg_lsn,
                     bytes_behind numeric, staleness interval)
      LANGUAGE sql AS $function$
        SELECT r.application_name, r.client_addr, r.state, r.sync_state, r.replay_lsn,
          CASE WHEN pg_is_in_recovery() THEN NULL
            ELSE pg_wal_lsn_diff(pg_current_wal_flush_lsn(), r.replay_lsn) END,
          clock_timestamp() - (SELECT max(h.beat_at) FROM sluice.heartbeat_history h
            WHERE h.lsn <= r.replay_lsn)
        FROM pg_stat_replication r
      $function$;

      -- Values written per second between samples of the heartbeat, newest first; from PostgreSQL's
      -- own statistics, so that reading it costs nothing.
      CREATE VIEW sluice.v_write_throughput AS
        SELECT h.beat_at AS until, h.beat_at - h.before_at AS span,
          h.values_written - h.before_written AS values_written,
          round(((h.values_written - h.before_written)
            / greatest(extract(epoch FROM h.beat_at - h.before_at), 0.001))::numeric,
              1) AS values_per_second
        FROM (
          SELECT n.*, lag(n.beat_at) OVER w AS before_at, lag(n.values_written)
            OVER w AS before_written
          FROM sluice.heartbeat_history n WINDOW w AS (ORDER BY n.beat_at)) AS h
        WHERE h.values_written >= h.before_written
        ORDER BY h.beat_at DESC;

      -- One row per check; none scans a table.
      CREATE FUNCTION sluice.health_check() RETURNS TABLE (check_name text, ok boolean, detail text)
      LANGUAGE plpgsql AS $function$
      BEGIN
        RETURN QUERY SELECT 'primary', NOT pg_is_in_recovery(), 'in recovery: '
          || pg_is_in_recovery();
        RETURN QUERY SELECT 'synchronous_commit', current_setting('synchronous_commit') <> 'off',
          current_setting('synchronous_commit');
        RETURN QUERY SELECT 'heartbeat', h.beat_at > clock_timestamp() - interval '10 s',
          'last beat ' || h.beat_at FROM sluice.heartbeat h;
        RETURN QUERY SELECT 'partition_now', count(*) = 1, coalesce(min(r.partition_name), 'none')
          FROM sluice.partition_ranges r WHERE r.covers @> now();
        RETURN QUERY SELECT 'partition_ahead', count(*) >= 1, count(*) || ' ahead'
          FROM sluice.partition_ranges r WHERE lower(r.covers) > now();
        RETURN QUERY SELECT 'default_partition', n = 0, 'about ' || n || ' rows'
          FROM sluice.default_partition_rows() AS n;
        RETURN QUERY SELECT 'staging', count(*) = 0, count(*)
          || ' gateways dead with staged batches'
          FROM (SELECT DISTINCT s.gateway_id FROM sluice.staged_batches b
            JOIN sluice.segment_state s USING (segment)
                JOIN sluice.producer_state p USING (tenant_id, producer_id)
                LEFT JOIN sluice.gateways g ON g.gateway_id = s.gateway_id
                  AND g.beat_at > clock_timestamp() - interval '10 s'
                WHERE g.gateway_id IS NULL AND b.last_seq > p.durable_seq
                  AND b.epoch = p.epoch) AS d;
        RETURN QUERY SELECT 'lost_ranges', count(*) = 0, count(*) || ' recorded in the last day'
          FROM sluice.lost_ranges l WHERE l.recorded_at > now() - interval '1 day';
      END
      $function$;

      -- Forgets producers that nobody has heard of for `age`, never less than 90 days: one that is
      -- forgotten could send again what it sent before. Gateways call it every day.
      CREATE FUNCTION sluice.forget_producers(age interval DEFAULT '400 days') RETURNS bigint
      LANGUAGE plpgsql AS $function$
      DECLARE
        forgotten bigint;
      BEGIN
        WITH gone AS (
          DELETE FROM sluice.producer_state p
            WHERE greatest(p.updated_at, p.opened_at) < now() - greatest(age, interval '90 days')
            RETURNING p.tenant_id, p.producer_id),
          rejected AS (
            DELETE FROM sluice.rejected_values v USING gone g
              WHERE v.tenant_id = g.tenant_id AND v.producer_id = g.producer_id),
          lost AS (
            DELETE FROM sluice.lost_ranges l USING gone g
              WHERE l.tenant_id = g.tenant_id AND l.producer_id = g.producer_id)
          SELECT count(*) INTO forgotten FROM gone;
        RETURN forgotten;
      END
      $function$;

      SELECT * FROM sluice.ensure_partitions();

      -- Fails with SLG20 when more than rows_max rows of history lie in a range of observed time;
      -- the detail is how many rows and pages are expected. By the statistics of the partitions
      -- that are left after pruning; one that was never analyzed counts as full and whole. It
      -- reads no row, and works on standbys.
      CREATE FUNCTION sluice.guard_scan(observed_from timestamptz, observed_to timestamptz,
        ingested_from timestamptz, rows_max bigint)
      RETURNS void LANGUAGE plpgsql SET max_parallel_workers_per_gather = 0 AS $function$
      DECLARE
        plan jsonb;
        cost record;
      BEGIN
        EXECUTE 'EXPLAIN (VERBOSE, FORMAT JSON) SELECT FROM sluice.entity_values '
          'WHERE observed_at >= $1 AND observed_at < $2 AND ingested_at >= $3'
          INTO plan USING observed_from, observed_to, ingested_from;
        SELECT coalesce(sum(scan.rows), 0)::bigint AS rows,
            coalesce(sum(ceil(size.pages * scan.rows / greatest(size.rows, 1))), 0)::bigint AS pages
          INTO cost
          FROM jsonb_path_query(plan, 'strict $.** ? (exists (@."Relation Name"))') AS n(node)
          JOIN pg_class c
            ON c.oid = format('%I.%I', node ->> 'Schema', node ->> 'Relation Name')::regclass
          CROSS JOIN LATERAL (
            SELECT p.pages, p.pages * CASE WHEN c.reltuples > 0 AND c.relpages > 0
                THEN c.reltuples::numeric / c.relpages ELSE 100 END AS rows
            FROM (SELECT pg_relation_size(c.oid) / current_setting('block_size')::bigint AS pages)
              AS p) AS size
          CROSS JOIN LATERAL (
            SELECT CASE WHEN node ->> 'Node Type' = 'Seq Scan' OR c.reltuples < 0 THEN size.rows
              ELSE least((node ->> 'Plan Rows')::numeric, size.rows) END AS rows) AS scan;
        IF cost.rows > rows_max THEN
          RAISE EXCEPTION 'too many rows of history lie in the range'
            USING ERRCODE = 'SLG20', DETAIL = cost.rows || ' ' || cost.pages;
        END IF;
      END
      $function$;

      -- Indexes the entities of partitions that take no values any more, so that whether a rare one
      -- is there is told without reading them: 1.4 ‰ of their size. Not before, for it slows COPY
      -- down by a tenth. Reads each partition once, in one transaction: a third of a microsecond a
      -- row. Call it daily, at a quiet time.
      CREATE FUNCTION sluice.index_closed_partitions(most integer DEFAULT 1)
      RETURNS SETOF text LANGUAGE plpgsql AS $function$
      DECLARE
        partition text;
      BEGIN
        PERFORM pg_advisory_xact_lock(5497231, 5);
        FOR partition IN
          SELECT r.partition_name FROM sluice.partition_ranges r
          -- An hour, for transactions that began before its end.
          WHERE upper(r.covers) < now() - interval '1 hour' AND NOT EXISTS (
            SELECT FROM pg_index i JOIN pg_opclass o ON o.oid = ANY (i.indclass)
            WHERE i.indrelid = r.partition_oid AND o.opcname = 'int8_bloom_ops')
          ORDER BY upper(r.covers) DESC LIMIT most
        LOOP
          EXECUTE format('CREATE INDEX ON sluice.%I USING brin '
            '(entity_id int8_bloom_ops (n_distinct_per_range = 1000))', partition);
          RETURN NEXT partition;
        END LOOP;
      END
      $function$;
      """#
  )
}
