// Tables of the schema `sluice`.

extension Migration {
  static let tables = Migration(
    version: 1,
    name: "tables",
    sql: #"""
      -- Roles: the gateway's role owns or may use everything here; a reading role needs USAGE on
      -- the schema and SELECT on its tables. Grants are the operator's, so that managed services
      -- work.

      CREATE TABLE sluice.settings (
        name text PRIMARY KEY,
        value text NOT NULL
      );
      COMMENT ON TABLE sluice.settings IS
        'What every gateway must agree on: partition_width (hour|day|week|month), '
        'partitions_ahead, retention. database_id names this database to producers, whose '
        'positions mean nothing in another one; it is made once and goes along with backups.';
      INSERT INTO sluice.settings VALUES
        ('partition_width', 'day'), ('partitions_ahead', '3'), ('retention', '400 days'),
        ('database_id', gen_random_uuid()::text);

      CREATE TABLE sluice.tenants (
        tenant_id integer PRIMARY KEY,
        name text NOT NULL UNIQUE,
        may_create_names boolean NOT NULL DEFAULT true,
        next_attribute_id integer NOT NULL DEFAULT 1,
        catalog_version bigint NOT NULL DEFAULT 1,
        created_at timestamptz NOT NULL DEFAULT now()
      ) WITH (fillfactor = 50);
      COMMENT ON COLUMN sluice.tenants.catalog_version IS
        'Rises with every change of this tenant''s attributes: a gateway compares it to '
        'refresh its copy.';
      INSERT INTO sluice.tenants (tenant_id, name) VALUES (1, 'default');

      CREATE TABLE sluice.entities (
        entity_id bigint GENERATED ALWAYS AS IDENTITY,
        tenant_id integer NOT NULL REFERENCES sluice.tenants,
        external_key text COLLATE "C" NOT NULL CHECK (octet_length(external_key) BETWEEN 1 AND 512),
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, entity_id),
        UNIQUE (tenant_id, external_key)
      );

