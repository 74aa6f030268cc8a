// Cuts a stream of bytes into the records of a CSV file (RFC 4180), however the bytes are split.

/// A push reader: feed it chunks, take records until it has none, say when the file is at its end.
///
/// ```
/// while let chunk = nextChunk() {
///   reader.feed(chunk)
///   while let record = try reader.next() { … }
/// }
/// reader.finish()
/// while let record = try reader.next() { … }
/// ```
/// Beyond RFC 4180: LF ends a record as CRLF does, blank lines are skipped, and a byte order mark
/// at the start is dropped. After an error the reader goes on with the next record. A quote that is
/// not closed before the file ends was the mistake of the line that opened it: what follows that
/// line is read anew. No byte is read more than twice, because a quoted field that did not close
/// holds only quotes in pairs, and those open nothing.
public struct CSVReader: Sendable {
  /// What a record may look like.
  public struct Options: Sendable {
    /// The byte between fields; neither a quote nor a line end.
    public var delimiter = UInt8(ascii: ",")
    /// The longest record in bytes, 1 to `recordBytesLimit`.
    public var recordBytesMax = 64 * 1_024
    /// The most fields in a record.
    public var fieldCountMax = 4_096
    /// Whether each record must have as many fields as the first one.
    public var requiresEqualFieldCounts = true

    /// The usual options.
    public init() {}
  }

  /// The highest value `Options.recordBytesMax` may have: 1 MiB.
  public static let recordBytesLimit = 1 << 20

  private let options: Options
  private var input: [UInt8] = []
  private var position = 0
  private var isFinished = false
  private var state = State.beginning
  /// The line of the next byte.
  private var line = 1
  private var fieldCountExpected: Int?
  /// What follows the first line of a quoted field that is still open, as it stands in the file; at
  /// most as long as a record.
  private var behindLine: [UInt8]?
  /// The line of the last byte that was skipped, or stood in quotes.
  private var lastLine = 1

  private var record = CSVRecordBuilder()

  private enum State {
    /// Before the first byte, where a byte order mark may stand.
    case beginning
    case fieldStart
    case unquoted
    case quoted
    /// After a quote in a quoted field: it closed the field, or a second one follows.
    case quoteInQuoted
    case carriageReturn
    /// After an error: until the record's line end.
    case skipping(Skip)
  }

  private enum Skip {
    /// The quotes of the record make no sense: to the next line feed, whatever stands around it.
    case toLineFeed
    /// The record is only too large: quoted line feeds do not end it.
    case unquoted
    case quoted
  }

  /// Starts a reader at the first line of a file.
  public init(options: Options = Options()) {
    precondition(
      (1...Self.recordBytesLimit).contains(options.recordBytesMax),
      "records have a limit"
    )
    precondition(
      ![Ascii.quote, Ascii.lineFeed, Ascii.carriageReturn].contains(options.delimiter),
      "the delimiter is neither a quote nor a line end"
    )
    self.options = options
  }

  /// Appends bytes of the file; at best after `next()` has returned nil.
  public mutating func feed(_ bytes: ArraySlice<UInt8>) {
    precondition(!isFinished, "nothing comes after the end of the file")
    if position == input.count {
      input.removeAll(keepingCapacity: true)
    } else {
      input.removeFirst(position)
    }
    position = 0
    input.append(contentsOf: bytes)
  }

  /// Says that the file has no more bytes.
  public mutating func finish() {
    isFinished = true
  }

  /// The next whole record.
  ///
  /// - Returns: the record, or nil when more bytes (or `finish()`) are needed or the file is over.
  /// - Throws: what is wrong with a record; call again for the next one.
  public mutating func next() throws(CSVError) -> CSVRecord? {
    guard skipByteOrderMark() else { return nil }
    while position < input.count {
      switch state {
      case .beginning, .fieldStart: try startField()
      case .unquoted: try readUnquoted()
      case .quoted: try readQuoted()
      case .quoteInQuoted: try closeOrContinueQuoted()
      case .carriageReturn:
        guard input[position] == Ascii.lineFeed else { throw refuse(.bareCarriageReturn) }
        state = .unquoted
      case .skipping(let mode): skip(mode)
      }
      // Only these states leave a line feed to be seen here: it ends the record.
      if position < input.count, input[position] == Ascii.lineFeed, isAtRecordEnd {
        position += 1
        line += 1
        if let record = try endRecord() { return record }
      }
    }
    return isFinished ? try lastRecord() : nil
  }

  private var isAtRecordEnd: Bool {
    switch state {
    case .fieldStart, .unquoted: true
    case .beginning, .quoted, .quoteInQuoted, .carriageReturn, .skipping: false
    }
  }

  /// Whether reading may begin; false while the first three bytes are not all here.
  private mutating func skipByteOrderMark() -> Bool {
    guard case .beginning = state else { return true }
    guard input.count >= 3 || isFinished else { return false }
    if input.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    state = .fieldStart
    return true
  }

  private mutating func startField() throws(CSVError) {
    let byte = input[position]
    if byte == Ascii.quote {
      record.hasQuote = true
      state = .quoted
      try advance()
    } else {
      state = .unquoted
      try readUnquoted()
    }
  }

