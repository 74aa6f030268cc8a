// fuzz-sources: Sources/Wire
// fuzz-corpus: canary
// fuzz-must-crash

// Proof that this set-up detects: a planted bug that reads one byte behind the body of a frame. If
// this harness does not crash, the others prove nothing.

/// libFuzzer calls it with every input.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  let input = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(start: data, count: size))
  var decoder = FrameDecoder()
  do throws(FrameError) {
    try decoder.receive(input) { header, body in
      guard header.kind == .data, header.length > 0 else { return .continue }
      let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: body.byteCount)
      defer { unsafe copy.deallocate() }
      for index in 0..<body.byteCount { unsafe copy[index] = body.byte(at: index) }
      // The bug: <= where < belongs.
      var sum = 0
      for index in 0...body.byteCount { unsafe sum &+= Int(copy[index]) }
      return sum == .max ? .stop : .continue
    }
  } catch {}
  return 0
}
