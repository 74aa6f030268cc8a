// A 64-bit sum of bytes and numbers, to recognise what was altered; guards against nothing else.

/// FNV-1a: any change of one byte changes it, and somebody who wants to can still forge it.
struct Fingerprint {
  private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

  mutating func add(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }

  mutating func add(_ bytes: some Sequence<UInt8>) { for byte in bytes { add(byte) } }

  /// Adds eight bytes in network order.
  mutating func add(_ number: Int64) { add(ByteWriter.bytes(UInt64(bitPattern: number))) }

  /// Adds a length and the bytes, so that neighbours cannot be shifted into each other.
  mutating func add(_ text: String) {
    add(Int64(text.utf8.count))
    add(text.utf8)
  }
}

/// Numbers as bytes in network order.
enum ByteWriter {
  static func bytes<T: FixedWidthInteger>(_ number: T) -> [UInt8] {
    (0..<T.bitWidth / 8).reversed().map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
  }
}

/// Takes numbers and texts out of bytes, nil past the end.
struct ByteReader {
  private var bytes: ArraySlice<UInt8>

  init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

  var isAtEnd: Bool { bytes.isEmpty }

  mutating func integer<T: FixedWidthInteger>(_ type: T.Type) -> T? {
    let count = T.bitWidth / 8
    guard bytes.count >= count else { return nil }
    defer { bytes = bytes.dropFirst(count) }
    return bytes.prefix(count).reduce(0) { $0 << 8 | T(truncatingIfNeeded: $1) }
  }

  /// So many bytes; nil when there are fewer.
  mutating func bytes(_ count: Int) -> ArraySlice<UInt8>? {
    guard bytes.count >= count else { return nil }
    defer { bytes = bytes.dropFirst(count) }
    return bytes.prefix(count)
  }

  mutating func rest() -> ArraySlice<UInt8> {
    defer { bytes = [] }
    return bytes
  }
}
