import Formats
import Testing

// Times as text: what is read, what is refused, and that both directions agree.

@Suite("Timestamps")
struct TimestampTests {
  @Test(
    "the usual forms are read",
    arguments: [
      ("1970-01-01", 0),
      ("2014-02-14", 1_392_336_000_000_000),
      ("2014-02-14 14:30:00", 1_392_388_200_000_000),
      ("2014-02-14 14:30", 1_392_388_200_000_000),
      ("2014-02-14T14:30:00Z", 1_392_388_200_000_000),
      ("2014-02-14t14:30:00z", 1_392_388_200_000_000),
      (" 2014-02-14 14:30:00 UTC ", 1_392_388_200_000_000),
      ("2014-02-14T14:30:00.123456Z", 1_392_388_200_123_456),
      ("2014-02-14T14:30:00,5Z", 1_392_388_200_500_000),
      ("2014-02-14T14:30:00.123456999Z", 1_392_388_200_123_456),
      ("2014-02-14T14:30:00+02:00", 1_392_381_000_000_000),
      ("2014-02-14 14:30:00+02", 1_392_381_000_000_000),
      ("2014-02-14 14:30:00 -0530", 1_392_408_000_000_000),
      ("1969-12-31T23:59:59.999999Z", -1),
      ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
      ("2000-02-29", 951_782_400_000_000),
      ("0001-01-01", -62_135_596_800_000_000),
      ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
    ] as [(String, Int64)]
  )
  func reads(text: String, microseconds: Int64) throws {
    #expect(try Timestamp(parsing: text).microseconds == microseconds)
  }

  @Test(
    "what is no time is refused with its reason",
    arguments: [
      ("", .empty), ("  ", .empty), ("yesterday", .malformed(offset: 0)),
      ("2014-2-14", .malformed(offset: 6)), ("2014-02-14x", .malformed(offset: 10)),
      ("2014-02-14T", .malformed(offset: 11)), ("2014-02-14T14:30:00.Z", .malformed(offset: 20)),
      ("2014-02-14T14:30:00+", .malformed(offset: 20)),
      ("2014-02-14T14:30:00Zx", .malformed(offset: 20)),
      ("0000-01-01", .noSuch(.year)), ("2014-13-01", .noSuch(.month)),
      ("2014-02-29", .noSuch(.day)), ("1900-02-29", .noSuch(.day)), ("2014-01-00", .noSuch(.day)),
      ("2014-01-01T24:00", .noSuch(.hour)), ("2014-01-01T23:60", .noSuch(.minute)),
      ("2014-01-01T23:59:61", .noSuch(.second)), ("2014-01-01T00:00+16", .noSuch(.offset)),
      ("1392388200", .unitMissing), ("-5", .unitMissing), ("1.", .malformed(offset: 2)),
    ] as [(String, TimestampError)]
  )
  func refuses(text: String, error: TimestampError) {
    #expect(throws: error) { try Timestamp(parsing: text) }
  }

  @Test(
    "plain numbers count their unit",
    arguments: [
      ("1392388200", .seconds, 1_392_388_200_000_000),
      ("1392388200.5", .seconds, 1_392_388_200_500_000),
      ("1392388200123", .milliseconds, 1_392_388_200_123_000),
      ("1392388200123456", .microseconds, 1_392_388_200_123_456),
      ("1392388200123456789", .nanoseconds, 1_392_388_200_123_456),
      ("-1", .nanoseconds, -1), ("-0.5", .seconds, -500_000), ("0", .seconds, 0),
    ] as [(String, TimeUnit, Int64)]
  )
  func counts(text: String, unit: TimeUnit, microseconds: Int64) throws {
    #expect(try Timestamp(parsing: text, integerUnit: unit).microseconds == microseconds)
  }

