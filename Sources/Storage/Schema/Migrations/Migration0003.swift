// Catalog: names to ids, many at a time, from any number of gateways at once.

extension Migration {
  static let catalog = Migration(
    version: 3,
    name: "catalog",
    sql: #"""
      -- One row per key, in the order of `keys`; entity_id is NULL where there is none and none was
      -- made; created says that this transaction made it (under a savepoint it says false). Existing
      -- ones are looked up first: ON CONFLICT alone would use up an id for each.
      CREATE FUNCTION sluice.resolve_entities(tenant integer, keys text[],
        existing_only boolean DEFAULT false)
      RETURNS TABLE ("position" integer, entity_id bigint, created boolean)
      LANGUAGE plpgsql AS $function$
      #variable_conflict use_column
      BEGIN
        IF NOT existing_only
          AND (SELECT t.may_create_names FROM sluice.tenants t WHERE t.tenant_id = tenant) THEN
          -- Sorted, so that two callers with the same new keys wait for each other in one direction
          -- only.
          INSERT INTO sluice.entities (tenant_id, external_key)
          SELECT tenant, missing.key FROM (
            SELECT DISTINCT k.key COLLATE "C" AS key FROM unnest(keys) AS k(key)
            WHERE NOT EXISTS (SELECT FROM sluice.entities e
                              WHERE e.tenant_id = tenant AND e.external_key = k.key)
            ORDER BY 1) AS missing
          ON CONFLICT (tenant_id, external_key) DO NOTHING;
        END IF;
        RETURN QUERY
          SELECT k.place::integer, e.entity_id,
            coalesce(e.xmin = pg_current_xact_id_if_assigned()::xid, false)
          FROM unnest(keys) WITH ORDINALITY AS k(key, place)
          LEFT JOIN sluice.entities e ON e.tenant_id = tenant AND e.external_key = k.key
          ORDER BY k.place;
      END
      $function$;

      -- One row per name, in the order of `names`. outcome: 'found', 'created', 'type_mismatch'
      -- (the row shows the existing type), 'not_found' (type 0 asked for an existing one, or the
      -- tenant may not create names). Mismatches are reported and change nothing; the other names
      -- are created all the same.
      CREATE FUNCTION sluice.resolve_attributes(
        tenant integer, names text[], types smallint[], units text[], hots boolean[])
      RETURNS TABLE ("position" integer, attribute_id integer, name text, value_type smallint,
        unit text,
                     is_hot boolean, outcome text)
      LANGUAGE plpgsql AS $function$
      #variable_conflict use_column
      DECLARE
        next integer;
        may boolean;
        made integer := 0;
      BEGIN
        IF EXISTS (SELECT FROM unnest(names, types) AS n(name, type) WHERE n.type <> 0
          AND NOT EXISTS (
            SELECT FROM sluice.attributes a WHERE a.tenant_id = tenant AND a.name = n.name)) THEN
          -- One creator at a time per tenant keeps ids dense.
          SELECT t.next_attribute_id, t.may_create_names INTO next, may
            FROM sluice.tenants t WHERE t.tenant_id = tenant FOR NO KEY UPDATE;
          IF may THEN
            INSERT INTO sluice.attributes (tenant_id, attribute_id, name, value_type, unit, is_hot)
            SELECT tenant, next - 1 + row_number()
              OVER (ORDER BY n.place), n.name, n.type, n.unit, n.hot
            FROM (
              SELECT DISTINCT ON (n.name COLLATE "C") n.*
              FROM unnest(names, types, units, hots)
                WITH ORDINALITY AS n(name, type, unit, hot, place)
              WHERE n.type <> 0 AND NOT EXISTS (
                SELECT FROM sluice.attributes a WHERE a.tenant_id = tenant AND a.name = n.name)
              ORDER BY n.name COLLATE "C", n.place) AS n;
            GET DIAGNOSTICS made = ROW_COUNT;
            UPDATE sluice.tenants t
              SET next_attribute_id = next + made, catalog_version = t.catalog_version + 1
              WHERE t.tenant_id = tenant AND made > 0;
          END IF;
        END IF;
        RETURN QUERY
          SELECT n.place::integer, a.attribute_id, n.name, a.value_type, a.unit, a.is_hot,
            CASE WHEN a.attribute_id IS NULL THEN 'not_found'
                 WHEN n.type NOT IN (0, a.value_type) THEN 'type_mismatch'
                 WHEN made > 0 AND a.attribute_id >= next THEN 'created'
                 ELSE 'found' END
          FROM unnest(names, types) WITH ORDINALITY AS n(name, type, place)
          LEFT JOIN sluice.attributes a ON a.tenant_id = tenant AND a.name = n.name
          ORDER BY n.place;
      END
      $function$;

      -- NULL leaves a field as it is. No row: no such attribute.
      CREATE FUNCTION sluice.update_attribute(tenant integer, attribute_name text, hot boolean,
        new_unit text)
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
        RETURN QUERY
          UPDATE sluice.attributes a
            SET is_hot = coalesce(hot, a.is_hot), unit = coalesce(new_unit, a.unit)
          WHERE a.tenant_id = tenant AND a.name = attribute_name
          RETURNING a.attribute_id, a.name, a.value_type, a.unit, a.is_hot;
      END
      $function$;
      """#
  )
}
