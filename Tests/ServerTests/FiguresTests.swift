import Testing

@testable import Server

@Suite("figures of several workers")
struct FiguresTests {
  @Test("what each worker has a copy of is not added up")
  func copies() {
    var sum = Figures()
    for (entities, attributes, lag) in [(7, 3, 20), (5, 4, 10)] as [(Int64, Int64, Int64)] {
      var worker = Figures()
      worker[.catalogEntities] = entities
      worker[.catalogAttributes] = attributes
      worker[.flushLag] = lag
      worker[.cacheHits] = 2
      sum.add(worker)
    }
    #expect(sum[.catalogEntities] == 7 && sum[.catalogAttributes] == 4)
    #expect(sum[.flushLag] == 20)
    #expect(sum[.cacheHits] == 4)
  }
}
