internal import Foundation
internal import Testing

// The files that the tidy checks look at.

/// A text file of the repository, or a snippet that a check is tried on.
struct File: Sendable {
  /// Relative to the repository's root.
  let path: String
  let text: String

  /// Lines without their ends, the first is number 1.
  var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

  /// Whether the file lies in one of the folders.
  func lies(in folders: [String]) -> Bool { folders.contains { path.hasPrefix($0 + "/") } }
}

/// A place that breaks a rule.
struct Finding: Equatable, CustomStringConvertible {
  let path: String
  let line: Int
  let rule: String

  var description: String { "\(path):\(line): \(rule)" }
}

/// Fails the test with all findings, one a line.
func report(_ findings: [Finding], sourceLocation: SourceLocation = #_sourceLocation) {
  guard !findings.isEmpty else { return }
  let lines = findings.map(\.description).joined(separator: "\n")
  Issue.record("\(findings.count) findings\n\(lines)", sourceLocation: sourceLocation)
}

/// The checkout that this test was built from.
enum Repository {
  static let root = URL(filePath: #filePath)
    .resolvingSymlinksInPath()
    .deletingLastPathComponent()
    .deletingLastPathComponent()
    .deletingLastPathComponent()

  /// Paths of all files that git knows, or, outside a checkout, of all that are there.
  static let paths: [String] = tracked() ?? walked()

  /// All that is text.
  static let files: [File] = paths.compactMap(file)

  static func swiftFiles(in folders: String...) -> [File] {
    files.filter { $0.path.hasSuffix(".swift") && $0.lies(in: folders) }
  }

  /// One file, nil when it is not there or not text.
  static func file(_ path: String) -> File? {
    guard let data = FileManager.default.contents(atPath: root.appending(path: path).path()),
      let text = String(data: data, encoding: .utf8)
    else { return nil }
    return File(path: path, text: text)
  }

  private static func tracked() -> [String]? {
    let git = ["git", "-C", root.path(), "ls-files", "-z"]
    guard let outcome = try? Command.run(git), outcome.status == 0 else { return nil }
    return outcome.output.split(separator: "\0").map(String.init)
  }

  private static func walked() -> [String] {
    let all = FileManager.default.enumerator(atPath: root.path())?.compactMap { $0 as? String }
    return (all ?? []).filter { !$0.hasPrefix(".build/") && !$0.hasPrefix(".git/") }
  }
}

/// Runs programs.
enum Command {
  /// What a program left behind; the output has both streams.
  struct Outcome {
    let status: Int32
    let output: String
  }

  /// Runs a program found in PATH until it ends.
  static func run(_ words: [String]) throws -> Outcome {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = words
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let data = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return Outcome(
      status: process.terminationStatus,
      output: String(data: data, encoding: .utf8) ?? ""
    )
  }

  /// Whether PATH has a program of this name.
  static func exists(_ name: String) -> Bool {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    return path.split(separator: ":").contains {
      FileManager.default.isExecutableFile(atPath: "\($0)/\(name)")
    }
  }
}