      CREATE TABLE sluice.attributes (
        tenant_id integer NOT NULL REFERENCES sluice.tenants,
        attribute_id integer NOT NULL CHECK (attribute_id > 0),
        value_type smallint NOT NULL CHECK (value_type BETWEEN 1 AND 5),
        is_hot boolean NOT NULL DEFAULT false,
        name text COLLATE "C" NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 256),
        unit text NOT NULL DEFAULT '' CHECK (octet_length(unit) <= 64),
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, attribute_id),
        UNIQUE (tenant_id, name)
      );
      COMMENT ON COLUMN sluice.attributes.attribute_id IS
        'Dense per tenant, from 1: a gateway looks types up in a plain array. Never used twice.';
      COMMENT ON COLUMN sluice.attributes.value_type IS
        '1 number, 2 integer, 3 flag, 4 label, 5 document, as sluice.v1.ValueType; never changes.';

      -- Fixed width and NOT NULL first: no padding, and their offsets are constants to PostgreSQL.
      CREATE TABLE sluice.entity_values (
        entity_id bigint NOT NULL,
        observed_at timestamptz NOT NULL,
        ingested_at timestamptz NOT NULL DEFAULT now(),
        tenant_id integer NOT NULL,
        attribute_id integer NOT NULL,
        number double precision,
        integer bigint,
        flag boolean,
        label text,
        document jsonb
      ) PARTITION BY RANGE (ingested_at);
      COMMENT ON COLUMN sluice.entity_values.ingested_at IS
        'The database''s clock at the start of the transaction, left out of the COPY: one '
        'clock, no skew.';
      CREATE TABLE sluice.entity_values_default PARTITION OF sluice.entity_values DEFAULT;
      COMMENT ON TABLE sluice.entity_values_default IS
        'Catches what no partition covers. Rows here are an alarm: see '
        'sluice.default_partition_rows().';
      CREATE INDEX entity_values_ingested ON sluice.entity_values
        USING brin (ingested_at) WITH (autosummarize = on);
      CREATE INDEX entity_values_observed ON sluice.entity_values
        USING brin (observed_at timestamptz_minmax_multi_ops (values_per_range = 128))
        WITH (autosummarize = on);

      CREATE TABLE sluice.entity_jsonb (
        entity_id bigint NOT NULL,
        version bigint NOT NULL,
        overflowed_at timestamptz,
        tenant_id integer NOT NULL,
        hot_attrs jsonb NOT NULL DEFAULT '{}',
        hot_times jsonb NOT NULL DEFAULT '{}',
        PRIMARY KEY (tenant_id, entity_id)
      ) WITH (fillfactor = 70);
      COMMENT ON COLUMN sluice.entity_jsonb.hot_attrs IS
        'Newest value by attribute id. number: a JSON number that reads back as the same double, '
        'or one of the strings "NaN", "Infinity", "-Infinity", "-0". integer: a JSON number, '
        'exact. flag: true or '
        'false. label: a string. document: itself. The attribute''s type tells them apart.';
      COMMENT ON COLUMN sluice.entity_jsonb.hot_times IS
        'observed_at in microseconds since 1970 by attribute id. A key without one in hot_attrs is '
        'a tombstone.';
      COMMENT ON COLUMN sluice.entity_jsonb.overflowed_at IS
        'When values were last left out because the document would have passed its size cap; they '
        'are in '
        'entity_values all the same. NULL: the document is complete.';

      CREATE TABLE sluice.producer_state (
        producer_id uuid NOT NULL,
        epoch bigint NOT NULL,
        durable_seq bigint NOT NULL,
        updated_at timestamptz NOT NULL DEFAULT now(),
        opened_at timestamptz NOT NULL DEFAULT now(),
        session_id uuid NOT NULL,
        tenant_id integer NOT NULL,
        recent bigint[] NOT NULL DEFAULT '{}',
        PRIMARY KEY (tenant_id, producer_id)
      ) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.5);
      COMMENT ON COLUMN sluice.producer_state.recent IS
        'The last 8 batches as first_seq, last_seq, crc32c each, oldest first.';

      CREATE TABLE sluice.rejected_values (
        seq bigint NOT NULL,
        producer_id uuid NOT NULL,
        rejected_at timestamptz NOT NULL DEFAULT now(),
        tenant_id integer NOT NULL,
        reason smallint NOT NULL,
        PRIMARY KEY (tenant_id, producer_id, seq)
      );
      COMMENT ON TABLE sluice.rejected_values IS
        'Values that were handled but not written; the newest 10,000 of each producer. reason: '
        'sluice.v1.RejectReason.';

      CREATE TABLE sluice.lost_ranges (
        from_seq bigint NOT NULL,
        to_seq bigint NOT NULL,
        producer_id uuid NOT NULL,
        session_id uuid NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT now(),
        tenant_id integer NOT NULL,
        PRIMARY KEY (tenant_id, producer_id, from_seq)
      );
      COMMENT ON TABLE sluice.lost_ranges IS
        'Acknowledged values that a failover lost and that their producer no longer held: skipped '
        'explicitly.';

      -- Staging. Everything UNLOGGED is emptied by crash recovery; staging_meta tells that it was.
      CREATE UNLOGGED TABLE sluice.staging_meta (
        id boolean PRIMARY KEY DEFAULT true CHECK (id),
        incarnation bigint NOT NULL
      );

      CREATE UNLOGGED TABLE sluice.gateways (
        gateway_id uuid PRIMARY KEY,
        beat_at timestamptz NOT NULL DEFAULT now(),
        started_at timestamptz NOT NULL DEFAULT now(),
        has_cache boolean
      ) WITH (fillfactor = 50);
      COMMENT ON COLUMN sluice.gateways.has_cache IS
        'Whether it tells a cache what it writes; all gateways should do the same.';
      COMMENT ON TABLE sluice.gateways IS
        'Who is alive, by the database''s clock: beat_at is renewed every second. A lock would not '
        'do: the '
        'kernel of a stopped gateway keeps its connections, and with them its locks, for ever.';

      CREATE TABLE sluice.segment_state (
        segment text PRIMARY KEY,
        gateway_id uuid NOT NULL,
        slot integer NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        truncated_at timestamptz
      );

      CREATE UNLOGGED TABLE sluice.staged_rows (
        entity_id bigint NOT NULL,
        observed_at timestamptz NOT NULL,
        seq bigint NOT NULL,
        producer_id uuid NOT NULL,
        tenant_id integer NOT NULL,
        attribute_id integer NOT NULL,
        number double precision,
        integer bigint,
        flag boolean,
        label text,
        document jsonb
      );
      COMMENT ON TABLE sluice.staged_rows IS
        'The parent of all segments, itself empty: reading it reads every segment.';

      CREATE UNLOGGED TABLE sluice.staged_batches (
        producer_id uuid NOT NULL,
        epoch bigint NOT NULL,
        first_seq bigint NOT NULL,
        last_seq bigint NOT NULL,
        crc bigint NOT NULL,
        staged_at timestamptz NOT NULL DEFAULT now(),
        tenant_id integer NOT NULL,
        segment text NOT NULL,
        rejected_seqs bigint[],
        rejected_reasons smallint[]
      );
      CREATE INDEX staged_batches_producer ON sluice.staged_batches (tenant_id, producer_id);

      CREATE VIEW sluice.entity_values_ingest AS
        SELECT s.entity_id, s.observed_at, s.tenant_id, s.attribute_id, s.number, s.integer, s.flag,
               s.label, s.document, s.producer_id, s.seq
        FROM sluice.staged_rows s
        JOIN sluice.producer_state p USING (tenant_id, producer_id)
        WHERE s.seq > p.durable_seq;
      COMMENT ON VIEW sluice.entity_values_ingest IS
        'Staged and not yet durable. Union it with entity_values in one READ COMMITTED statement: '
        'then a '
        'value is seen exactly once, before, during and after its promotion.';

      CREATE TABLE sluice.heartbeat (
        id boolean PRIMARY KEY DEFAULT true CHECK (id),
        beat bigint NOT NULL DEFAULT 0,
        lsn pg_lsn NOT NULL DEFAULT '0/0',
        beat_at timestamptz NOT NULL DEFAULT now(),
        timeline integer NOT NULL DEFAULT 1,
        system_identifier bigint NOT NULL DEFAULT 0
      ) WITH (fillfactor = 10);
      INSERT INTO sluice.heartbeat DEFAULT VALUES;
      COMMENT ON TABLE sluice.heartbeat IS
        'One row. lsn: everything committed up to it is visible wherever this row is, also on a '
        'logical subscriber.';

      CREATE TABLE sluice.heartbeat_history (
        beat_at timestamptz PRIMARY KEY,
        lsn pg_lsn NOT NULL,
        values_written bigint NOT NULL,
        timeline integer NOT NULL,
        system_identifier bigint NOT NULL
      );
      COMMENT ON TABLE sluice.heartbeat_history IS
        'Seeds the clock of a new gateway: a sample a second for five minutes, then one each half '
        'minute for '
        'a little over an hour.';
      """#
  )
}
