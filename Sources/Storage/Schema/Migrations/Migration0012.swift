// Documents of a projection in words that a warehouse of another make can have, too.

extension Migration {
  static let warehouseDocuments = Migration(
    version: 12,
    name: "warehouse_documents",
    sql: #"""
      -- The newest document of an attribute as text, or NULL when there is none.
      CREATE FUNCTION sluice.hot_document(hot_attrs jsonb, key text) RETURNS text
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $function$
        SELECT ($1 -> $2)::text
      $function$;

      -- Whether two texts are the same document, however it is written.
      CREATE FUNCTION sluice.same_document(document text, other text) RETURNS boolean
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $function$
        SELECT $1::jsonb = $2::jsonb
      $function$;
      """#
  )
}
