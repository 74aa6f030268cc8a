// fuzz-sources: Sources/Storage/Ingest/*.swift
// fuzz-corpus: json

// Feeds arbitrary bytes to the JSON check: no crash, and what it says does not depend on what must
// not matter. That PostgreSQL agrees is Tests/scripts/schema_test.sh's to show.

/// One run of libFuzzer.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  let bytes = unsafe Array(UnsafeBufferPointer(start: data, count: size))
  let reason = JSONText.reason(bytes.span, depthMax: 64)
  let spaced = JSONText.reason(([0x20, 0x0a] + bytes + [0x09, 0x0d]).span, depthMax: 64)
  precondition(spaced == reason, "space around a document changes nothing")
  let nested = JSONText.reason(([0x5b] + bytes + [0x5d]).span, depthMax: 65)
  switch reason {
  case nil:
    precondition(nested == nil, "a document within an array is a document")
    precondition(TextCheck.reason(bytes.span) == nil, "a document is text")
    precondition(
      JSONText.reason((bytes + [0x2c]).span, depthMax: 64) == .notJSON,
      "nothing may follow"
    )
    let twice = JSONText.reason(([0x5b] + bytes + [0x2c] + bytes + [0x5d]).span, depthMax: 65)
    // Exponents of both may write out more digits than one document may have.
    precondition(twice == nil || twice == .tooLong, "twice in an array it is two")
  case .textHasNUL, .textNotUTF8, .jsonTooDeep, .notJSON, .tooLong: break
  default: preconditionFailure("the check has no other answers")
  }
  return 0
}
