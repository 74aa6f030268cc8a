// Finds where bytes stop being UTF-8, so that an error can point at the place.

/// Validation of UTF-8.
enum UTF8Check {
  /// The offset of the first byte that is not UTF-8, or nil when all of them are.
  static func firstError(in bytes: ArraySlice<UInt8>) -> Int? {
    do throws(UTF8.ValidationError) {
      _ = try UTF8Span(validating: bytes.span)
      return nil
    } catch {
      return error.byteOffsets.lowerBound
    }
  }
}
