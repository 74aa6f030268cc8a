import Testing

@testable import Wire

@Suite("CRC-32C")
struct ChecksumTests {
  @Test(
    "the vectors of RFC 3720, appendix B.4, by instruction and by table",
    arguments: [
      ([UInt8](), UInt32(0)),
      (Array("123456789".utf8), UInt32(0xe306_9283)),
      (Array(repeating: UInt8(0), count: 32), UInt32(0x8a91_36aa)),
      (Array(repeating: UInt8(0xff), count: 32), UInt32(0x62a8_ab43)),
      ((0..<32).map { UInt8($0) }, UInt32(0x46dd_794e)),
      ((0..<32).map { UInt8(31 - $0) }, UInt32(0x113f_db5c)),
      (
        hex(
          """
          01 c0 00 00 00 00 00 00 00 00 00 00 00 00 00 00 14 00 00 00 00 00 04 00
          00 00 00 14 00 00 00 18 28 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00
          """
        ), UInt32(0xd996_3a56)
      ),
    ]
  )
  func vectors(_ bytes: [UInt8], _ expected: UInt32) {
    withSpan(bytes) { span in
      #expect(crc32c(span) == expected)
      #expect(crc32cPortable(span) == expected)
    }
  }

  @Test("both ways agree on every length and alignment")
  func agree() {
    var random = SeededGenerator(seed: 0xc4c)
    let bytes = (0..<300).map { _ in UInt8.random(in: 0...255, using: &random) }
    withSpan(bytes) { span in
      for start in 0..<9 {
        for end in start...300 {
          let part = span.extracting(start..<end)
          #expect(crc32c(part) == crc32cPortable(part))
        }
      }
    }
  }
}
