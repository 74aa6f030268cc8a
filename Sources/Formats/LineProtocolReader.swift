// Cuts a stream of bytes into lines of InfluxDB line protocol, however the bytes are split.

/// A push reader: feed it chunks, take lines until it has none, say when the input is at its end.
///
/// Reads what InfluxDB 1 and 2 read: LF or CRLF ends a line, but not inside a string; blank lines
/// and lines that begin with `#` are skipped. After an error the reader goes on with the next line.
/// A string that is not closed before the input or the longest line ends was the mistake of the
/// line that opened it: what follows that line is read anew. Every byte is read twice at most,
/// because a string that did not close holds nothing that could open another one.
///
/// Source: InfluxDB documentation, "Line protocol", and the reader in influxdata/influxdb `models`.
public struct LineProtocolReader: Sendable {
  /// What a line may look like.
  public struct Options: Sendable {
    /// The unit of the timestamps.
    public var precision = TimeUnit.nanoseconds
    /// The longest line in bytes, 1 to `lineBytesLimit`.
    public var lineBytesMax = 64 * 1_024

    /// The usual options: nanoseconds, 64 KiB.
    public init() {}
  }

  /// The highest value `Options.lineBytesMax` may have: 1 MiB.
  public static let lineBytesLimit = 1 << 20

  private let options: Options
  private var input: [UInt8] = []
  private var position = 0
  private var isFinished = false
  private var state = State.start
  /// Whether the byte before was a backslash that may take away the meaning of the next one.
  private var isEscaped = false
  private var contents: [UInt8] = []
  /// The line of the next byte, and of the first byte of `contents`.
  private var line = 1
  private var startLine = 1

  /// Where the next byte stands; only as fine as needed to know whether a line feed ends the line.
  private enum State {
    /// Only blanks so far.
    case start
    case comment
    /// The measurement and the tags.
    case series
    case beforeFields
    case fields
    /// After the equals sign of a field, where a quote opens a string.
    case fieldValue
    case string
    /// After the fields.
    case time
    /// After an error.
    case skipping
  }

  /// Starts a reader at the first line of an input.
  public init(options: Options = Options()) {
    precondition((1...Self.lineBytesLimit).contains(options.lineBytesMax), "lines have a limit")
    self.options = options
  }

  /// Appends bytes of the input; at best after `next()` has returned nil.
  public mutating func feed(_ bytes: ArraySlice<UInt8>) {
    precondition(!isFinished, "nothing comes after the end of the input")
    if position == input.count {
      input.removeAll(keepingCapacity: true)
    } else {
      input.removeFirst(position)
    }
    position = 0
    input.append(contentsOf: bytes)
  }

  /// Says that the input has no more bytes.
  public mutating func finish() {
    isFinished = true
  }

  /// The next line that is neither blank nor a comment.
  ///
  /// - Returns: the line, or nil when more bytes (or `finish()`) are needed or the input is over.
  /// - Throws: what is wrong with a line; call again for the next one.
  public mutating func next() throws(LineProtocolError) -> LineProtocolLine? {
    while try scanLine() {
      if let parsed = try endLine() { return parsed }
    }
    guard isFinished else { return nil }
    if state == .string { readAnew() }
    return try endLine()
  }

  /// Copies up to the end of the line; false when the input ends before it.
  private mutating func scanLine() throws(LineProtocolError) -> Bool {
    let bytes = input
    let room = options.lineBytesMax - contents.count
    var index = position
    while index < bytes.count {
      let byte = bytes[index]
      if byte == Ascii.lineFeed, state != .string {
        contents.append(contentsOf: bytes[position..<index])
        position = index + 1
        line += 1
        return true
      }
      if state == .comment || state == .skipping {
        position = index + 1
      } else {
        guard index - position < room else {
          contents.append(contentsOf: bytes[position..<index])
          position = index
          throw refuseLongLine()
        }
        if byte == Ascii.lineFeed { line += 1 }
        step(byte)
      }
      index += 1
    }
    contents.append(contentsOf: bytes[position..<index])
    position = index
    return false
  }

  /// Moves the state by one byte that does not end the line.
  private mutating func step(_ byte: UInt8) {
    let wasEscaped = isEscaped
    isEscaped = byte == Ascii.backslash
    switch state {
    case .start:
      guard !Ascii.isBlank(byte), byte != Ascii.carriageReturn else { return }
      state = byte == Ascii.hash ? .comment : .series
      contents.reserveCapacity(128)
    case .series:
      if byte == Ascii.space, !wasEscaped { state = .beforeFields }
    case .beforeFields:
      if byte != Ascii.space { state = .fields }
    case .fields:
      guard !wasEscaped else { return }
      if byte == Ascii.equals { state = .fieldValue }
      if byte == Ascii.space { state = .time }
    case .fieldValue:
      switch byte {
      case Ascii.quote: state = .string
      case Ascii.space: state = .time
      default: state = .fields
      }
    case .string:
      // Two backslashes are one, so the second does not escape what follows.
      if wasEscaped { isEscaped = false } else if byte == Ascii.quote { state = .fields }
    case .comment, .time, .skipping: return
    }
  }

  private mutating func refuseLongLine() -> LineProtocolError {
    let error = LineProtocolError(
      line: startLine,
      column: options.lineBytesMax + 1,
      problem: .lineTooLong(bytesMax: options.lineBytesMax)
    )
    if state == .string, readAnew() {
      state = .start
      isEscaped = false
      startLine = line
    } else {
      state = .skipping
    }
    contents = []
    return error
  }

  /// Leaves the line that opened the string in `contents` and puts what follows it back.
  ///
  /// - Returns: whether anything follows it.
  @discardableResult
  private mutating func readAnew() -> Bool {
    // A quote behind an equals sign would have closed the string: the last one opened it.
    let opening = contents.indices.dropFirst().last {
      contents[$0] == Ascii.quote && contents[$0 - 1] == Ascii.equals
    }
    guard let opening, let end = contents[opening...].firstIndex(of: Ascii.lineFeed) else {
      return false
    }
    let rest = contents[(end + 1)...]
    line -= rest.count { $0 == Ascii.lineFeed }
    input = Array(rest) + input[position...]
    position = 0
    contents.removeSubrange(end...)
    return true
  }

  /// Parses what has been copied and begins the next line; nil for blank lines and comments.
  private mutating func endLine() throws(LineProtocolError) -> LineProtocolLine? {
    let (bytes, first, ended) = (contents, startLine, state)
    contents = []
    state = .start
    isEscaped = false
    startLine = line
    guard ended != .start, ended != .comment, ended != .skipping else { return nil }
    let end = bytes.last == Ascii.carriageReturn ? bytes.count - 1 : bytes.count
    var parser = LineProtocolParser(bytes[..<end], line: first, precision: options.precision)
    return try parser.parse()
  }
}
