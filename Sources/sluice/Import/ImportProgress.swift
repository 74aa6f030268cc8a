internal import EventLoop
internal import Formats

// The progress line of an import.

/// Draws how many values are durable out of how many there will be.
struct ImportProgress {
  private static let pause = Duration.milliseconds(80)

  /// The producer's position before the import.
  var firstSequence: UInt64 = 0
  private var line: TransientLine
  private var totalBytes: Int64? = 0
  private var lastDrawn = MonotonicTime(nanoseconds: 0)
  private let start = MonotonicTime.now()

  init(isShown: Bool?) {
    line = TransientLine(isWanted: isShown)
  }

  /// Takes a file into the sum; nil for one of unknown size.
  mutating func add(fileSize: Int64?) {
    totalBytes = totalBytes.flatMap { total in fileSize.map { total + $0 } }
  }

  /// Whether it is time to draw again.
  var isDue: Bool { MonotonicTime.now() - lastDrawn >= Self.pause }

  /// Draws the line.
  ///
  /// - Parameters:
  ///   - durable: the producer's position now.
  ///   - report: what has been read; how much is to come follows from the bytes.
  mutating func draw(durable: UInt64, _ report: ImportReport) {
    lastDrawn = .now()
    let bar = ProgressBar(
      completed: Int64(durable - min(firstSequence, durable)),
      total: total(report),
      elapsedSeconds: (lastDrawn - start) / .seconds(1),
      unit: "values",
      isAscii: StandardStream.isAscii
    )
    line.show(bar.render(width: min(line.width, 110)))
  }

  /// Takes the line away.
  mutating func clear() {
    line.clear()
  }

  /// Lets a last line stay.
  mutating func finish(_ report: ImportReport) {
    let bar = ProgressBar(
      completed: Int64(report.writtenCount),
      elapsedSeconds: report.seconds,
      unit: "values"
    )
    line.finish(bar.renderDone())
  }

  /// Values as read so far, scaled up to all bytes.
  private func total(_ report: ImportReport) -> Int64? {
    guard let totalBytes, report.bytesRead > 0 else { return nil }
    guard report.bytesRead < totalBytes else { return Int64(report.readCount) }
    return Int64(Double(report.readCount) * Double(totalBytes) / Double(report.bytesRead))
  }
}
