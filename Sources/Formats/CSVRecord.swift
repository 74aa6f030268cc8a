// One record of a CSV file, kept as one run of bytes so that reading it costs two allocations.

/// The fields of one record.
public struct CSVRecord: Equatable, Sendable {
  /// The line of the file on which the record begins, from 1.
  public let line: Int
  /// The contents of all fields one after the other, valid UTF-8 each.
  let bytes: [UInt8]
  /// Where each field ends in `bytes`.
  let ends: [Int]

  init(line: Int, bytes: [UInt8], ends: [Int]) {
    self.line = line
    self.bytes = bytes
    self.ends = ends
  }

  /// The number of fields, at least 1.
  public var count: Int { ends.count }

  /// The field at an index from 0, as a string.
  public subscript(index: Int) -> String {
    String(decoding: bytes(at: index), as: UTF8.self)
  }

  /// The bytes of the field at an index from 0.
  public func bytes(at index: Int) -> ArraySlice<UInt8> {
    bytes[(index == 0 ? 0 : ends[index - 1])..<ends[index]]
  }

  /// All fields as strings.
  public var fields: [String] { ends.indices.map { self[$0] } }
}
