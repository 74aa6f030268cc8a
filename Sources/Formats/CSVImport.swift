// Turns the records of a CSV file into points.

/// An importer of CSV files in wide or long form, with a header.
///
/// Wide: the header names the time, perhaps the entity, and an attribute per column. Long: a row
/// holds entity, attribute, time, value and perhaps the type. Which form it is follows from the
/// header: a column named attribute (or metric, variable, parameter) beside one named value makes
/// it long. An empty field is no value. How types are found is said at `TypeInference`: the first
/// records are held back until their types are decided.
public struct CSVImport: PointImport {
  /// Bytes of records that are held back at most, whatever their number.
  private static let sampleBytesMax = 4 << 20

  /// What the columns mean, once the header has been read.
  public private(set) var columns: CSVColumns?

  private let options: CSVImportOptions
  private var reader: CSVReader
  private var isFinished = false
  private var inference = TypeInference(declared: [])
  /// Long form: where each attribute stands in `inference`.
  private var attributeIndexes: [String: Int] = [:]
  private var sample: [Result<CSVRecord, CSVError>] = []
  private var sampleBytes = 0
  private var sampleIndex = 0
  private var isSampling = true

  /// Starts an import.
  public init(options: CSVImportOptions) {
    self.options = options
    // A row of another length than the header would lose or misplace values.
    var readerOptions = options.reader
    readerOptions.requiresEqualFieldCounts = true
    reader = CSVReader(options: readerOptions)
  }

  /// Appends bytes of the file; at best after `next()` has returned nil.
  public mutating func feed(_ bytes: ArraySlice<UInt8>) {
    reader.feed(bytes)
  }

  /// Says that the file has no more bytes.
  public mutating func finish() {
    reader.finish()
    isFinished = true
  }

  /// The next record with its points and problems.
  ///
  /// - Returns: the record, or nil when more bytes (or `finish()`) are needed or the file is over.
  /// - Throws: what is wrong with the header.
  public mutating func next() throws(ImportError) -> ImportedRecord? {
    if columns == nil { try readHeader() }
    guard let columns else { return nil }
    if isSampling { fillSample(columns) }
    guard !isSampling else { return nil }
    if sampleIndex < sample.count {
      let result = sample[sampleIndex]
      sampleIndex += 1
      return imported(result, columns)
    }
    sample = []
    sampleIndex = 0
    return readRecord().map { imported($0, columns) }
  }

  private mutating func readRecord() -> Result<CSVRecord, CSVError>? {
    do throws(CSVError) {
      return try reader.next().map { .success($0) }
    } catch {
      return .failure(error)
    }
  }

  private mutating func readHeader() throws(ImportError) {
    guard let result = readRecord() else {
      guard !isFinished else { throw .headerMissing }
      return
    }
    switch result {
    case .failure(let error): throw .header(error)
    case .success(let record):
      let found = try CSVColumns(header: record.fields, options: options)
      columns = found
      inference = TypeInference(declared: found.attributes.map { declaredType(found.names[$0]) })
    }
  }

  private func declaredType(_ name: String) -> PointType? {
    options.types[name]
      ?? options.types.first { $0.key.lowercased() == name.lowercased() }?.value
  }

  /// Holds records back until the sample is large enough or the file is over.
  private mutating func fillSample(_ columns: CSVColumns) {
    while sample.count < options.sampleRecordsMax, sampleBytes < Self.sampleBytesMax {
      guard let result = readRecord() else {
        guard isFinished else { return }
        break
      }
      sample.append(result)
      guard case .success(let record) = result else { continue }
      sampleBytes += record.bytes.count
      take(record, columns)
    }
    inference.decide()
    isSampling = false
  }

  private mutating func take(_ record: CSVRecord, _ columns: CSVColumns) {
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

  private mutating func attributeIndex(_ name: String) -> Int {
    if let index = attributeIndexes[name] { return index }
    let index = inference.add(declared: declaredType(name))
    attributeIndexes[name] = index
    return index
  }

  private mutating func imported(
    _ result: Result<CSVRecord, CSVError>,
    _ columns: CSVColumns
  ) -> ImportedRecord {
    switch result {
    case .success(let record):
      var imported = ImportedRecord(line: record.line)
      switch columns.layout {
      case .wide: readWide(record, columns, into: &imported)
      case .long: readLong(record, columns, into: &imported)
      }
      return imported
    case .failure(let error):
      let problem = ImportProblem(line: error.line, reason: .csv(error.problem))
      return ImportedRecord(line: error.line, problems: [problem])
    }
  }

  /// The time and the entity of a record, or what is wrong with them.
  private func place(
    of record: CSVRecord,
    _ columns: CSVColumns
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
      time = try Timestamp(bytes: record.bytes(at: columns.time), integerUnit: options.timeUnit)
    } catch {
      throw problem(columns.time, .time(error))
    }
    guard let column = columns.entity else { return (time, options.entity ?? "") }
    let entity = record[column]
    guard !entity.isEmpty else { throw problem(column, .entityMissing) }
    return (time, entity)
  }

  private mutating func readWide(
    _ record: CSVRecord,
    _ columns: CSVColumns,
    into imported: inout ImportedRecord
  ) {
    let place: (time: Timestamp, entity: String)
    do throws(ImportProblem) {
      place = try self.place(of: record, columns)
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
            value: value
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
    _ columns: CSVColumns,
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
      let place = try self.place(of: record, columns)
      guard let cells = LongCells(record, columns) else { return }
      guard !cells.attribute.isEmpty else { throw problem(columns.attribute, .attributeMissing) }
      let type: PointType
      if let written = cells.type {
        guard let known = PointType(name: written) else {
          throw problem(columns.type, .typeUnknown)
        }
        type = known
      } else {
        let index = attributeIndex(cells.attribute)
        type = inference.type(at: index, firstValue: cells.value)
      }
      do throws(PointValueError) {
        let value = try PointValue(bytes: cells.value, as: type)
        imported.points.append(
          Point(
            entity: place.entity,
            attribute: cells.attribute,
            time: place.time,
            value: value
          )
        )
      } catch {
        throw problem(columns.value, .value(error))
      }
    } catch {
      imported.problems.append(error)
    }
  }

  /// The cells of a record in long form; nil when the value is empty.
  private struct LongCells {
    let attribute: String
    let value: ArraySlice<UInt8>
    let type: String?

    init?(_ record: CSVRecord, _ columns: CSVColumns) {
      guard let attribute = columns.attribute, let value = columns.value,
        !Ascii.trimmed(record.bytes(at: value)).isEmpty
      else { return nil }
      self.attribute = record[attribute]
      self.value = record.bytes(at: value)
      if let column = columns.type, !record.bytes(at: column).isEmpty {
        type = record[column]
      } else {
        type = nil
      }
    }
  }
}
