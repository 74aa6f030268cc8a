internal import Formats
internal import Testing
internal import Wire

@testable internal import sluice

// What `sluice set` makes and writes.

@Suite("Assignments")
struct AssignmentTests {
  private let known = Attribute(attributeID: 7, name: "n", valueType: .number)

  @Test("every value is read before an attribute is made")
  func refused() {
    let assignments = [
      Assignment(name: "new", text: "x", newType: .label),
      Assignment(name: "n", text: "x", newType: .label),
    ]
    let failure = #expect(throws: CommandFailure.self) {
      try Assignment.read(assignments, found: [nil, known])
    }
    #expect(failure?.message == "n=x: not a number" && failure?.status == .data)
  }

  @Test("what is missing is made with the type of its value, what is taken out has none")
  func read() throws {
    let assignments = [
      Assignment(name: "new", text: "x", newType: .label),
      Assignment(name: "n", text: "5", newType: .label),
      Assignment(name: "n", text: nil, newType: nil),
    ]
    let (values, missing) = try Assignment.read(assignments, found: [nil, known, known])
    #expect(values == [.label("x"), .number(5), nil])
    #expect(missing == [AttributeSpec(name: "new", valueType: .label, isHot: true)])
  }
}
