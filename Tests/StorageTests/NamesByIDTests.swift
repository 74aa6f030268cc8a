import EventLoop
import Testing

@testable import Storage

@Suite("names of entities that were met")
struct NamesByIDTests {
  private static let start = MonotonicTime.now()
  private static let log = LogIdentity(systemIdentifier: 7, timeline: 1)

  private func id(_ id: Int64, tenant: Int32 = 1) -> EntityID { EntityID(tenant: tenant, id: id) }

  @Test("a name is of one tenant's id, and names have none")
  func keys() {
    var names = NamesByID(now: Self.start)
    names.add("one", of: id(1), now: Self.start)
    #expect(names.name(of: .id(1), tenant: 1) == "one")
    #expect(names.name(of: .id(1), tenant: 2) == nil)
    #expect(names.name(of: .id(2), tenant: 1) == nil)
    #expect(names.name(of: .externalKey("one"), tenant: 1) == nil)
    names.remove(id(1))
    #expect(names.name(of: .id(1), tenant: 1) == nil)
  }

  @Test("a name is forgotten after one to two minutes, also when it is read all the time")
  func aging() {
    var names = NamesByID(now: Self.start)
    names.add("one", of: id(1), now: Self.start)
    for second in stride(from: 1, to: 120, by: 1) {
      let now = Self.start + .seconds(second)
      names.age(now: now)
      names.add("other", of: id(1), now: now)
      #expect(names.name(of: id(1)) == "one", "after \(second) s")
    }
    names.age(now: Self.start + .seconds(120))
    #expect(names.name(of: id(1)) == nil)
  }

  @Test("so many are kept, and so many bytes")
  func bounds() {
    var names = NamesByID(now: Self.start)
    let count = NamesByID.countMax
    for number in 0...2 * count { names.add("x", of: id(Int64(number)), now: Self.start) }
    #expect(names.name(of: id(0)) == nil)
    #expect(names.name(of: id(Int64(count))) == "x")
    #expect(names.name(of: id(Int64(2 * count))) == "x")
    var large = NamesByID(now: Self.start)
    let name = String(repeating: "x", count: NamesByID.bytesMax / 2)
    for number: Int64 in 0...4 { large.add(name, of: id(number), now: Self.start) }
    #expect((0...4).map { large.name(of: id($0)) != nil } == [false, false, true, true, true])
  }

  @Test("after a failover an id may have another name")
  func failover() {
    var names = NamesByID(now: Self.start)
    let promoted = LogIdentity(systemIdentifier: 7, timeline: 2)
    for (log, isSame) in [(Self.log, false), (Self.log, true), (promoted, false)] {
      let isOf = names.isOf(log)
      #expect(isOf == isSame)
      #expect((names.name(of: id(1)) == "one") == isSame)
      names.add("one", of: id(1), now: Self.start)
    }
  }
}
