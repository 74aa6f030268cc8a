// The newest values of a projection in their types, for filters, orders and indexes.

extension Migration {
  static let hotValues = Migration(
    version: 8,
    name: "hot_values",
    sql: #"""
      -- The newest value of an attribute, or NULL when there is none or it is of another type: they
      -- never fail, whatever order a condition is evaluated in. Each is one expression, so that it
      -- is written into the statement and can be found in an index.
      CREATE FUNCTION sluice.hot_number(hot_attrs jsonb, key text) RETURNS double precision
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $function$
        SELECT CASE WHEN jsonb_typeof($1 -> $2) = 'number'
            OR $1 ->> $2 IN ('NaN', 'Infinity', '-Infinity', '-0')
          THEN ($1 ->> $2)::double precision END
      $function$;

      CREATE FUNCTION sluice.hot_integer(hot_attrs jsonb, key text) RETURNS bigint
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $function$
        SELECT CASE WHEN jsonb_typeof($1 -> $2) = 'number'
          THEN CASE WHEN ($1 ->> $2)::numeric BETWEEN -9223372036854775808 AND 9223372036854775807
            THEN ($1 ->> $2)::numeric::bigint END END
      $function$;

      CREATE FUNCTION sluice.hot_flag(hot_attrs jsonb, key text) RETURNS boolean
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $function$
        SELECT CASE WHEN jsonb_typeof($1 -> $2) = 'boolean' THEN ($1 -> $2)::boolean END
      $function$;

      CREATE FUNCTION sluice.hot_label(hot_attrs jsonb, key text) RETURNS text
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $function$
        SELECT CASE WHEN jsonb_typeof($1 -> $2) = 'string' THEN $1 ->> $2 END
      $function$;
      """#
  )
}
