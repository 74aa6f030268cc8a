import Formats
import Testing

// Turning CSV records into points: which column means what, types, and nothing lost in silence.

/// Imports a whole text, without the texts of guessed values.
///
/// The last element of the result says why the file was refused, if it was.
func importCSV(
  _ text: String,
  _ change: (inout CSVImportOptions) -> Void = { _ in }
) -> (points: [Point], problems: [ImportProblem], refused: ImportError?) {
  var options = CSVImportOptions()
  change(&options)
  var importer = CSVImport(options: options)
  importer.feed(Array(text.utf8)[...])
  importer.finish()
  var points: [Point] = []
  var problems: [ImportProblem] = []
  do throws(ImportError) {
    while let record = try importer.next() {
      points += record.points.map { point in
        var point = point
        point.guessedText = nil
        return point
      }
      problems += record.problems
    }
    return (points, problems, nil)
  } catch {
    return (points, problems, error)
  }
}

@Suite("CSV import")
struct CSVImportTests {
  private let midnight = Timestamp(microseconds: 1_392_336_000_000_000)

  private func point(_ entity: String, _ attribute: String, _ value: PointValue) -> Point {
    Point(entity: entity, attribute: attribute, time: midnight, value: value)
  }

  @Test("the wide form gives a point for each field that is not empty")
  func wide() {
    let result = importCSV(
      """
      Time,Host,temp,count,on,note
      2014-02-14,a,1.5,7,true,warm
      2014-02-14,b,,8,FALSE,
      2014-02-14,b,NaN, 9 ,true,5
      """
    )
    #expect(result.refused == nil)
    #expect(result.problems == [])
    let texts = result.points.map { "\($0.entity) \($0.attribute) \($0.value.type) \($0.value)" }
    #expect(
      texts == [
        "a temp number 1.5", "a count number 7", "a on flag true", "a note label warm",
        "b count number 8", "b on flag false",
        "b temp number NaN", "b count number 9", "b on flag true", "b note label 5",
      ]
    )
    #expect(result.points.allSatisfy { $0.time == midnight })
  }

  @Test("the long form is found by its header, and its type column is obeyed")
  func long() {
    let result = importCSV(
      """
      entity,metric,ts,value,type,comment
      a,x,2014-02-14,1,integer,c
      a,y,2014-02-14,1,,c
      a,z,2014-02-14,"{""k"":[1]}",json,c
      a,w,2014-02-14,1,text,c
      a,v,2014-02-14,,,c
      a,t,2014-02-14,,label,c
      a,u,2014-02-14,1,complex,c
      a,,2014-02-14,1,,c
      """
    )
    #expect(
      result.points == [
        point("a", "x", .integer(1)), point("a", "y", .number(1)),
        point("a", "z", .document("{\"k\":[1]}")), point("a", "w", .label("1")),
        point("a", "t", .label("")),
      ]
    )
    #expect(
      result.problems.map(\.description) == [
        "line 8, column \"type\": unknown type; write number, integer, flag, label or document",
        "line 9, column \"metric\": the attribute is missing",
      ]
    )
  }

  @Test("a column that is not all numbers in the sample is a label, after it values must fit")
  func inference() {
    let mixed = importCSV("time,id,x\n2014-02-14,a,7\n2014-02-14,a,B7\n")
    #expect(mixed.points == [point("a", "x", .label("7")), point("a", "x", .label("B7"))])
    let late = importCSV("time,id,x\n2014-02-14,a,7\n2014-02-14,a,B7\n") {
      $0.sampleRecordsMax = 1
    }
    #expect(late.points == [point("a", "x", .number(7))])
    #expect(
      late.problems.map(\.description) == ["line 3, column \"x\": not a number"]
    )
  }

  @Test("a value keeps its text where its type was only guessed")
  func guessedTexts() {
    func texts(_ text: String) -> [String?] {
      var options = CSVImportOptions()
      options.types = ["n": .integer]
      var importer = CSVImport(options: options)
      importer.feed(Array(text.utf8)[...])
      importer.finish()
      var texts: [String?] = []
      while let record = try? importer.next() { texts += record.points.map(\.guessedText) }
      return texts
    }
    #expect(
      texts("time,id,n,x,y,z\n2014-02-14,a,7,9007199254740993,true,n/a\n")
        == [nil, "9007199254740993", "true", "n/a"]
    )
    #expect(
      texts(
        "time,id,metric,value,type\n2014-02-14,a,x,007,\n2014-02-14,a,x,7,int\n"
          + "2014-02-14,a,n,7,\n"
      ) == ["007", nil, nil]
    )
  }

  @Test("a document that nests too deep is told apart from one that is none")
  func depth() {
    func document(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    #expect(throws: Never.self) { try PointValue(parsing: document(128), as: .document) }
    let error = #expect(throws: PointValueError.documentTooDeep(max: 128)) {
      try PointValue(parsing: document(129), as: .document)
    }
    #expect(error?.description == "the JSON nests deeper than 128 levels")
    #expect(throws: PointValueError.notDocument(offset: 1)) {
      try PointValue(parsing: "[", as: .document)
    }
  }

  @Test("what is wrong with a header names the option that mends it")
  func options() {
    #expect(ImportError.timeColumnUnknown.description.hasSuffix("--time-column"))
    #expect(ImportError.entityUnknown.description.contains("--entity-column"))
    #expect(ImportError.columnUnnamed(2).description.hasSuffix("--ignore ''"))
    let numbers = importCSV("time,id,x\n5,a,1\n").problems.map(\.advice)
    #expect(numbers == ["a plain number needs a unit: --precision s, ms, us or ns"])
    // As it says, a column without a name can be left out.
    let ignored = importCSV("time,id,x,\n2014-02-14,a,1,\n") { $0.ignoredColumns = [""] }
    #expect(ignored.points.count == 1 && ignored.refused == nil)
  }

  @Test("declared types win, and what does not fit them is reported with its place")
  func declared() {
    let result = importCSV("time,id,n,f,d\n2014-02-14,a,7,1,[]\n2014-02-14,a,7.5,maybe,{\n") {
      $0.types = ["n": .integer, "F": .flag, "d": .document]
    }
    #expect(
      result.points == [
        point("a", "n", .integer(7)), point("a", "f", .flag(true)),
        point("a", "d", .document("[]")),
      ]
    )
    #expect(result.problems.map(\.line) == [3, 3, 3])
    #expect(result.problems.map(\.column) == [3, 4, 5])
    #expect(
      result.problems.map(\.reason) == [
        .value(.notInteger), .value(.notFlag), .value(.notDocument(offset: 1)),
      ]
    )
  }

  @Test("bad times and bad records are reported, and the rest is imported")
  func problems() {
    let result = importCSV(
      "time,id,x\nnever,a,1\n2014-02-14,,1\n2014-02-14,a\n2014-02-14,a,2\n"
    )
    #expect(result.points == [point("a", "x", .number(2))])
    #expect(
      result.problems.map(\.reason) == [
        .time(.malformed(offset: 0)), .entityMissing, .csv(.fieldCount(expected: 3, found: 2)),
      ]
    )
  }

  @Test("one entity for all rows makes the host column an attribute")
  func fixedEntity() {
    let result = importCSV("epoch,host,x\n1392336000,h,1\n") {
      $0.entity = "e"
      $0.timeColumn = "epoch"
      $0.timeUnit = .seconds
    }
    #expect(result.points == [point("e", "host", .label("h")), point("e", "x", .number(1))])
  }

  @Test(
    "headers that do not say enough are refused",
    arguments: [
      ("", .headerMissing), ("a,b\n", .timeColumnUnknown), ("time,b\n", .entityUnknown),
      ("time,id\n", .attributesMissing), ("time,id,x,x\n", .columnTwice("x")),
      ("time,id,\n", .columnUnnamed(3)),
      ("time,\"id\n", .header(CSVError(line: 1, problem: .unclosedQuote))),
    ] as [(String, ImportError)]
  )
  func headers(text: String, error: ImportError) {
    #expect(importCSV(text).refused == error)
  }

  @Test("columns that were asked for must exist")
  func unknownColumns() {
    let text = "time,id,x\n"
    #expect(importCSV(text) { $0.timeColumn = "t" }.refused == .columnUnknown("t"))
    #expect(importCSV(text) { $0.types = ["y": .flag] }.refused == .columnUnknown("y"))
    #expect(importCSV(text) { $0.ignoredColumns = ["y"] }.refused == .columnUnknown("y"))
    #expect(importCSV(text) { $0.layout = .long }.refused == .longColumnsUnknown)
  }

  @Test("unused columns of the long form can be shown to the user")
  func unused() throws {
    var importer = CSVImport(options: CSVImportOptions())
    importer.feed(Array("time,host,metric,value,unit\n".utf8)[...])
    _ = try importer.next()
    let columns = try #require(importer.columns)
    #expect(columns.layout == .long)
    #expect(columns.unused == ["unit"])
  }
}
