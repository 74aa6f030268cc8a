internal import ArgumentParser
internal import Client
internal import Glibc
internal import Wire

// Where an agent keeps what it must not forget.

/// What outlives the agent: its id alone, or everything that is not durable.
enum AgentStorage: Sendable {
  case memory(ProducerIdentity)
  case spool(SpoolClaim, AgentCatalogFile)
}

/// Ids that an agent has learnt, so that one that starts while no gateway answers can go on.
struct AgentCatalogFile: Sendable {
  private let path: String
  /// The lines: "entity ID KEY" or "attribute ID TYPE NAME".
  private let lines: [String]

  /// Reads a file; one that is not there is empty.
  ///
  /// - Throws: why it cannot be read.
  init(_ path: String) throws(CommandFailure) {
    self.path = path
    let exists = unsafe access(path, F_OK) == 0
    lines = exists ? try InputFile.text(of: path).split(separator: "\n").map(String.init) : []
  }

  /// Gives the ids to a cache that does not know them.
  func load(into cache: inout CatalogCache) {
    for line in lines {
      let words = line.split(separator: " ", maxSplits: 2).map(String.init)
      guard words.count == 3 else { continue }
      if words[0] == "entity", let id = Int64(words[1]) { cache.adopt(entity: words[2], id: id) }
      let rest = words[2].split(separator: " ", maxSplits: 1).map(String.init)
      guard words[0] == "attribute", let id = UInt32(words[1]), rest.count == 2,
        let type = Int32(rest[0]).flatMap(ValueType.init(rawValue:))
      else { continue }
      cache.adopt(Attribute(attributeID: id, name: rest[1], valueType: type))
    }
  }

  /// Replaces the content; a failure is no harm, for the gateway has it all.
  func save(entity: String, id: Int64, _ attributes: some Sequence<Attribute>) {
    var text = "entity \(id) \(entity)\n"
    for attribute in attributes.sorted(by: { $0.name < $1.name }) {
      text += "attribute \(attribute.attributeID) \(attribute.valueType.rawValue)"
      text += " \(attribute.name)\n"
    }
    let temporary = "\(path).new"
    guard let file = unsafe fopen(temporary, "w") else { return }
    let written = unsafe fputs(text, file)
    let closed = unsafe fclose(file)
    guard written >= 0, closed == 0 else { return }
    _ = unsafe rename(temporary, path)
  }
}

/// Reads the options of a spool.
enum SpoolArguments {
  /// A size: digits, and perhaps K, M or G for powers of 1024.
  static func bytes(_ text: String) throws -> Int {
    let units: [Character: Int] = ["K": 10, "M": 20, "G": 30]
    let shift = text.last.flatMap { units[Character($0.uppercased())] }
    let digits = shift == nil ? text[...] : text.dropLast()
    guard let number = Int(digits), number > 0, number <= Int.max >> (shift ?? 0),
      number << (shift ?? 0) >= 64 << 10
    else { throw ValidationError("'\(text)' is no size of at least 64K, as 512M") }
    return number << (shift ?? 0)
  }

  /// When to sync.
  static func sync(_ text: String) throws -> SpoolOptions.Sync {
    switch text {
    case "always": return .always
    case "interval": return .interval(.milliseconds(100))
    default: throw ValidationError("'\(text)' is neither 'always' nor 'interval'")
    }
  }
}
