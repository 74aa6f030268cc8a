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
  /// What all values so far have taken, where nothing is half read.
  private var parsed: (bytes: Int64, values: Int)?
  private var lastDrawn = MonotonicTime(nanoseconds: 0)
  private let start = MonotonicTime.now()

  init(isShown: Bool?) {
    line = TransientLine(isWanted: isShown)
  }

  /// Takes a file into the sum; nil for one of unknown size.
  mutating func add(fileSize: Int64?) {
    totalBytes = totalBytes.flatMap { total in fileSize.map { total + $0 } }
  }

  /// Takes note that these values were all that these bytes hold; what is to come follows from it.
  mutating func note(bytes: Int64, values: Int) {
    guard bytes > 0, values > 0 else { return }
    parsed = (bytes, values)
  }

  /// Whether it is time to draw again.
  var isDue: Bool { MonotonicTime.now() - lastDrawn >= Self.pause }

  /// Draws the line.
  ///
  /// - Parameter durable: the producer's position now.
  mutating func draw(durable: UInt64) {
    lastDrawn = .now()
    let bar = ProgressBar(
      completed: Int64(durable - min(firstSequence, durable)),
      total: total,
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

  /// Values as parsed so far, scaled up to all bytes; nil before the first ones.
  var total: Int64? {
    guard let totalBytes, let parsed else { return nil }
    guard parsed.bytes < totalBytes else { return Int64(parsed.values) }
    return Int64(Double(parsed.values) * Double(totalBytes) / Double(parsed.bytes))
  }
}
