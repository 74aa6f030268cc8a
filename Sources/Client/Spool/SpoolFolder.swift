internal import EventLoop

// Finds the spools in a folder, takes over those whose process is gone, makes new ones.

/// Who a spool belongs to; a small text file, replaced as a whole.
struct SpoolIdentity: Equatable, Sendable {
  /// Stands for the boot when everything is on the disk.
  static let closed = "closed"
  private static let title = "sluice-spool 1"

  let producerID: [UInt8]
  let name: String
  /// The run of the system's kernel in which the spool was last written to.
  let boot: String
  /// The database that its positions are of; empty until one has been written to.
  let databaseID: [UInt8]

  init(producerID: [UInt8], name: String, boot: String, databaseID: [UInt8] = []) {
    self.producerID = producerID
    self.name = name
    self.boot = boot
    self.databaseID = databaseID
  }

  init(readIn folder: String) throws(ClientError) {
    let path = "\(folder)/identity"
    let file = try SpoolFile(path)
    let text = String(decoding: try file.read(try file.byteCount, at: 0), as: UTF8.self)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    guard lines.count >= 4, lines[0] == SpoolIdentity.title,
      let id = SpoolIdentity.bytes(lines[1])
    else { throw .spoolDamaged(path, at: 0, "the identity cannot be read") }
    producerID = id
    boot = lines[2]
    name = lines[3]
    databaseID = lines.count > 4 ? SpoolIdentity.bytes(lines[4]) ?? [] : []
  }

  func write(in folder: String) throws(ClientError) {
    let lines = [
      SpoolIdentity.title, SpoolIdentity.hex(producerID), boot, name,
      SpoolIdentity.hex(databaseID),
    ]
    let text = lines.joined(separator: "\n") + "\n"
    try SpoolFile.replace("identity", in: folder, with: Array(text.utf8))
  }

  static func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  private static func bytes(_ hex: String) -> [UInt8]? {
    let digits = Array(hex.utf8)
    guard digits.count == 32 else { return nil }
    let bytes = stride(from: 0, to: 32, by: 2).compactMap {
      UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)
    }
    return bytes.count == 16 ? bytes : nil
  }
}

/// What a process got from a folder of spools.
public struct SpoolClaim: Sendable {
  /// To write to.
  public let spool: Spool
  /// Spools of processes that are gone, which cannot be written to: to be sent by a producer each,
  /// then removed.
  public let orphans: [Spool]
}

extension Spool {
  /// Takes a spool in the folder: that of a process with the same name which is gone, else a new
  /// one.
  ///
  /// A spool that was not closed before the system was restarted may lack what was not synced, and
  /// the gateway may know numbers that it does not. Such a one is an orphan: it is only sent, and
  /// new values get a spool, and a producer, of their own.
  ///
  /// - Throws: `ClientError`: the folder cannot be used, or a spool of this name is damaged.
  public static func claim(_ options: SpoolOptions) throws(ClientError) -> SpoolClaim {
    precondition(!options.name.contains("\n"), "a spool's name is one line")
    return try claim(options, boot: SpoolFile.bootID)
  }

  /// `claim` with the run of the kernel as a parameter, for tests.
  static func claim(_ options: SpoolOptions, boot: String) throws(ClientError) -> SpoolClaim {
    try SpoolFile.makeFolder(options.folder)
    // One process at a time looks for spools and makes them.
    let turn = try SpoolFile.lock("\(options.folder)/.claim", waits: true)
    defer { withExtendedLifetime(turn) {} }
    var current: Spool?
    var orphans: [Spool] = []
    for name in try SpoolFile.names(in: options.folder) where name.hasPrefix("spool-") {
      let folder = "\(options.folder)/\(name)"
      guard let lock = try SpoolFile.lock("\(folder)/.lock") else { continue }
      guard SpoolFile.exists("\(folder)/identity") else {
        // Its maker died before anything was in it, or its remover before all was gone.
        try SpoolFolder.clear(folder)
        continue
      }
      let identity = try SpoolIdentity(readIn: folder)
      guard identity.name == options.name else { continue }
      let isComplete =
        identity.boot == SpoolIdentity.closed
        || identity.boot == boot && boot != SpoolFile.unknownBoot
      let store = try SpoolStore(
        opening: folder,
        producerID: identity.producerID,
        bytesMax: options.bytesMax,
        segmentBytesMax: options.segmentBytesMax,
        mayHaveLostPages: !isComplete
      )
      let spool = try Spool(
        store,
        name: options.name,
        boot: isComplete ? boot : identity.boot,
        databaseID: identity.databaseID,
        sync: options.sync,
        lock: lock
      )
      if isComplete, current == nil {
        try spool.writeIdentity()
        current = spool
      } else {
        orphans.append(spool)
      }
    }
    if let current { return SpoolClaim(spool: current, orphans: orphans) }
    return SpoolClaim(spool: try make(options, boot), orphans: orphans)
  }

  private static func make(_ options: SpoolOptions, _ boot: String) throws(ClientError) -> Spool {
    let id = RandomID.bytes()
    let folder = "\(options.folder)/spool-\(SpoolIdentity.hex(id))"
    try SpoolFile.makeFolder(folder)
    guard let lock = try SpoolFile.lock("\(folder)/.lock") else {
      preconditionFailure("nobody knows a folder with a random name")
    }
    let store = try SpoolStore(
      making: folder,
      producerID: id,
      bytesMax: options.bytesMax,
      segmentBytesMax: options.segmentBytesMax
    )
    // Last: a spool with an identity is whole.
    let spool = try Spool(
      store,
      name: options.name,
      boot: boot,
      databaseID: [],
      sync: options.sync,
      lock: lock
    )
    try spool.writeIdentity()
    try SpoolFile.syncFolder(options.folder)
    return spool
  }
}

/// What is done with the folder of a spool as a whole.
enum SpoolFolder {
  /// Deletes a spool's files and its folder.
  static func clear(_ folder: String) throws(ClientError) {
    for name in try SpoolFile.names(in: folder) { try SpoolFile.remove("\(folder)/\(name)") }
    for name in [".identity.new", ".lock"] { try SpoolFile.remove("\(folder)/\(name)") }
    try SpoolFile.removeFolder(folder)
  }
}
