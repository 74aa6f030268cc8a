// Reads the values out of single records, knowing what the columns mean and what types they have.

/// Turns one record after the other into points.
struct CSVRowReader {
  let columns: CSVColumns

  private let fixedEntity: String
  private let timeUnit: TimeUnit?
  private let declared: [String: PointType]
  private var inference = TypeInference(declared: [])
  /// Long form: where each attribute stands in `inference`.
  private var attributeIndexes: [String: Int] = [:]

  init(columns: CSVColumns, options: CSVImportOptions) {
    self.columns = columns
    fixedEntity = options.entity ?? ""
    timeUnit = options.timeUnit
    declared = options.types
    inference = TypeInference(
      declared: columns.attributes.map { declaredType(columns.names[$0]) }
    )
  }

  /// Lets the values of a record of the sample have their say about types.
  mutating func sample(_ record: CSVRecord) {
    switch columns.layout {
    case .wide:
      for (index, column) in columns.attributes.enumerated() {
        let bytes = record.bytes(at: column)
        if !Ascii.trimmed(bytes).isEmpty { inference.sample(bytes, at: index) }
      }
    case .long:
      guard let cells = LongCells(record, columns), cells.type == nil else { return }
      inference.sample(cells.value, at: attributeIndex(cells.attribute))
    }
  }

  /// Ends the sample.
  mutating func decideTypes() {
    inference.decide()
  }

  /// The points of a record and everything that is wrong with it.
  mutating func read(_ record: CSVRecord) -> ImportedRecord {
    var imported = ImportedRecord(line: record.line)
    switch columns.layout {
    case .wide: readWide(record, into: &imported)
    case .long: readLong(record, into: &imported)
    }
    return imported
  }

  private func declaredType(_ name: String) -> PointType? {
    declared[name] ?? declared.first { $0.key.lowercased() == name.lowercased() }?.value
  }

  private mutating func attributeIndex(_ name: String) -> Int {
    if let index = attributeIndexes[name] { return index }
    let index = inference.add(declared: declaredType(name))
    attributeIndexes[name] = index
    return index
  }

  /// The time and the entity of a record, or what is wrong with them.
  private func place(
    of record: CSVRecord
  ) throws(ImportProblem) -> (time: Timestamp, entity: String) {
    func problem(_ column: Int, _ reason: ImportProblem.Reason) -> ImportProblem {
      ImportProblem(
        line: record.line,
        column: column + 1,
        columnName: columns.names[column],
        reason: reason
      )
    }
    let time: Timestamp
    do throws(TimestampError) {
      time = try Timestamp(bytes: record.bytes(at: columns.time), integerUnit: timeUnit)
    } catch {
      throw problem(columns.time, .time(error))
    }
    guard let column = columns.entity else { return (time, fixedEntity) }
    let entity = record[column]
    guard !entity.isEmpty else { throw problem(column, .entityMissing) }
    return (time, entity)
  }

  private mutating func readWide(
    _ record: CSVRecord,
    into imported: inout ImportedRecord
  ) {
    let place: (time: Timestamp, entity: String)
    do throws(ImportProblem) {
      place = try self.place(of: record)
    } catch {
      imported.problems.append(error)
      return
    }
    imported.points.reserveCapacity(columns.attributes.count)
    for (index, column) in columns.attributes.enumerated() {
      let bytes = record.bytes(at: column)
      guard !Ascii.trimmed(bytes).isEmpty else { continue }
      do throws(PointValueError) {
        let type = inference.type(at: index, firstValue: bytes)
        let value = try PointValue(bytes: bytes, as: type)
        imported.points.append(
          Point(
            entity: place.entity,
            attribute: columns.names[column],
            time: place.time,
            value: value,
            guessedText: inference.isGuess(at: index) ? Self.text(of: value, bytes) : nil
          )
        )
      } catch {
        imported.problems.append(
          ImportProblem(
            line: record.line,
            column: column + 1,
            columnName: columns.names[column],
            reason: .value(error)
          )
        )
      }
    }
  }

  private mutating func readLong(
    _ record: CSVRecord,
    into imported: inout ImportedRecord
  ) {
    func problem(_ column: Int?, _ reason: ImportProblem.Reason) -> ImportProblem {
      ImportProblem(
        line: record.line,
        column: column.map { $0 + 1 },
        columnName: column.map { columns.names[$0] },
        reason: reason
      )
    }
    do throws(ImportProblem) {
      let place = try self.place(of: record)
      guard let cells = LongCells(record, columns) else { return }
      guard !cells.attribute.isEmpty else { throw problem(columns.attribute, .attributeMissing) }
      let type: PointType
      var isGuess = false
      if let written = cells.type {
        guard let known = PointType(name: written) else {
          throw problem(columns.type, .typeUnknown)
        }
        type = known
      } else {
        let index = attributeIndex(cells.attribute)
        type = inference.type(at: index, firstValue: cells.value)
        isGuess = inference.isGuess(at: index)
      }
      do throws(PointValueError) {
        let value = try PointValue(bytes: cells.value, as: type)
        imported.points.append(
          Point(
            entity: place.entity,
            attribute: cells.attribute,
            time: place.time,
            value: value,
            guessedText: isGuess ? Self.text(of: value, cells.value) : nil
          )
        )
      } catch {
        throw problem(columns.value, .value(error))
      }
    } catch {
      imported.problems.append(error)
    }
  }

  /// The text of a value that was read from these bytes; a label is its text.
  private static func text(of value: PointValue, _ bytes: ArraySlice<UInt8>) -> String {
    guard case .label(let label) = value else { return String(decoding: bytes, as: UTF8.self) }
    return label
  }

  /// The cells of a record in long form; nil when the value is empty and not said to be a label.
  private struct LongCells {
    let attribute: String
    let value: ArraySlice<UInt8>
    let type: String?

    init?(_ record: CSVRecord, _ columns: CSVColumns) {
      guard let attribute = columns.attribute, let value = columns.value else { return nil }
      self.attribute = record[attribute]
      self.value = record.bytes(at: value)
      if let column = columns.type, !record.bytes(at: column).isEmpty {
        type = record[column]
      } else {
        type = nil
      }
      let isLabel = type.flatMap { PointType(name: $0) } == .label
      guard isLabel || !Ascii.trimmed(self.value).isEmpty else { return nil }
    }
  }
}
