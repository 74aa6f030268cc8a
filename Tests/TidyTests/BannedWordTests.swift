internal import Testing

// Words that Sources may not say, or not without a reason beside them.

/// The one place where tasks are started, so that every task stays on its loop.
private let taskStarters = ["Sources/EventLoop/LoopTasks.swift"]

/// The one type whose safety the compiler is not asked to show.
private let uncheckedFiles = ["Sources/EventLoop/EventLoop.swift"]

func bannedWords(_ file: File) -> [Finding] {
  // The slow look is for files that have a word at all.
  guard
    (strayWords + reasonWords.map(\.word) + ["Task", "@unchecked"]).contains(
      where: file.text.contains
    )
  else { return [] }
  let source = SwiftSource(file.text)
  return source.lines.enumerated().flatMap { index, line -> [Finding] in
    let rules =
      never(line.code) + tasks(line.code, file.path) + unexplained(line.code, index, source)
    return rules.map { Finding(path: file.path, line: index + 1, rule: $0) }
  }
}

private let strayWords = [
  "Task.detached", "Task.immediate", "Task.sleep", "AsyncStream", "AsyncThrowingStream",
  "DispatchQueue",
]

/// `try?` often ends a guard whose branch, two lines below, says why failing does not matter.
private let reasonWords: [(word: String, linesAfter: Int)] = [
  ("try!", 0), ("try?", 2), ("fatalError(", 0), ("nonisolated(unsafe)", 0),
]

private func never(_ code: String) -> [String] {
  strayWords.filter { code.contains($0) }.map { "\($0) leaves the loop" }
}

private func tasks(_ code: String, _ path: String) -> [String] {
  var rules: [String] = []
  if code.contains("@unchecked Sendable"), !uncheckedFiles.contains(path) {
    rules.append("@unchecked Sendable is for the event loop")
  }
  // The slow look is for lines that have the word at all.
  guard code.contains("Task") else { return rules }
  // Task<…> and names that end in Task are no beginnings.
  let begins = code.matches(of: /(?:^|[^\w.])Task(?:\.init)?\s*(?:<[^>]*>\s*)?([({])\s*(\w*)/)
  for begin in begins {
    let prefersLoop = begin.1 == "(" && begin.2 == "executorPreference"
    if !prefersLoop || !taskStarters.contains(path) {
      rules.append("tasks begin in \(taskStarters.joined(separator: ", ")) and prefer the loop")
    }
  }
  return rules
}

private func unexplained(_ code: String, _ index: Int, _ source: SwiftSource) -> [String] {
  reasonWords
    .filter { code.contains($0.word) && !source.isExplained(index, linesAfter: $0.linesAfter) }
    .map { "\($0.word) without a comment beside it that says why" }
}

@Suite("Banned words")
struct BannedWordTests {
  @Test("Sources keeps to the rules of concurrency and errors")
  func sources() {
    report(Repository.swiftFiles(in: "Sources").flatMap(bannedWords))
  }

  @Test(
    "each rule finds its word",
    arguments: [
      "Task { }", "  Task{ }", "let a = Task { }", "Task() { }", "Task(priority: .low) { }",
      "Task<Void, Never> { }", "Task.init { }", "Task(executorPreference: loop) { }",
      "(Task { })", "Task.detached { }", "Task.immediate { }", "try await Task.sleep(for: x)",
      "AsyncStream<Int> { _ in }", "AsyncThrowingStream { _ in }", "DispatchQueue.main",
      "struct A: @unchecked Sendable {", "try! f()", "try? f()", "fatalError(\"x\")",
      "nonisolated(unsafe) var a = 1", "\"\\(try! f())\"",
      "// why\n\ntry! f()", "try! f()\n// why", "try? f()\n\n\n// why", "/* Task { */ Task { }",
    ]
  )
  func finds(code: String) {
    #expect(bannedWords(File(path: "Sources/A/A.swift", text: code)).count == 1)
  }

  @Test(
    "what only looks like it is left alone",
    arguments: [
      "// Task { }", "\"Task { }\"", "enum StorageTask {", "StorageTask(a)", "Task.yield()",
      "Task.isCancelled", "let a: Task<Void, Never>", "/* try! */", "let a = try f() // why",
      "// why\ntry! f()", "try! f() // why", "// why\nfatalError(\"\")", "/// `try?`",
    ]
  )
  func leavesAlone(code: String) {
    #expect(bannedWords(File(path: "Sources/A/A.swift", text: code)) == [])
  }

  @Test("exceptions hold for their files only")
  func exceptions() {
    let start = "Task(executorPreference: loop) { }"
    for path in taskStarters {
      #expect(bannedWords(File(path: path, text: start)) == [])
      #expect(bannedWords(File(path: path, text: "Task { }")).count == 1)
      #expect(bannedWords(File(path: path, text: "A: @unchecked Sendable")).count == 1)
    }
    for path in uncheckedFiles {
      #expect(bannedWords(File(path: path, text: "A: @unchecked Sendable")) == [])
      #expect(bannedWords(File(path: path, text: start)).count == 1)
    }
  }
}
