// Attributes that were hot: their old values leave the projections before they can be hot again.

extension Migration {
  static let cooling = Migration(
    version: 9,
    name: "cooling",
    sql: #"""
      CREATE TABLE sluice.cooled_attributes (
        tenant_id integer NOT NULL,
        attribute_id integer NOT NULL,
        PRIMARY KEY (tenant_id, attribute_id),
        FOREIGN KEY (tenant_id, attribute_id) REFERENCES sluice.attributes
      );
      COMMENT ON TABLE sluice.cooled_attributes IS
        'Attributes that are not hot now and whose values from before may be in projections.';
      -- Nobody has noted so far which of them were hot.
      INSERT INTO sluice.cooled_attributes
        SELECT a.tenant_id, a.attribute_id FROM sluice.attributes a WHERE NOT a.is_hot;

      -- NULL leaves a field as it is. No row: no such attribute. One that was hot before has its
      -- old values dropped first, by drop_cooled_values.
      CREATE OR REPLACE FUNCTION sluice.update_attribute(tenant integer, attribute_name text,
        hot boolean, new_unit text)
      RETURNS TABLE (attribute_id integer, name text, value_type smallint, unit text,
        is_hot boolean)
      LANGUAGE plpgsql AS $function$
      #variable_conflict use_column
      BEGIN
        -- The tenant first, as resolve_attributes does.
        UPDATE sluice.tenants t SET catalog_version = t.catalog_version + 1
          WHERE t.tenant_id = tenant
          AND EXISTS (SELECT FROM sluice.attributes a WHERE a.tenant_id = tenant
            AND a.name = attribute_name);
        INSERT INTO sluice.cooled_attributes
          SELECT a.tenant_id, a.attribute_id FROM sluice.attributes a
          WHERE a.tenant_id = tenant AND a.name = attribute_name AND a.is_hot AND NOT hot
          ON CONFLICT DO NOTHING;
        DELETE FROM sluice.cooled_attributes c USING sluice.attributes a
          WHERE a.tenant_id = tenant AND a.name = attribute_name AND hot
          AND c.tenant_id = a.tenant_id AND c.attribute_id = a.attribute_id;
        RETURN QUERY
          UPDATE sluice.attributes a
            SET is_hot = coalesce(hot, a.is_hot), unit = coalesce(new_unit, a.unit)
          WHERE a.tenant_id = tenant AND a.name = attribute_name
          RETURNING a.attribute_id, a.name, a.value_type, a.unit, a.is_hot;
      END
      $function$;

      -- Takes the values of an attribute that is not hot any more out of the projections of the
      -- next so many entities. Returns the last of them, to go on behind it; NULL when there are no
      -- more, or when the attribute is hot or never was.
      --
      -- A fold that read a document before it changed here finds another version and reads it
      -- again.
      CREATE FUNCTION sluice.drop_cooled_values(tenant integer, attribute_name text, after bigint,
        documents integer)
      RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off AS $function$
      DECLARE
        key text;
        last bigint;
      BEGIN
        -- It cannot become hot before this transaction has ended.
        SELECT a.attribute_id::text INTO key
          FROM sluice.attributes a JOIN sluice.cooled_attributes c
            ON c.tenant_id = a.tenant_id AND c.attribute_id = a.attribute_id
          WHERE a.tenant_id = tenant AND a.name = attribute_name AND NOT a.is_hot
          FOR SHARE OF a;
        IF key IS NULL THEN
          RETURN NULL;
        END IF;
        SELECT max(n.entity_id) INTO last FROM (
          SELECT j.entity_id FROM sluice.entity_jsonb j
          WHERE j.tenant_id = tenant AND j.entity_id > after
          ORDER BY j.entity_id LIMIT documents) AS n;
        -- Locked in the order in which folds lock them.
        WITH locked AS MATERIALIZED (
          SELECT j.entity_id FROM sluice.entity_jsonb j
          WHERE j.tenant_id = tenant AND j.entity_id > after AND j.entity_id <= last
            AND (j.hot_attrs ? key OR j.hot_times ? key)
          ORDER BY j.entity_id FOR UPDATE)
        UPDATE sluice.entity_jsonb j
          SET version = j.version + 1, hot_attrs = j.hot_attrs - key, hot_times = j.hot_times - key
          FROM locked l WHERE j.tenant_id = tenant AND j.entity_id = l.entity_id;
        RETURN last;
      END
      $function$;
      """#
  )
}
