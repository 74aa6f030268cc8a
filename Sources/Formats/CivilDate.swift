// Converts between days since the Unix epoch and dates of the proleptic Gregorian calendar.

/// A date of the proleptic Gregorian calendar; year 0 is 1 BC.
struct CivilDate: Equatable {
  let year: Int
  let month: Int
  let day: Int

  /// Days in a cycle of 400 years, after which the calendar repeats.
  private static let cycleDays = 146_097
  /// Days from 1 March of year 0 to 1 January 1970.
  private static let epochOffsetDays = 719_468

  /// Refuses dates that do not exist, such as 30 February.
  init?(year: Int, month: Int, day: Int) {
    guard (1...12).contains(month), day >= 1, day <= Self.dayCount(month: month, year: year) else {
      return nil
    }
    self.year = year
    self.month = month
    self.day = day
  }

  /// The date that is so many days after 1 January 1970.
  ///
  /// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
  init(daysSinceEpoch days: Int) {
    // Years start in March here, so that the leap day is the last day of its year.
    let shifted = days + Self.epochOffsetDays
    let cycle = floorDivide(shifted, by: Self.cycleDays)
    let dayOfCycle = shifted - cycle * Self.cycleDays
    let leapDays = dayOfCycle / 1_460 - dayOfCycle / 36_524 + dayOfCycle / 146_096
    let yearOfCycle = (dayOfCycle - leapDays) / 365
    let dayOfYear = dayOfCycle - (365 * yearOfCycle + yearOfCycle / 4 - yearOfCycle / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    year = yearOfCycle + cycle * 400 + (month <= 2 ? 1 : 0)
  }

  /// Days since 1 January 1970, negative before it.
  ///
  /// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
  var daysSinceEpoch: Int {
    let marchYear = month <= 2 ? year - 1 : year
    let cycle = floorDivide(marchYear, by: 400)
    let yearOfCycle = marchYear - cycle * 400
    let monthFromMarch = month > 2 ? month - 3 : month + 9
    let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
    let dayOfCycle = yearOfCycle * 365 + yearOfCycle / 4 - yearOfCycle / 100 + dayOfYear
    return cycle * Self.cycleDays + dayOfCycle - Self.epochOffsetDays
  }

  static func isLeap(_ year: Int) -> Bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
  }

  static func dayCount(month: Int, year: Int) -> Int {
    switch month {
    case 2: isLeap(year) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }
}

/// Divides and rounds towards minus infinity, so that times before 1970 fall on the right day.
func floorDivide<Number: FixedWidthInteger>(_ dividend: Number, by divisor: Number) -> Number {
  let (quotient, remainder) = dividend.quotientAndRemainder(dividingBy: divisor)
  return remainder < 0 ? quotient - 1 : quotient
}
