internal import CChecksum

/// CRC-32C (Castagnoli) of `bytes`, as RFC 3720 defines it; 0 for none.
///
/// Uses the instruction of SSE4.2 or ARMv8 where the processor has it.
public func crc32c(_ bytes: RawSpan) -> UInt32 {
  unsafe bytes.withUnsafeBytes { buffer in
    unsafe sluice_crc32c(
      0,
      buffer.baseAddress?.assumingMemoryBound(to: UInt8.self),
      buffer.count
    )
  }
}

/// The same without the instruction, for its test.
func crc32cPortable(_ bytes: RawSpan) -> UInt32 {
  unsafe bytes.withUnsafeBytes { buffer in
    unsafe sluice_crc32c_portable(
      0,
      buffer.baseAddress?.assumingMemoryBound(to: UInt8.self),
      buffer.count
    )
  }
}