  @Test("numbers outside PostgreSQL's range are refused, its first time is not")
  func ranges() throws {
    #expect(throws: TimestampError.outOfRange) {
      try Timestamp(parsing: "9223372036855", integerUnit: .seconds)
    }
    #expect(throws: TimestampError.outOfRange) {
      try Timestamp(parsing: String(repeating: "9", count: 400), integerUnit: .seconds)
    }
    #expect(throws: TimestampError.outOfRange) { try Timestamp(count: .max, unit: .milliseconds) }
    #expect(throws: TimestampError.outOfRange) {
      try Timestamp(count: -210_866_803_201, unit: .seconds)
    }
    let first = try Timestamp(count: -210_866_803_200, unit: .seconds)
    #expect(first == Timestamp.storableRange.lowerBound)
    #expect(first.description == "-4713-11-24T00:00:00Z")
    #expect(Timestamp(microseconds: .max).description == "+294247-01-10T04:00:54.775807Z")
    #expect(Timestamp(microseconds: .min).description.hasPrefix("-290308-"))
  }

  @Test("every time of the years 0001 to 9999 reads back from its own text")
  func roundTrip() throws {
    var generator = SeededGenerator(seed: 1)
    let range = Timestamp.textRange
    let ends = range.lowerBound.microseconds...range.upperBound.microseconds
    var times = [ends.lowerBound, ends.upperBound, 0, -1, 1, 999_999, 1_000_000, -1_000_000]
    for _ in 0..<5_000 {
      let time = Int64.random(in: ends, using: &generator)
      times += [time, time / 1_000 * 1_000, time / 1_000_000 * 1_000_000]
    }
    for time in times {
      let text = Timestamp(microseconds: time).description
      #expect(try Timestamp(parsing: text).microseconds == time, "\(text)")
    }
  }

  @Test("each day follows the one before, over four centuries")
  func days() throws {
    var expected = try Timestamp(parsing: "1899-12-31").microseconds
    for year in 1_900..<2_300 {
      for month in 1...12 {
        for day in 1...31 {
          let text = "\(year)-\(month < 10 ? "0" : "")\(month)-\(day < 10 ? "0" : "")\(day)"
          guard let time = try? Timestamp(parsing: text) else { continue }
          expected += 86_400_000_000
          #expect(time.microseconds == expected, "\(text)")
          #expect(time.description == text + "T00:00:00Z")
        }
      }
    }
    #expect(expected == (try Timestamp(parsing: "2299-12-31").microseconds))
  }

  @Test(
    "relative forms count from now",
    arguments: [
      ("now", 0), ("-1h", -3_600_000_000), ("-7d", -604_800_000_000), ("now-15m", -900_000_000),
      ("now+1d", 86_400_000_000), ("+250ms", 250_000), ("now-1ns", -1), ("-1h30m", -5_400_000_000),
    ] as [(String, Int64)]
  )
  func relative(text: String, shift: Int64) throws {
    let now = try Timestamp(parsing: "2014-02-14T14:30:00Z")
    let time = try Timestamp(expression: text, now: now)
    #expect(time.microseconds == now.microseconds + shift)
  }

  @Test("absolute times pass as expressions, and bad relative ones are refused")
  func expressions() throws {
    let now = Timestamp(microseconds: 0)
    #expect(try Timestamp(expression: "1970-01-01T00:00:01Z", now: now).microseconds == 1_000_000)
    #expect(
      try Timestamp(expression: "-5", now: now, integerUnit: .seconds).microseconds == -5_000_000
    )
    #expect(throws: TimestampError.duration(.unitUnknown)) {
      try Timestamp(expression: "-1x", now: now)
    }
    #expect(throws: TimestampError.duration(.unitMissing)) {
      try Timestamp(expression: "now-5", now: now)
    }
    #expect(throws: TimestampError.malformed(offset: 3)) {
      try Timestamp(expression: "nowhere", now: now)
    }
    #expect(throws: TimestampError.outOfRange) {
      try Timestamp(expression: "-9999999d", now: now)
    }
  }

  @Test(
    "durations are read and printed",
    arguments: [
      ("10s", .seconds(10), "10s"), ("250ms", .milliseconds(250), "250ms"),
      ("1h30m", .seconds(5_400), "1h30m"), ("1d", .seconds(86_400), "1d"),
      ("1.5s", .milliseconds(1_500), "1s500ms"), ("-90s", .seconds(-90), "-1m30s"),
      ("2w", .seconds(1_209_600), "14d"), ("3µs", .microseconds(3), "3us"),
      ("0", .zero, "0s"), (".5ms", .microseconds(500), "500us"), ("1ns", .nanoseconds(1), "1ns"),
    ] as [(String, Duration, String)]
  )
  func durations(text: String, duration: Duration, printed: String) throws {
    #expect(try DurationText.parse(text) == duration)
    #expect(DurationText.print(duration) == printed)
    #expect(try DurationText.parse(printed) == duration)
  }

  @Test(
    "bad durations are refused with their reason",
    arguments: [
      ("", .empty), ("-", .empty), ("5", .unitMissing), ("s", .numberMissing),
      ("1h5", .unitMissing), ("1y", .unitUnknown), ("1 s", .unitUnknown),
      ("99999999999999999999s", .tooLong), ("1..5s", .unitMissing),
    ] as [(String, DurationTextError)]
  )
  func badDurations(text: String, error: DurationTextError) {
    #expect(throws: error) { try DurationText.parse(text) }
  }
}
