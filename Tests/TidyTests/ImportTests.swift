internal import RegexBuilder
internal import Testing

// Who may import whom.

/// What the files of a folder may import, beside the standard library.
///
/// Only EventLoop, Storage, Server and Client touch the system; Foundation is for the command line.
private let mayImport: [String: Set<String>] = [
  "Sources/Wire": ["CProto", "CProtobufC", "CChecksum"],
  "Sources/EventLoop": ["CLinux", "Glibc", "Synchronization"],
  "Sources/Formats": [],
  "Sources/Storage": [
    "EventLoop", "CLibpq", "CHiredis", "DequeModule", "Glibc", "Synchronization",
  ],
  "Sources/Server": [
    "Wire", "EventLoop", "Storage", "DequeModule", "Logging", "Metrics", "Glibc",
    "Synchronization",
  ],
  "Sources/Client": ["Wire", "EventLoop", "DequeModule", "Glibc", "Synchronization"],
  "Sources/sluice": [
    "Client", "Server", "Formats", "ArgumentParser", "Logging", "Foundation", "Glibc",
    // The client's interface speaks in messages and in the loop's addresses and times.
    "Wire", "EventLoop",
  ],
  // A stranger to the gateway: what it measures with is what a client has.
  "bench": ["Client", "Wire", "EventLoop", "Histogram", "Glibc", "Synchronization"],
]

func forbiddenImports(_ file: File) -> [Finding] {
  let row = mayImport.first { file.lies(in: [$0.key]) }
  guard let (folder, allowed) = row else {
    let rule = "a module without a row in the table of imports"
    return [Finding(path: file.path, line: 1, rule: rule)]
  }
  return SwiftSource(file.text).lines.enumerated().compactMap { index, line in
    guard let module = imported(by: line.code), !allowed.contains(module) else { return nil }
    return Finding(path: file.path, line: index + 1, rule: "\(folder) may not import \(module)")
  }
}

/// The module that a line imports: `@testable internal import struct Wire.Frame` is Wire.
private func imported(by code: String) -> String? {
  guard code.contains("import") else { return nil }
  let attributes = /(?:@\w+(?:\([^)]*\))?\s+)*/
  let access = /(?:(?:public|package|internal|fileprivate|private)\s+)?/
  let kind = /(?:(?:struct|class|enum|protocol|func|var|let|typealias|actor)\s+)?/
  let statement = Regex {
    /^\s*/
    attributes
    access
    /import\s+/
    kind
    Capture { /\w+/ }
  }
  return code.firstMatch(of: statement).map { String($0.1) }
}

@Suite("Imports")
struct ImportTests {
  @Test("every file imports only what its module may")
  func sources() {
    report(Repository.swiftFiles(in: "Sources", "bench").flatMap(forbiddenImports))
  }

  @Test(
    "each way of importing is seen",
    arguments: [
      "import Foundation", "internal import Foundation", "public import Storage",
      "@preconcurrency import Foundation", "@_spi(A) private import Storage",
      "internal import struct Foundation.Date", "  fileprivate import FoundationEssentials",
      "@testable import Storage // why", "import CLinux", "import Glibc", "import Server",
    ]
  )
  func finds(code: String) {
    #expect(forbiddenImports(File(path: "Sources/Wire/A.swift", text: code)).count == 1)
  }

  @Test(
    "the rows of the table hold",
    arguments: [
      ("Sources/Wire", "CProto", true), ("Sources/Wire", "EventLoop", false),
      ("Sources/EventLoop", "CLinux", true), ("Sources/EventLoop", "CLibpq", false),
      ("Sources/Storage", "CLibpq", true), ("Sources/Storage", "Wire", false),
      ("Sources/Storage", "CChecksum", false), ("Sources/Server", "Storage", true),
      ("Sources/Server", "CProto", false), ("Sources/Server", "Foundation", false),
      ("Sources/Client", "Wire", true), ("Sources/Client", "Storage", false),
      ("Sources/Formats", "Wire", false), ("Sources/Formats", "Foundation", false),
      ("Sources/sluice", "Foundation", true), ("Sources/sluice", "Storage", false),
      ("bench", "Client", true), ("bench", "Server", false), ("Sources/Other", "Wire", false),
    ]
  )
  func rows(folder: String, module: String, isAllowed: Bool) {
    let file = File(path: "\(folder)/A.swift", text: "internal import \(module)\n")
    #expect(forbiddenImports(file).isEmpty == isAllowed)
  }

  @Test("words about imports are not imports")
  func leavesAlone() {
    let text = "// import Foundation\nlet a = \"\"\"\n  import Foundation\n  \"\"\"\nimportant()\n"
    #expect(forbiddenImports(File(path: "Sources/Wire/A.swift", text: text)) == [])
  }
}
