internal import Foundation
internal import Testing

// Generated C is what the protocol files say today.

@Suite("Generated C", .enabled(if: Command.exists("protoc-c"), "protoc-c is not installed"))
struct GeneratedTests {
  @Test("Sources/CProto equals a fresh generation")
  func isFresh() throws {
    let outcome = try check(Repository.root)
    #expect(outcome.status == 0, "\(outcome.output)")
  }

  @Test("a changed line of generated C is found")
  func findsDrift() throws {
    let copy = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: copy) }
    for path in ["Proto", "Sources/CProto", "scripts/generate-proto"] {
      let target = copy.appending(path: path)
      try FileManager.default.createDirectory(
        at: target.deletingLastPathComponent(),
        withIntermediateDirectories: true
      )
      try FileManager.default.copyItem(at: Repository.root.appending(path: path), to: target)
    }
    let header = copy.appending(path: "Sources/CProto/include/sluice_v1_read.pb-c.h")
    let text = try String(contentsOf: header, encoding: .utf8)
    try (text + "// drift\n").write(to: header, atomically: true, encoding: .utf8)
    let outcome = try check(copy)
    #expect(outcome.status == 1)
    #expect(outcome.output.contains("sluice_v1_read.pb-c.h"))
  }

  private func check(_ root: URL) throws -> Command.Outcome {
    try Command.run(["bash", root.appending(path: "scripts/generate-proto").path(), "--check"])
  }
}
