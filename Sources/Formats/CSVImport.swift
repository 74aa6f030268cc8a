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
  public var columns: CSVColumns? { rows?.columns }

  private let options: CSVImportOptions
  private var reader: CSVReader
  private var isFinished = false
  private var rows: CSVRowReader?
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
    if rows == nil { try readHeader() }
    guard rows != nil else { return nil }
    if isSampling { fillSample() }
    guard !isSampling else { return nil }
    if sampleIndex < sample.count {
      let result = sample[sampleIndex]
      sampleIndex += 1
      return imported(result)
    }
    sample = []
    sampleIndex = 0
    return readRecord().flatMap { imported($0) }
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
      let columns = try CSVColumns(header: record.fields, options: options)
      rows = CSVRowReader(columns: columns, options: options)
    }
  }

  /// Holds records back until the sample is large enough or the file is over.
  private mutating func fillSample() {
    while sample.count < options.sampleRecordsMax, sampleBytes < Self.sampleBytesMax {
      guard let result = readRecord() else {
        guard isFinished else { return }
        break
      }
      sample.append(result)
      guard case .success(let record) = result else { continue }
      sampleBytes += record.bytes.count
      rows?.sample(record)
    }
    rows?.decideTypes()
    isSampling = false
  }

  private mutating func imported(_ result: Result<CSVRecord, CSVError>) -> ImportedRecord? {
    switch result {
    case .success(let record): return rows?.read(record)
    case .failure(let error):
      let problem = ImportProblem(line: error.line, reason: .csv(error.problem))
      return ImportedRecord(line: error.line, problems: [problem])
    }
  }
}
