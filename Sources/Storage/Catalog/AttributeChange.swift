// A change of an attribute, and what it takes out of the projections.

/// Whether an attribute is to be hot, and its unit.
struct AttributeChange {
  /// Documents in which values are dropped in one transaction, which writers of them wait for: some
  /// 100 ms.
  static let documentsAtOnce: Int32 = 2_000

  /// Asks the primary.
  typealias Question = (PostgresStatement) async throws(StorageError) -> PostgresResult

  var tenant: Int32
  var name: String
  var isHot: Bool
  var unit: String

  /// Changes the attribute.
  ///
  /// What was folded before leaves the projections when it is not hot any more, and again before it
  /// is: gateways that did not know yet may have folded some more.
  ///
  /// - Returns: the attribute as it is now; nil when there is none.
  /// - Throws: what `ask` throws; it may have been changed all the same.
  func make(_ ask: Question) async throws(StorageError) -> CatalogAttribute? {
    if isHot { try await dropCooledValues(ask) }
    let statement = PostgresStatement(
      """
      SELECT attribute_id, name, value_type, unit, is_hot
      FROM sluice.update_attribute($1, $2, $3, $4)
      """,
      [.int32(tenant), .text(name), .bool(isHot), .text(unit)]
    )
    let result = try await ask(statement)
    let changed: CatalogAttribute?
    do throws(PostgresError) {
      changed = result.rowCount == 0 ? nil : try CatalogAttribute(result, row: 0, column: 0)
    } catch {
      throw .postgres(error)
    }
    if !isHot { try await dropCooledValues(ask) }
    return changed
  }

  /// Does nothing to an attribute that is hot or never was.
  private func dropCooledValues(_ ask: Question) async throws(StorageError) {
    var last: Int64? = 0
    while let after = last {
      let result = try await ask(
        PostgresStatement(
          "SELECT sluice.drop_cooled_values($1, $2, $3, $4)",
          [
            .int32(tenant), .text(name), .int64(after), .int32(AttributeChange.documentsAtOnce),
          ]
        )
      )
      do throws(PostgresError) {
        last = try result.int64(row: 0, column: 0)
      } catch {
        throw .postgres(error)
      }
    }
  }
}
