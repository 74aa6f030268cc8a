internal import Client
internal import EventLoop
internal import Formats

// Says why a command waits, when it waits for long.

/// Looks at producers while a command works, and tells its user why nothing moves.
///
/// One note when a wait has become long, another when the reason changes or the wait is over.
struct LinkWatch {
  /// Shorter waits are not worth a word.
  private static let patience = Duration.seconds(3)

  private var told: (kind: Kind, since: MonotonicTime)?

  private enum Kind: Equatable {
    case down(String)
    case slow
  }

  /// Watches until the task is cancelled.
  static func run(_ producer: Producer) async {
    var watch = LinkWatch()
    while !Task.isCancelled {
      // Cancelled: the loop sees it.
      try? await Task.sleep(for: .milliseconds(500))
      let wait = await producer.wait
      guard !Task.isCancelled, let note = watch.note(wait, now: .now()) else { continue }
      // Over a progress line, which is drawn again.
      StandardStream.error.note((StandardStream.error.isTerminal ? "\r\u{1B}[K" : "") + note + "\n")
    }
  }

  /// What there is to say; nil when there is nothing new.
  mutating func note(_ wait: ProducerWait?, now: MonotonicTime) -> String? {
    guard let wait else {
      guard let told else { return nil }
      self.told = nil
      return "goes on after \(Quantity.seconds((now - told.since) / .seconds(1)))"
    }
    let kind: Kind =
      switch wait {
      case .linkDown(let error, _): .down("\(error)")
      case .gatewaySlow: .slow
      }
    guard now - wait.since > Self.patience, told?.kind != kind else { return nil }
    told = (kind, told?.since ?? wait.since)
    switch kind {
    case .down(let why): return "waiting: \(why); trying again until it works"
    case .slow:
      return "waiting: the gateway answers, but has confirmed nothing for"
        + " \(Quantity.seconds((now - wait.since) / .seconds(1))); its database is slow or away, as"
        + " its log says"
    }
  }
}
