internal import Testing

// Documents name files that exist.

/// Folders whose names begin a path of the repository.
private let folders: Set<String> = [
  "Sources", "Tests", "Proto", "bench", "scripts", "docs", "clients", "deploy", "examples",
]

/// Paths in backticks that `exists` does not know.
func missingPaths(_ document: File, exists: (String) -> Bool) -> [Finding] {
  document.lines.enumerated().flatMap { index, line in
    line.matches(of: /`([^`]+)`/).compactMap { match -> Finding? in
      guard let path = repositoryPath(match.1), !exists(path) else { return nil }
      return Finding(path: document.path, line: index + 1, rule: "`\(path)` does not exist")
    }
  }
}

/// The path that a piece of code names: of a command the first word, of a pattern its folder.
private func repositoryPath(_ code: Substring) -> String? {
  let word = code.prefix { $0 != " " && $0 != ":" && $0 != "#" }
  let parts = word.split(separator: "/").prefix { !$0.contains(/[*<{…$]/) }
  guard let first = parts.first, !word.hasPrefix("/"), !word.hasPrefix("http") else { return nil }
  let isFile = word == code && word.contains(/^[\w+-]+\.(swift|md|proto)$/)
  guard isFile || (word.contains("/") && folders.contains(String(first))) else { return nil }
  return parts.joined(separator: "/")
}

/// Whether the repository has the file or folder; a file without a folder may lie anywhere.
private func isInRepository(_ path: String) -> Bool {
  Repository.paths.contains {
    $0 == path || $0.hasPrefix(path + "/") || (!path.contains("/") && $0.hasSuffix("/" + path))
  }
}

@Suite("Documents")
struct DocumentTests {
  @Test(
    "every path named in a document exists",
    arguments: [
      "ARCHITECTURE.md", "README.md", "docs/cache.md", "docs/reads.md", "docs/upserts.md",
      "docs/writes.md",
    ]
  )
  func documents(path: String) {
    // Not written yet: nothing to be wrong about.
    guard let document = Repository.file(path) else { return }
    report(missingPaths(document, exists: isInRepository))
  }

  @Test(
    "stale paths are found",
    arguments: [
      "`Sources/Gone/Gone.swift`", "See `Tests/Gone`, please", "`scripts/gone --all`",
      "`Gone.swift`",
      "`Sources/Gone/*.swift`", "`Sources/Wire/Gone.swift:12`", "`README.md` and `GONE.md`",
    ]
  )
  func finds(text: String) {
    let known = ["README.md", "Sources/Wire"]
    let findings = missingPaths(File(path: "a.md", text: text)) { known.contains($0) }
    #expect(findings.count == 1)
  }

  @Test(
    "what is no path of the repository is left alone",
    arguments: [
      "`Sources/Wire`", "`Sources/Wire/*.swift`", "`Sources/Wire/<name>/x`", "`a/b`", "`read()`",
      "`/etc/passwd`", "`SO_REUSEPORT`", "Sources/Gone", "`https://example.org/a.md`",
      "`swift test`",
    ]
  )
  func leavesAlone(text: String) {
    #expect(missingPaths(File(path: "a.md", text: text)) { $0 == "Sources/Wire" } == [])
  }

  @Test("this file is found by its path, its folder and its name")
  func knowsItself() {
    #expect(isInRepository("Tests/TidyTests/DocumentTests.swift"))
    #expect(isInRepository("Tests/TidyTests"))
    #expect(isInRepository("DocumentTests.swift"))
    #expect(!isInRepository("Tests/Tidy"))
  }
}
