@testable import Storage
import Testing

private let one = ProducerID(high: 0, low: 1)
private let two = ProducerID(high: .max, low: 2)

private func range(_ first: UInt64, _ last: UInt64, _ checksum: UInt32 = 7) -> SequenceRange {
  SequenceRange(first: first, last: last, checksum: checksum)
}

@Suite("Group statement")
struct GroupStatementTests {
  @Test("batches of a producer become one run, and the last eight are named")
  func merging() {
    var group = GroupStatement(documentBytesMax: 99)
    for index: UInt64 in 0..<10 {
      let batch = range(index * 10 + 1, index * 10 + 10, UInt32(index))
      _ = group.add(tenant: 1, producer: one, epoch: 3, range: batch)
    }
    _ = group.add(tenant: 2, producer: one, epoch: 4, range: range(5, 9), skipping: 2)
    #expect(group.members.map(\.first) == [1, 7])
    #expect(group.members.map(\.last) == [100, 9])
    #expect(group.batchCount == 11)
    let id = "00000000000000000000000000000001"
    #expect(
      group.durableText == """
        BEGIN;COPY sluice.entity_values(\(CopyEncoder.columns))FROM STDIN(FORMAT binary);\
        SELECT sluice.commit_group('{1,2}','{\(id),\(id)}','{3,4}','{1,7}','{100,9}',\
        '{"{21,30,2,31,40,3,41,50,4,51,60,5,61,70,6,71,80,7,81,90,8,91,100,9}","{5,9,7}"}',\
        NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,99);COMMIT;SELECT pg_current_wal_flush_lsn()
        """
    )
  }

  @Test("another epoch of a producer belongs into another group")
  func epochs() {
    var group = GroupStatement()
    let first = group.add(tenant: 1, producer: one, epoch: 3, range: range(1, 10))
    let second = group.add(tenant: 1, producer: one, epoch: 4, range: range(11, 20))
    #expect(first && !second)
    #expect(group.members.map(\.last) == [10])
    group.removeAll()
    let third = group.add(tenant: 1, producer: one, epoch: 4, range: range(11, 20))
    #expect(third)
  }

  @Test("a staging transaction names every batch and its rejected values")
  func staged() {
    var group = GroupStatement()
    let rejects = [RejectedValue(index: 4, reason: .notJSON)]
    _ = group.add(tenant: 1, producer: two, epoch: 3, range: range(1, 10), rejects: rejects)
    _ = group.add(tenant: 1, producer: two, epoch: 3, range: range(8, 20), skipping: 3)
    let id = "ffffffffffffffff0000000000000002"
    #expect(
      group.stagedText(segment: "segment_ab_0") == """
        BEGIN;COPY sluice.segment_ab_0(\(CopyEncoder.stagedColumns))FROM STDIN(FORMAT binary);\
        SELECT sluice.stage_group('segment_ab_0','{1,1}','{\(id),\(id)}','{3,3}','{1,11}',\
        '{10,20}','{7,7}','{1}','{5}','{9}');COMMIT
        """
    )
  }

  @Test("of hot values only what will win is sent")
  func hot() {
    var fixture = CopyFixture()
    fixture.add(1, at: 5)
    fixture.add(2, at: 7)
    fixture.add(3, at: 6)
    fixture.add(4, at: 7)
    fixture.add(-0.0, entity: 2, at: 1)
    var group = GroupStatement()
    _ = group.add(tenant: 1, producer: one, epoch: 1, range: range(1, 5))
    fixture.withColumns { group.hot.add($0, tenant: 1, indexes: [0, 1, 2, 3, 4]) }
    #expect(group.hot.count == 2)
    #expect(group.durableText.contains("'{1,1}','{1,2}','{1,1}','{7,1}','{4.0,x222d3022}',"))
  }

  @Test("whatever a client sent, a statement is of harmless characters")
  func injection() {
    var fixture = CopyFixture.random(count: 400, seed: 3)
    fixture.documentText = []
    fixture.documentEnds = []
    fixture.documentKeys = .init()
    for text in ["'; DROP TABLE x; --", "\\", "{},\"", "\u{1}\u{1f}"] {
      fixture.add(label: Array(text.utf8), entity: 5)
      fixture.add(document: Array("\"\(text.utf8.count)';\"".utf8), entity: 6)
    }
    var group = GroupStatement()
    let last = UInt64(fixture.count)
    _ = group.add(tenant: 1, producer: one, epoch: 1, range: range(1, last))
    let all = (0..<UInt32(fixture.count)).map { $0 }
    fixture.withColumns { group.hot.add($0, tenant: 1, indexes: all) }
    let text = group.durableText
    let prefix =
      "BEGIN;COPY sluice.entity_values(\(CopyEncoder.columns))FROM STDIN(FORMAT binary);"
      + "SELECT sluice.commit_group("
    let suffix = ");COMMIT;SELECT pg_current_wal_flush_lsn()"
    #expect(text.hasPrefix(prefix) && text.hasSuffix(suffix))
    let arguments = text.utf8.dropFirst(prefix.utf8.count).dropLast(suffix.utf8.count)
    // Numbers, hex, NULL, true and false.
    let allowed = Set("0123456789abcdefx-+.,'{}\"NULtrufals".utf8)
    let strange = arguments.first { !allowed.contains($0) }
    #expect(strange == nil)
  }

  @Test("the losers are read from the detail")
  func losers() {
    #expect(
      GroupStatement.losers("1:2:10,4:0:0") == [
        GroupStatement.Loser(index: 0, epoch: 2, durable: 10),
        GroupStatement.Loser(index: 3, epoch: 0, durable: 0),
      ]
    )
    for text in ["", "1:2", "0:1:1", "1:2:3,", "a:1:1", "1:2:3:4", "-1:2:3", "1:-2:3"] {
      #expect(GroupStatement.losers(text) == nil)
    }
  }

  @Test("an id is its 16 bytes")
  func ids() {
    let bytes = (0..<16).map { UInt8($0 * 17) }
    #expect(ProducerID(bytes.span)?.bytes == bytes)
    let short = Array(bytes[1...])
    #expect(ProducerID(short.span) == nil)
  }
}
