// Prints numbers for people: grouped, shortened, with a unit.

/// Number formats for tables, charts and progress lines.
public enum Quantity {
  private static let prefixes: [(factor: Double, name: String)] = [
    (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"),
  ]
  private static let binaryPrefixes = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]

  /// An integer with commas: `1,234,567`.
  public static func grouped(_ number: some BinaryInteger) -> String {
    let digits = String(number.magnitude)
    var text = number < 0 ? "-" : ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index).isMultiple(of: 3) { text += "," }
      text.append(digit)
    }
    return text
  }

  /// A number of things: `1 value`, `1,234 values`.
  ///
  /// - Parameters:
  ///   - number: how many.
  ///   - singular: what one of them is called.
  ///   - plural: what several are called; with an s at the end when left out.
  /// - Returns: the number, grouped, and its noun.
  public static func count(
    _ number: some BinaryInteger,
    _ singular: String,
    _ plural: String? = nil
  ) -> String {
    "\(grouped(number)) \(number == 1 ? singular : plural ?? singular + "s")"
  }

  /// A number with at most so many digits after the point, without trailing zeros unless asked for.
  public static func decimal(
    _ number: Double,
    digits: Int,
    keepsZeros: Bool = false
  ) -> String {
    guard number.isFinite, number.magnitude < 1e15 else { return JSONWriter.text(of: number) }
    let digits = min(max(digits, 0), 9)
    var scale: Int128 = 1
    for _ in 0..<digits { scale *= 10 }
    // Below 1e24 a 128-bit integer holds the product, so nothing overflows.
    let scaled = Int128((number.magnitude * Double(scale)).rounded())
    let (whole, fraction) = scaled.quotientAndRemainder(dividingBy: scale)
    var text = number < 0 && scaled != 0 ? "-\(whole)" : "\(whole)"
    guard digits > 0 else { return text }
    var decimals = padded(UInt(fraction), to: digits)
    while !keepsZeros, decimals.hasSuffix("0") { decimals.removeLast() }
    if !decimals.isEmpty { text += "." + decimals }
    return text
  }

  /// A number of three digits and a power of ten: `1.8e308`, `-5e-7`, `0`.
  public static func scientific(_ number: Double) -> String {
    guard number.isFinite, number != 0 else { return JSONWriter.text(of: number) }
    var mantissa = number.magnitude
    var exponent = 0
    while mantissa >= 9.995 {
      mantissa /= 10
      exponent += 1
    }
    while mantissa < 0.999_5 {
      mantissa *= 10
      exponent -= 1
    }
    let sign = number < 0 ? "-" : ""
    return sign + decimal(mantissa, digits: 2) + (exponent == 0 ? "" : "e\(exponent)")
  }

  /// A number of about three digits with a decimal prefix: `12.3 k`, `999`, `1.5 M`, `0.001`.
  public static func compact(_ number: Double) -> String {
    let (digits, prefix) = scaled(number)
    return prefix.isEmpty ? digits : "\(digits) \(prefix)"
  }

  /// A rate: `12.3 k/s`, or with a unit `12.3 k values/s`.
  public static func rate(_ perSecond: Double, unit: String = "") -> String {
    unit.isEmpty ? "\(compact(perSecond))/s" : "\(compact(perSecond)) \(unit)/s"
  }

  /// A size with binary prefixes: `512 B`, `1.5 MiB`.
  public static func bytes(_ count: some BinaryInteger) -> String {
    var value = Double(count)
    var index = 0
    while value.magnitude >= 1_023.5, index < binaryPrefixes.count - 1 {
      value /= 1_024
      index += 1
    }
    return "\(threeDigits(value)) \(binaryPrefixes[index])"
  }

  /// A share of one: `12.5 %`.
  public static func percent(_ fraction: Double) -> String {
    "\(decimal(fraction * 100, digits: 1)) %"
  }

  /// A time span in the unit that suits it: `850 ns`, `1.24 ms`, `12.5 s`, `3m20s`, `2h05m`.
  public static func seconds(_ seconds: Double) -> String {
    let magnitude = seconds.magnitude
    guard seconds.isFinite else { return JSONWriter.text(of: seconds) }
    switch magnitude {
    case 0: return "0 s"
    case ..<0.999_5e-6: return "\(threeDigits(seconds * 1e9)) ns"
    case ..<0.999_5e-3: return "\(threeDigits(seconds * 1e6)) µs"
    case ..<0.999_5: return "\(threeDigits(seconds * 1e3)) ms"
    case ..<59.95: return "\(threeDigits(seconds)) s"
    default: return (seconds < 0 ? "-" : "") + clock(magnitude)
    }
  }

  /// A duration in the unit that suits it; see `seconds(_:)`.
  public static func duration(_ duration: Duration) -> String {
    let (whole, attoseconds) = duration.components
    return seconds(Double(whole) + Double(attoseconds) * 1e-18)
  }

  /// A number split into digits and prefix.
  private static func scaled(_ number: Double) -> (digits: String, prefix: String) {
    guard number.isFinite else { return (JSONWriter.text(of: number), "") }
    guard number.magnitude < 999.5e15 else { return (scientific(number), "") }
    // 999.95 k would be printed as 1000 k: such numbers take the next prefix.
    for (factor, name) in prefixes where number.magnitude >= factor * 0.999_5 {
      return (threeDigits(number / factor), name)
    }
    return (threeDigits(number), "")
  }

  private static func threeDigits(_ number: Double) -> String {
    switch number.magnitude {
    case 0: return "0"
    case ..<1e-6: return scientific(number)
    case ..<0.01: return decimal(number, digits: 6)
    case ..<0.999_5: return decimal(number, digits: 3)
    case ..<9.995: return decimal(number, digits: 2)
    case ..<99.95: return decimal(number, digits: 1)
    default: return decimal(number, digits: 0)
    }
  }

  /// Two units of days, hours, minutes and seconds.
  private static func clock(_ seconds: Double) -> String {
    guard seconds < 1e15 else { return "\(compact(seconds / 86_400))d" }
    let total = UInt(seconds.rounded())
    let (days, hours) = (total / 86_400, total / 3_600 % 24)
    let (minutes, rest) = (total / 60 % 60, total % 60)
    if days > 0 { return "\(days)d" + padded(hours, to: 2) + "h" }
    if hours > 0 { return "\(hours)h" + padded(minutes, to: 2) + "m" }
    return "\(minutes)m" + padded(rest, to: 2) + "s"
  }
}
