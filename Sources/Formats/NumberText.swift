// Reads numbers from bytes, exactly and without making strings for the common ones.

/// Conversion of decimal text to numbers.
enum NumberText {
  /// Powers of ten that a double holds exactly.
  private static let exactPowers: [Double] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
  ]

  /// Reads a decimal number; nil when the bytes are not one, or it is too large for a double.
  static func finiteDouble(_ bytes: ArraySlice<UInt8>) -> Double? {
    guard let decimal = Decimal(bytes) else { return nil }
    // Clinger's fast path: both factors are exact, so one rounding gives the nearest double.
    if decimal.isExact, decimal.mantissa <= 1 << 53, decimal.exponent.magnitude <= 22 {
      let power = exactPowers[Int(decimal.exponent.magnitude)]
      let mantissa = Double(decimal.mantissa)
      let magnitude = decimal.exponent < 0 ? mantissa / power : mantissa * power
      return decimal.isNegative ? -magnitude : magnitude
    }
    guard let value = Double(String(decoding: bytes, as: UTF8.self)), value.isFinite else {
      return nil
    }
    return value
  }

  /// As `finiteDouble`, and NaN, Inf and Infinity in any case.
  static func double(_ bytes: ArraySlice<UInt8>) -> Double? {
    if let value = finiteDouble(bytes) { return value }
    let isNegative = bytes.first == Ascii.minus
    let word = isNegative || bytes.first == Ascii.plus ? bytes.dropFirst() : bytes
    if Ascii.equals(word, ignoringCase: "nan") { return .nan }
    guard
      Ascii.equals(word, ignoringCase: "inf") || Ascii.equals(word, ignoringCase: "infinity")
    else { return nil }
    return isNegative ? -.infinity : .infinity
  }

  /// Whether the bytes are an optional sign and digits, whatever their size.
  static func isInteger(_ bytes: ArraySlice<UInt8>) -> Bool {
    let isSigned = bytes.first == Ascii.minus || bytes.first == Ascii.plus
    let digits = isSigned ? bytes.dropFirst() : bytes
    return !digits.isEmpty && digits.allSatisfy { Ascii.digit($0) != nil }
  }

  /// Reads a 64-bit integer; nil when the bytes are not one or it does not fit.
  static func integer(_ bytes: ArraySlice<UInt8>) -> Int64? {
    guard isInteger(bytes) else { return nil }
    let isNegative = bytes.first == Ascii.minus
    var value: Int64 = 0
    for byte in bytes {
      guard let digit = Ascii.digit(byte) else { continue }
      // Counted downwards, because the smallest integer has no positive counterpart.
      let (product, productOverflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, sumOverflow) = product.subtractingReportingOverflow(Int64(digit))
      guard !productOverflow, !sumOverflow else { return nil }
      value = sum
    }
    guard !isNegative else { return value }
    return value == .min ? nil : -value
  }

  /// A decimal number taken apart.
  private struct Decimal {
    var isNegative = false
    var mantissa: UInt64 = 0
    var exponent = 0
    /// No digit was lost from the mantissa.
    var isExact = true

    /// Sign, digits with an optional point, optional exponent, and nothing else.
    init?(_ bytes: ArraySlice<UInt8>) {
      var index = bytes.startIndex
      let end = bytes.endIndex
      guard index < end else { return nil }
      isNegative = bytes[index] == Ascii.minus
      if isNegative || bytes[index] == Ascii.plus { index += 1 }
      var digitCount = 0
      var isAfterPoint = false
      while index < end {
        let byte = bytes[index]
        if let digit = Ascii.digit(byte) {
          digitCount += 1
          take(digit, isAfterPoint: isAfterPoint)
        } else if byte == Ascii.dot, !isAfterPoint {
          isAfterPoint = true
        } else {
          break
        }
        index += 1
      }
      guard digitCount > 0 else { return nil }
      guard index < end else { return }
      guard bytes[index] | 0x20 == UInt8(ascii: "e"),
        let written = NumberText.integer(bytes[(index + 1)...]), written.magnitude < 100_000
      else { return nil }
      exponent += Int(written)
    }

    private mutating func take(_ digit: Int, isAfterPoint: Bool) {
      guard mantissa < 1 << 59 else {
        isExact = false
        return
      }
      mantissa = mantissa * 10 + UInt64(digit)
      if isAfterPoint { exponent -= 1 }
    }
  }
}
