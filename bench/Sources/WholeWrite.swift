internal import Glibc

// A write that does not stop half way.

/// Writes all bytes to a descriptor; false when that is not possible.
func writeWhole(_ bytes: [UInt8], to descriptor: CInt) -> Bool {
  var start = 0
  while start < bytes.count {
    let count = unsafe bytes.withUnsafeBytes { all in
      // Inside the array: `start` is less than its count.
      unsafe write(descriptor, all.baseAddress?.advanced(by: start), all.count - start)
    }
    guard count > 0 else { return false }
    start += count
  }
  return true
}
