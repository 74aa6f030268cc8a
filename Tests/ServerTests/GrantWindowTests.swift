import Testing

@testable import Storage

@Suite("how much a session may send")
struct GrantWindowTests {
  /// The budget of a worker under test.
  private final class Worker {
    var budget: IngestBudget

    init(memoryBytes: Int) {
      budget = IngestBudget(memoryBytes: memoryBytes)
    }
  }

  /// A session under test, with the batches it has in a lane.
  private final class Session {
    let worker: Worker
    var window: GrantWindow
    var inFlight: [Int] = []
    var isOver = false

    init(_ worker: Worker) {
      self.worker = worker
      window = GrantWindow(&worker.budget)
    }

    /// Bytes it may send now.
    var room: Int { window.grantedBytes - window.receivedBytes }

    func receive(_ bytes: Int) -> Bool {
      guard window.receive(bytes, &worker.budget) else { return false }
      inFlight.append(bytes)
      return true
    }

    /// The oldest batch is written.
    func write() {
      window.release(inFlight.removeFirst(), &worker.budget)
    }

    @discardableResult
    func extend() -> Bool { window.extend(&worker.budget) }

    func end() {
      window.end(&worker.budget)
      isOver = true
    }
  }

  @Test("the first grant is small, and smaller the less is left")
  func firstGrant() {
    for (memory, granted) in [
      (1 << 30, 64 << 10), (64 << 20, 16 << 10), (8 << 20, 4 << 10), (8, 1), (0, 1),
    ] {
      let worker = Worker(memoryBytes: memory)
      #expect(Session(worker).window.grantedBytes == granted, "of \(memory) bytes")
      #expect(worker.budget.usedBytes == granted)
    }
  }

  @Test("10,000 sessions that never send leave half of the budget to one that does")
  func idle() {
    let worker = Worker(memoryBytes: 256 << 20)
    let sessions = (0..<10_000).map { _ in Session(worker) }
    #expect(worker.budget.availableBytes >= worker.budget.limitBytes / 3)
    #expect(sessions[0].room > 0)
    let last = sessions[9_999]
    #expect(last.room == 0)
    #expect(!last.window.isStarving, "it has not asked for anything")
    last.window.want(1 << 20)
    #expect(last.window.isStarving)
    #expect(last.extend())
    #expect(last.receive(1 << 20))
  }

  @Test("a batch that does not fit is granted whole, later, and never in part")
  func wholeOrNothing() {
    let worker = Worker(memoryBytes: 8 << 20)
    let busy = Session(worker)
    busy.window.want(600 << 10)
    #expect(busy.extend())
    #expect(busy.receive(600 << 10))
    let other = Session(worker)
    other.window.want(600 << 10)
    #expect(!other.extend())
    #expect(other.window.isBlocked)
    busy.write()
    #expect(other.extend())
    #expect(other.receive(600 << 10))
  }

  @Test("when others hold everything and nothing is under way, one batch goes beyond the limit")
  func stuck() {
    let worker = Worker(memoryBytes: 8 << 20)
    let holder = Session(worker)
    holder.window.want(1 << 20)
    holder.extend()
    let session = Session(worker)
    session.window.want(1 << 20)
    #expect(session.extend())
    let other = Session(worker)
    other.window.want(1 << 20)
    #expect(!other.extend(), "one batch beyond the limit, not one of everybody")
    #expect(session.receive(1 << 20))
    let third = Session(worker)
    third.window.want(1)
    #expect(!third.extend(), "what is under way comes back")
    session.write()
    #expect(third.extend())
  }

  @Test("a batch beyond the grant is refused and not counted")
  func overrun() {
    let session = Session(Worker(memoryBytes: 1 << 30))
    #expect(session.receive(60 << 10))
    #expect(!session.receive(5 << 10))
    #expect(session.window.receivedBytes == 60 << 10)
    #expect(session.receive(4 << 10))
  }

  @Test("an active session gets a window that doubles up to the largest, a quiet one keeps its own")
  func grows() {
    let session = Session(Worker(memoryBytes: 1 << 33))
    #expect(session.receive(8 << 10))
    session.write()
    #expect(session.extend())
    #expect(session.room == 64 << 10)
    var largest = 0
    for _ in 0..<100 {
      #expect(session.receive(session.room))
      session.write()
      #expect(session.extend())
      largest = max(largest, session.room)
    }
    #expect(largest == GrantWindow.mostBytes)
  }

  @Test("busy sessions come to have about the same, whoever was first")
  func fair() {
    let worker = Worker(memoryBytes: 64 << 20)
    let sessions = (0..<16).map { _ in Session(worker) }
    for _ in 0..<200 {
      for session in sessions {
        if session.room > 0 { #expect(session.receive(min(session.room, 28 << 10))) }
        if session.inFlight.count > 8 { session.write() }
        if session.window.isStarving { session.extend() }
      }
    }
    for session in sessions {
      while !session.inFlight.isEmpty { session.write() }
      session.extend()
    }
    let rooms = sessions.map(\.room)
    #expect(rooms.min()! * 64 > rooms.max()!, "\(rooms)")
    #expect(worker.budget.usedBytes <= worker.budget.limitBytes)
  }

  @Test("by random walk: grants only rise, the budget holds but for one batch and comes back whole")
  func walk() {
    for seed in UInt64(1)...100 {
      var random = WalkGenerator(seed: seed)
      let worker = Worker(memoryBytes: Int.random(in: 0...(64 << 20), using: &random))
      var sessions: [Session] = []
      for _ in 0..<300 {
        if let session = sessions.randomElement(using: &random) {
          step(session, &random)
        }
        if Int.random(in: 0..<10, using: &random) == 0 { sessions.append(Session(worker)) }
        let counted = sessions.reduce(0) { sum, session in
          sum + session.window.grantedBytes - session.window.releasedBytes
        }
        #expect(worker.budget.usedBytes == counted, "seed \(seed)")
        let overdraft = GrantWindow.mostBytes
        #expect((0...worker.budget.limitBytes + overdraft).contains(counted), "seed \(seed)")
      }
      for session in sessions {
        if !session.isOver { session.end() }
        while !session.inFlight.isEmpty { session.write() }
      }
      #expect(worker.budget.usedBytes == 0, "seed \(seed)")
    }
  }

  private func step(_ session: Session, _ random: inout WalkGenerator) {
    let granted = session.window.grantedBytes
    if session.isOver {
      if !session.inFlight.isEmpty { session.write() }
      return
    }
    switch Int.random(in: 0..<20, using: &random) {
    case 0..<8:
      let bytes = Int.random(in: 1...(1 << 18), using: &random)
      let room = session.room
      #expect(session.receive(bytes) == (bytes <= room))
    case 8..<14 where !session.inFlight.isEmpty:
      session.write()
    case 14..<16: session.window.want(Int.random(in: 1...(1 << 21), using: &random))
    case 16..<19:
      let rose = session.extend()
      #expect(rose == (session.window.grantedBytes > granted))
    case 19: return session.end()
    default: return
    }
    #expect(session.window.grantedBytes >= granted, "a grant only rises")
  }
}
