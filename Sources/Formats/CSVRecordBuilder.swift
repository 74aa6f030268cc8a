// Collects the bytes of one record until it is whole, then checks that they are UTF-8.

/// The record that a reader is in the middle of.
struct CSVRecordBuilder {
  /// The line on which the record begins.
  private(set) var line = 1
  /// Bytes of the file that belong to the record, quotes and delimiters included.
  var byteCount = 0
  /// Whether a field began with a quote; then the record is not a blank line.
  var hasQuote = false

  private var contents: [UInt8] = []
  private var ends: [Int] = []
  private var hasNonAscii = false

  /// The fields that have ended.
  var fieldCount: Int { ends.count }

  /// Begins the next record, with room for one as large as the last.
  mutating func begin(line: Int) {
    let (contentCount, fieldCount) = (contents.count, ends.count)
    self = CSVRecordBuilder()
    self.line = line
    contents.reserveCapacity(contentCount + 16)
    ends.reserveCapacity(fieldCount)
  }

  /// Appends content; `seen` is the bitwise or of the bytes.
  mutating func append(_ bytes: ArraySlice<UInt8>, seen: UInt8) {
    contents.append(contentsOf: bytes)
    if seen >= 0x80 { hasNonAscii = true }
  }

  mutating func endField() {
    ends.append(contents.count)
  }

  /// The whole record, or nil for a blank line.
  mutating func finish() throws(CSVError) -> CSVRecord? {
    guard !ends.isEmpty || !contents.isEmpty || hasQuote else { return nil }
    endField()
    let record = CSVRecord(line: line, bytes: contents, ends: ends)
    if hasNonAscii { try Self.validate(record) }
    return record
  }

  /// Field by field, because two broken halves may look whole side by side.
  private static func validate(_ record: CSVRecord) throws(CSVError) {
    for index in 0..<record.count {
      if let offset = UTF8Check.firstError(in: record.bytes(at: index)) {
        throw CSVError(
          line: record.line,
          problem: .invalidUTF8(field: index + 1, offset: offset)
        )
      }
    }
  }
}
