internal import Formats
internal import Testing
internal import Wire

@testable internal import sluice

// Values of an input as the type of their attribute: exactly, or refused.

@Suite("Value fit")
struct ValueFitTests {
  private func fit(_ value: PointValue, _ text: String?, _ type: ValueType) -> ValueFit {
    let point = Point(
      entity: "e",
      attribute: "a",
      time: Timestamp(microseconds: 0),
      value: value,
      guessedText: text
    )
    return ValueFit(point, type)
  }

  @Test(
    "a guessed type yields to that of the catalog",
    arguments: [
      ("9007199254740993", .integer, .integer(9_007_199_254_740_993)),
      ("9223372036854775807", .integer, .integer(.max)), ("-5", .integer, .integer(-5)),
      ("7.0", .integer, .integer(7)), ("1e3", .integer, .integer(1_000)),
      ("007", .label, .label("007")), ("1", .flag, .flag(true)), ("off", .flag, .flag(false)),
      ("true", .label, .label("true")), ("1.5", .number, .number(1.5)),
      ("[1]", .document, .document("[1]")),
    ] as [(String, ValueType, PointValue)]
  )
  func guessed(text: String, type: ValueType, expected: PointValue) throws {
    let guess = try PointValue(parsing: text, as: PointType(looksOf: text))
    #expect(fit(guess, text, type) == .value(expected))
    // Other values of the column may have made it a label.
    #expect(fit(.label(text), text, type) == .value(expected))
  }

  @Test(
    "only what is no value of the catalog's type is refused",
    arguments: [
      ("n/a", .number, "a has the type number, and this value is none"),
      ("1.5", .integer, "a has the type integer, and this value is none"),
      ("9007199254740993.0", .integer, "a has the type integer, and this value is none"),
      (
        "9223372036854775808", .integer,
        "a has the type integer, and this value does not fit 64 bits"
      ), ("2", .flag, "a has the type flag, and this value is none"),
    ] as [(String, ValueType, String)]
  )
  func misfit(text: String, type: ValueType, advice: String) throws {
    let guess = try PointValue(parsing: text, as: PointType(looksOf: text))
    #expect(fit(guess, text, type) == .refused(advice))
  }

  @Test("integers and numbers are one another where that is exact; other types are kept apart")
  func said() {
    #expect(fit(.number(7), nil, .integer) == .value(.integer(7)))
    #expect(fit(.integer(7), nil, .number) == .value(.number(7)))
    #expect(
      fit(.number(0x1p53 - 1), nil, .integer) == .value(.integer(9_007_199_254_740_991))
    )
    for number in [0x1p53, -0x1p53, .infinity] {
      #expect(
        fit(.number(number), nil, .integer)
          == .refused(
            "a has the type integer, and a number of this size is not exact; write it as an integer"
          )
      )
    }
    #expect(
      fit(.label("7"), nil, .number)
        == .refused(
          "a has the type number, and this value is of type label; give it another name with"
            + " --rename"
        )
    )
  }
}