  /// Copies up to the next delimiter, quote or line end, and acts on that byte.
  private mutating func readUnquoted() throws(CSVError) {
    let delimiter = options.delimiter
    // One comparison for most bytes: letters and digits are above all bytes that matter.
    let highestStop = max(delimiter, Ascii.quote)
    let bytes = input
    var index = position
    var seen: UInt8 = 0
    while index < bytes.count {
      let byte = bytes[index]
      if byte <= highestStop,
        byte == delimiter || byte == Ascii.quote || byte == Ascii.lineFeed
          || byte == Ascii.carriageReturn
      {
        break
      }
      seen |= byte
      index += 1
    }
    try copy(until: index, seen: seen)
    guard index < bytes.count else { return }
    switch bytes[index] {
    case delimiter: try endField()
    case Ascii.quote: throw refuse(.strayQuote)
    case Ascii.carriageReturn:
      state = .carriageReturn
      position += 1
    default: return
    }
  }

  /// Copies up to the next quote.
  private mutating func readQuoted() throws(CSVError) {
    let bytes = input
    let start = position
    var index = position
    var seen: UInt8 = 0
    var lineCount = 0
    while index < bytes.count, bytes[index] != Ascii.quote {
      if bytes[index] == Ascii.lineFeed { lineCount += 1 }
      seen |= bytes[index]
      index += 1
    }
    line += lineCount
    if index > start { lastLine = bytes[index - 1] == Ascii.lineFeed ? line - 1 : line }
    try copy(until: index, seen: seen)
    if behindLine != nil {
      behindLine?.append(contentsOf: bytes[start..<index])
    } else if lineCount > 0, let end = bytes[start..<index].firstIndex(of: Ascii.lineFeed) {
      behindLine = Array(bytes[(end + 1)..<index])
    }
    guard index < bytes.count else { return }
    state = .quoteInQuoted
    try advance()
  }

  private mutating func closeOrContinueQuoted() throws(CSVError) {
    if input[position] == Ascii.quote {
      behindLine?.append(contentsOf: [Ascii.quote, Ascii.quote])
    } else {
      behindLine = nil
    }
    switch input[position] {
    case Ascii.quote:
      record.append([Ascii.quote], seen: 0)
      state = .quoted
      try advance()
    case options.delimiter: try endField()
    case Ascii.carriageReturn:
      state = .carriageReturn
      position += 1
    case Ascii.lineFeed: state = .unquoted
    default: throw refuse(.textAfterQuote)
    }
  }

  private mutating func skip(_ mode: Skip) {
    lastLine = line
    switch (input[position], mode) {
    case (Ascii.quote, .quoted): state = .skipping(.unquoted)
    case (Ascii.quote, .unquoted): state = .skipping(.quoted)
    case (Ascii.lineFeed, _):
      line += 1
      if mode != .quoted { beginRecord() }
    default: break
    }
    position += 1
  }

  /// Takes one byte that is no content but counts for the record.
  private mutating func advance() throws(CSVError) {
    position += 1
    record.byteCount += 1
    try checkLength()
  }

  private mutating func copy(until end: Int, seen: UInt8) throws(CSVError) {
    record.append(input[position..<end], seen: seen)
    record.byteCount += end - position
    position = end
    try checkLength()
  }

  private mutating func checkLength() throws(CSVError) {
    guard record.byteCount > options.recordBytesMax else { return }
    throw refuse(.recordTooLong(bytesMax: options.recordBytesMax))
  }

  /// Ends a field at its delimiter.
  private mutating func endField() throws(CSVError) {
    record.endField()
    guard record.fieldCount < options.fieldCountMax else {
      throw refuse(.tooManyFields(max: options.fieldCountMax))
    }
    state = .fieldStart
    try advance()
  }

  /// Gives up the record; the rest of it will be skipped.
  private mutating func refuse(_ problem: CSVError.Problem) -> CSVError {
    switch (problem, state) {
    case (.recordTooLong, .quoted): state = .skipping(.quoted)
    case (.recordTooLong, _), (.tooManyFields, _): state = .skipping(.unquoted)
    default: state = .skipping(.toLineFeed)
    }
    return CSVError(line: record.line, problem: problem)
  }

  /// Ends the record; nil for a blank line.
  private mutating func endRecord() throws(CSVError) -> CSVRecord? {
    defer { beginRecord() }
    guard let record = try record.finish() else { return nil }
    guard options.requiresEqualFieldCounts else { return record }
    let expected = fieldCountExpected ?? record.count
    fieldCountExpected = expected
    guard record.count == expected else {
      throw CSVError(
        line: record.line,
        problem: .fieldCount(expected: expected, found: record.count)
      )
    }
    return record
  }

  private mutating func beginRecord() {
    state = .fieldStart
    behindLine = nil
    record.begin(line: line)
  }

  /// The record that the end of the file ends.
  private mutating func lastRecord() throws(CSVError) -> CSVRecord? {
    switch state {
    case .beginning, .fieldStart, .unquoted, .quoteInQuoted, .carriageReturn:
      return try endRecord()
    case .quoted:
      let error = refuse(.unclosedQuote)
      if let behindLine {
        line -= behindLine.count { $0 == Ascii.lineFeed }
        input = behindLine
        position = 0
      }
      beginRecord()
      throw error
    case .skipping(.quoted) where lastLine > record.line:
      let count = lastLine - record.line
      let error = CSVError(line: record.line, problem: .unclosedQuoteTooLong(unreadLines: count))
      beginRecord()
      throw error
    case .skipping:
      beginRecord()
      return nil
    }
  }
}
