// Entities called by id or by name, as parameters of one statement.

/// Keys in four arrays: ids and their places in the request, names and theirs.
struct KeyLists {
  private var ids: [Int64] = []
  private var idPlaces: [Int64] = []
  private var names: [String] = []
  private var namePlaces: [Int64] = []

  /// No keys yet.
  init() {}

  init(_ keys: [EntityReader.Key]) {
    for (place, key) in keys.enumerated() { append(key, place: place) }
  }

  mutating func append(_ key: EntityReader.Key, place: Int) {
    switch key {
    case .id(let id):
      ids.append(id)
      idPlaces.append(Int64(place))
    case .externalKey(let name):
      names.append(name)
      namePlaces.append(Int64(place))
    }
  }

  /// Four parameters of a statement with `sql` in it.
  var parameters: [PostgresParameter] {
    [.array(ids), .array(idPlaces), .array(names), .array(namePlaces)]
  }

  /// Rows of place, entity_id and external_key for what exists; $1 is the tenant, `parameters` come
  /// from number `first` on.
  static func sql(from first: Int) -> String {
    """
    SELECT u.place, e.entity_id, e.external_key
    FROM \(unnest("int8", at: first)) AS u(id, place)
    JOIN sluice.entities e ON e.tenant_id = $1 AND e.entity_id = u.id
    UNION ALL
    SELECT u.place, e.entity_id, e.external_key
    FROM \(unnest("text", at: first + 2)) AS u(name, place)
    JOIN sluice.entities e ON e.tenant_id = $1 AND e.external_key = u.name
    """
  }

  /// Rows of the array at a parameter and that of places behind it.
  ///
  /// In subqueries, where the planner cannot see how short the arrays are: it would take a plan for
  /// just these to be worth 0.1 ms of planning every time.
  static func unnest(_ type: String, at first: Int) -> String {
    "unnest((SELECT $\(first)::\(type)[]), (SELECT $\(first + 1)::int8[]))"
  }

  /// The place that a row of the answer belongs to.
  ///
  /// - Throws: `.unreadable` when there is no such place.
  static func place(
    _ result: PostgresResult,
    row: Int,
    column: Int,
    count: Int
  ) throws(StorageError) -> Int {
    let place: Int64?
    do throws(PostgresError) {
      place = try result.int64(row: row, column: column)
    } catch {
      throw .postgres(error)
    }
    guard let place, (0..<Int64(count)).contains(place) else {
      throw .unreadable("an entity that was not asked for")
    }
    return Int(place)
  }
}
