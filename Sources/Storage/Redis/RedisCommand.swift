internal import CHiredis

// Words to bytes, by hiredis; its pointers stay in this file.

/// What is sent to Redis in one piece.
protocol RedisRequest {
  /// Size of the words, without what the protocol adds.
  var byteCount: Int { get }
  /// How many replies it brings.
  var replyCount: Int { get }
  /// Writes it as Redis reads it.
  func write(to output: inout [UInt8])
}

/// The words of one request, one after the other in one buffer.
struct RedisCommand: RedisRequest {
  private var bytes: [UInt8] = []
  /// Where each word ends.
  private var ends: [Int] = []

  init() {}

  /// A request of these words.
  init(_ words: String...) { for word in words { append(word) } }

  mutating func append(_ text: String) {
    bytes.append(contentsOf: text.utf8)
    ends.append(bytes.count)
  }

  mutating func append(_ word: [UInt8]) {
    bytes.append(contentsOf: word)
    ends.append(bytes.count)
  }

  /// Adds one word of two parts.
  mutating func append(_ first: [UInt8], _ second: [UInt8]) {
    bytes.append(contentsOf: first)
    append(second)
  }

  /// Adds 16 lower-case hex digits, whose order as text is that of the numbers.
  mutating func append(hex number: UInt64) {
    for shift in stride(from: UInt64(60), through: 0, by: -4) {
      let digit = UInt8(truncatingIfNeeded: number >> shift & 15)
      bytes.append(digit < 10 ? digit + UInt8(ascii: "0") : digit - 10 + UInt8(ascii: "a"))
    }
    ends.append(bytes.count)
  }

  mutating func append(_ number: some BinaryInteger) { append(String(number)) }

  /// Adds the words of another request.
  mutating func append(_ other: RedisCommand) {
    let start = bytes.count
    bytes.append(contentsOf: other.bytes)
    ends.append(contentsOf: other.ends.map { start + $0 })
  }

  var wordCount: Int { ends.count }
  var byteCount: Int { bytes.count }
  var replyCount: Int { 1 }

  func write(to output: inout [UInt8]) {
    write(requestsOf: CollectionOfOne(wordCount), to: &output)
  }

  /// Writes its words as requests of so many words each.
  fileprivate func write(requestsOf counts: some Collection<Int>, to output: inout [UInt8]) {
    unsafe bytes.withUnsafeBytes { bytes in
      let base = unsafe bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
      guard let base = unsafe base else { preconditionFailure("a request's name is not empty") }
      var words = unsafe [UnsafePointer<CChar>?]()
      var lengths: [Int] = []
      var start = 0
      var place = 0
      for count in counts {
        precondition(count > 0, "a request has a name")
        for end in ends[place..<(place + count)] {
          unsafe words.append(base + start)
          lengths.append(end - start)
          start = end
        }
        place += count
        var target: UnsafeMutablePointer<CChar>?
        let size = unsafe redisFormatCommandArgv(&target, CInt(count), &words, &lengths)
        guard size >= 0, let target = unsafe target else { preconditionFailure("out of memory") }
        unsafe output.append(contentsOf: UnsafeRawBufferPointer(start: target, count: Int(size)))
        unsafe redisFreeCommand(target)
        unsafe words.removeAll(keepingCapacity: true)
        lengths.removeAll(keepingCapacity: true)
      }
    }
  }
}

/// Requests that are sent together, their words in one buffer.
struct RedisPipeline: RedisRequest {
  private var words = RedisCommand()
  /// Words of each request.
  private var counts: [Int] = []

  /// Adds a request, whose words `body` appends.
  mutating func add(_ body: (inout RedisCommand) -> Void) {
    let before = words.wordCount
    body(&words)
    counts.append(words.wordCount - before)
  }

  var byteCount: Int { words.byteCount }
  var replyCount: Int { counts.count }

  func write(to output: inout [UInt8]) { words.write(requestsOf: counts, to: &output) }
}
