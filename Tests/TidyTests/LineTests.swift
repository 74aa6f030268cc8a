internal import Testing

// Lines and files that are too long, and paths that only one machine has.

/// Columns of a line of Swift.
private let columnsMax = 100

/// Lines of a file in Sources; one that needs more says why here.
private let linesMax = 450
private let longFiles: [String: String] = [:]

/// What stands in string literals (SQL, samples) is not counted: it cannot be broken at will.
func longLines(_ file: File) -> [Finding] {
  // Most files have none, whatever it consists of.
  guard
    file.text.utf8.split(separator: UInt8(ascii: "\n")).contains(where: { $0.count > columnsMax })
  else { return [] }
  return SwiftSource(file.text).lines.enumerated().compactMap { index, line in
    let isLink = line.comment.contains("://")
    let columns = line.code.count + line.comment.count
    guard columns > columnsMax, !isLink else { return nil }
    let rule = "\(columns) columns; at most \(columnsMax)"
    return Finding(path: file.path, line: index + 1, rule: rule)
  }
}

func isTooLong(_ file: File) -> Finding? {
  // A last line end is not another line.
  let count = file.lines.count - (file.text.hasSuffix("\n") ? 1 : 0)
  guard count > linesMax, longFiles[file.path] == nil else { return nil }
  let rule = "\(count) lines; at most \(linesMax): which second idea is in it?"
  return Finding(path: file.path, line: count, rule: rule)
}

func machinePaths(_ file: File) -> [Finding] {
  // Not the ends of longer paths: "$folder/home" is nobody's. Put together, to not find itself.
  let folders = ["work/", "home/", "tmp/build"].map { "/" + $0 }
  guard folders.contains(where: file.text.contains) else { return [] }
  return file.lines.enumerated().compactMap { index, line in
    let isFound = folders.contains { folder in
      line.ranges(of: folder).contains { range in
        guard let before = line[..<range.lowerBound].last else { return true }
        return !before.isLetter && !before.isNumber && !"_-.}/)*".contains(before)
      }
    }
    guard isFound else { return nil }
    return Finding(path: file.path, line: index + 1, rule: "a path of one machine: \(line)")
  }
}

@Suite("Lines")
struct LineTests {
  @Test("no line of Swift is too long")
  func lineLength() {
    report(Repository.swiftFiles(in: "Sources", "Tests", "bench").flatMap(longLines))
  }

  @Test("no file of Sources is too long; generated C is not counted")
  func fileLength() {
    let written = Repository.files.filter {
      $0.lies(in: ["Sources"]) && !$0.lies(in: ["Sources/CProto"])
    }
    report(written.compactMap(isTooLong))
    for path in longFiles.keys {
      #expect(
        Repository.file(path).map(\.lines.count) ?? 0 > linesMax,
        "\(path) needs no exception"
      )
    }
  }

  @Test("no file names a folder of a developer's machine")
  func noMachinePaths() {
    report(Repository.files.flatMap(machinePaths))
  }

  @Test("a line of 101 columns is found, one of 100 or with a link is not")
  func findsLongLine() {
    let full = String(repeating: "x", count: 100)
    let text = "\(full)\n\(full)x\n// https://example.org/\(full)\n"
    #expect(longLines(File(path: "a.swift", text: text)).map(\.line) == [2])
  }

  @Test("a file of 451 lines is found, one of 450 is not")
  func findsLongFile() {
    let text = String(repeating: "x\n", count: 450)
    #expect(isTooLong(File(path: "a.swift", text: text)) == nil)
    #expect(isTooLong(File(path: "a.swift", text: text + "x"))?.line == 451)
  }

  @Test(
    "paths of machines are found, similar ones are not",
    arguments: [
      ("cd \("/home")/me", 1), ("\("/work")/main", 1), ("--scratch-path=\("/tmp")/build-me", 1),
      ("$folder/home/me", 0), ("${folder}/work/x", 0), ("some/work/here", 0), ("/homely/", 0),
    ]
  )
  func findsMachinePath(text: String, count: Int) {
    #expect(machinePaths(File(path: "a", text: text)).count == count)
  }
}
