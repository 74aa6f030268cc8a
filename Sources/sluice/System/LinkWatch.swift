internal import Client
internal import EventLoop
internal import Formats

// Says why a command waits, when it waits for long.

/// Looks at a producer while a command works, and tells its user why nothing moves.
final class LinkWatch: Sendable {
  private static let pause = Duration.milliseconds(500)

  /// Watches on the loop as long as somebody holds this object.
  init(_ producer: Producer, on loop: EventLoop) {
    loop.spawn { [weak self] in
      var notes = WaitNotes()
      while true {
        await loop.sleep(for: Self.pause)
        let wait = await producer.wait
        guard self != nil else { return }
        guard let note = notes.next(wait, now: .now()) else { continue }
        // Over a progress line, which is drawn again.
        let start = StandardStream.error.isTerminal ? "\r\u{1B}[K" : ""
        StandardStream.error.note("\(start)\(note)\n")
      }
    }
  }
}

/// What there is to say about waits: one note when a wait has become long, another when its reason
/// changes or it is over.
struct WaitNotes {
  /// Shorter waits are not worth a word.
  private static let patience = Duration.seconds(3)

  private var told: (kind: Kind, since: MonotonicTime)?

  private enum Kind: Equatable {
    case down(String)
    case slow
  }

  /// A line about the producer's wait; nil when there is nothing new.
  mutating func next(_ wait: ProducerWait?, now: MonotonicTime) -> String? {
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
