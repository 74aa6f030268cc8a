import Wire

/// Bytes and random values for the tests of this folder.
extension ByteQueue {
  /// A queue that holds these bytes.
  init(_ bytes: [UInt8]) {
    self.init()
    unsafe bytes.withUnsafeBytes { unsafe append(RawSpan(_unsafeBytes: $0)) }
  }
}

/// Lends the bytes of an array as a span.
@discardableResult
func withSpan<Result, E: Error>(
  _ bytes: [UInt8],
  _ body: (RawSpan) throws(E) -> Result
) throws(E) -> Result {
  let queue = ByteQueue(bytes)
  return try body(queue.pending)
}

/// The bytes of a span that was handed out.
func array(_ span: RawSpan) -> [UInt8] {
  var bytes: [UInt8] = []
  for index in 0..<span.byteCount { bytes.append(span.byte(at: index)) }
  return bytes
}

/// Bytes from hexadecimal digits; everything else is decoration.
func hex(_ text: String) -> [UInt8] {
  let digits = text.compactMap(\.hexDigitValue)
  return stride(from: 0, to: digits.count - 1, by: 2).map {
    UInt8(digits[$0] * 16 + digits[$0 + 1])
  }
}

/// A frame, written out.
func frame(
  length: UInt32? = nil,
  stream: UInt32,
  type: UInt8,
  flags: UInt8 = 0,
  body: [UInt8] = []
) -> [UInt8] {
  let length = length ?? UInt32(body.count)
  let big: (UInt32) -> [UInt8] = { number in
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> UInt32($0)) }
  }
  return big(length) + big(stream) + [type, flags] + body
}

/// SplitMix64: repeatable, so that a failure can be run again from its seed.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
