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
      guard window.receive(bytes) else { return false }
      inFlight.append(bytes)
      return true
    }

    /// The oldest batch is written; true when the grant rose.
    @discardableResult
    func write() -> Bool {
      let bytes = inFlight.removeFirst()
      guard isOver else { return window.release(bytes, &worker.budget) }
      window.releaseAfterEnd(bytes, &worker.budget)
      return false
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

  @Test("nobody is granted anything when nothing is left, and is fed when something is given back")
  func starves() {
    let worker = Worker(memoryBytes: 64 << 10)
    let sessions = (0..<3).map { _ in Session(worker) }
    #expect(sessions.map(\.room) == [4 << 10, 4 << 10, 0])
    #expect(sessions[2].window.isStarving)
    #expect(!sessions[2].extend())
    #expect(sessions[0].receive(4 << 10))
    #expect(!sessions[2].receive(1), "a session without a grant is refused")
    sessions[0].end()
    #expect(!sessions[2].extend(), "what is received and not written is still counted")
    sessions[0].write()
    #expect(sessions[2].extend())
    #expect(sessions[2].receive(1))
    for session in sessions.dropFirst() { session.end() }
    sessions[2].write()
    #expect(worker.budget.usedBytes == 0)
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
    #expect(session.write())
    #expect(session.room == 64 << 10)
    var largest = 0
    for _ in 0..<100 {
      #expect(session.receive(session.room))
      session.write()
      largest = max(largest, session.room)
    }
    #expect(largest == GrantWindow.mostBytes)
  }

  @Test("a session that wants a large batch is granted it although its window is small")
  func wants() {
    let session = Session(Worker(memoryBytes: 1 << 30))
    session.window.want(1 << 20)
    #expect(session.window.isStarving)
    #expect(session.extend())
    #expect(session.receive(1 << 20))
  }

  @Test("a wish is met as soon as others give back what they hold")
  func wantsUnderPressure() {
    let worker = Worker(memoryBytes: 16 << 20)
    let others = Session(worker)
    others.window.want(4 << 20)
    others.extend()
    let session = Session(worker)
    session.window.want(1 << 20)
    session.extend()
    #expect(session.window.isStarving, "the others have it all")
    others.end()
    session.extend()
    #expect(session.receive(1 << 20))
  }

  @Test("by random walk: grants only rise, the budget is never overdrawn and comes back whole")
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
        #expect((0...worker.budget.limitBytes).contains(counted), "seed \(seed)")
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
      let rose = session.write()
      #expect(rose == (session.window.grantedBytes > granted))
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
