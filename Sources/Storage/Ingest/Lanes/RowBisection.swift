internal import EventLoop

// Finds the rows of a batch that PostgreSQL refuses, by halves, without keeping any.

/// Searches encoded rows for those that a COPY does not take.
struct RowBisection {
  private let rows: [UInt8]
  private let starts: [Int]

  /// Takes rows as `CopyEncoder` made them, without header and trailer.
  init(rows: [UInt8]) {
    self.rows = rows
    var starts: [Int] = []
    var offset = 0
    while offset < rows.count {
      starts.append(offset)
      let fields = Int(rows[offset]) << 8 | Int(rows[offset + 1])
      offset += 2
      for _ in 0..<fields {
        let length = rows[offset..<offset + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        // A NULL has the length -1 and no bytes.
        offset += 4 + max(0, Int(Int32(bitPattern: length)))
      }
    }
    self.starts = starts
  }

  var rowCount: Int { starts.count }

  /// Indexes of the rows that are refused, rising.
  ///
  /// - Throws: `PostgresError` that is not about data.
  func run(
    on connection: PostgresConnection,
    deadline: () -> MonotonicTime
  ) async throws(PostgresError) -> [Int] {
    var bad: [Int] = []
    var suspects = [0..<rowCount]
    while let range = suspects.popLast() {
      guard !range.isEmpty, try await !isTaken(range, connection, deadline()) else { continue }
      guard range.count > 1 else {
        bad.append(range.lowerBound)
        continue
      }
      let middle = range.lowerBound + range.count / 2
      suspects.append(middle..<range.upperBound)
      suspects.append(range.lowerBound..<middle)
    }
    return bad
  }

  /// Where the other rows are, counted from `base`.
  func keeping(without bad: [Int], from base: Int) -> [Range<Int>] {
    var kept: [Range<Int>] = []
    var next = 0
    for row in bad + [rowCount] {
      if next < row { kept.append(base + start(next)..<base + start(row)) }
      next = row + 1
    }
    return kept
  }

  private func start(_ row: Int) -> Int { row < starts.count ? starts[row] : rows.count }

  private func isTaken(
    _ range: Range<Int>,
    _ connection: PostgresConnection,
    _ deadline: MonotonicTime
  ) async throws(PostgresError) -> Bool {
    let bytes =
      CopyEncoder.header + rows[start(range.lowerBound)..<start(range.upperBound)]
      + CopyEncoder.trailer
    let script =
      "BEGIN;COPY sluice.entity_values(\(CopyEncoder.columns))FROM STDIN(FORMAT binary);ROLLBACK"
    do throws(PostgresError) {
      _ = try await connection.copyIn(script, deadline: deadline) {
        (copy) throws(PostgresError) in
        try await copy.put(unsafe bytes.span.bytes)
      }
      return true
    } catch {
      guard error.remedy == .bisect else { throw error }
      return false
    }
  }
}
