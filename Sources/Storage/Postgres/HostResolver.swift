internal import EventLoop
internal import Glibc
internal import Synchronization

// Turns host names into addresses off the loop, because libpq would look them up on it.

/// One lookup of the host names in a connection string, on a thread of its own.
///
/// libpq connects without any lookup when each `host` has a `hostaddr` (libpq manual,
/// PQconnectStartParams). The thread cannot be stopped: it ends when the system's resolver gives
/// up, and what it finds after `stop` is dropped. Confined to the loop's thread but for `Mailbox`.
final class HostResolver: ReadinessHandler {
  /// Addresses tried for one name.
  static let addressesMax = 8

  /// One place to try, as libpq's lists name it.
  struct Endpoint: Equatable, Sendable {
    /// A name, an address or a directory of Unix sockets.
    var host: String
    /// nil until it is known; stays empty for Unix sockets.
    var address: String?
    var port: String
  }

  /// Where the thread leaves its result; closing the doorbell says that it is there.
  private final class Mailbox: Sendable {
    let endpoints: [Endpoint]
    let found = Mutex<[Endpoint]?>(nil)
    /// Closed by the thread, which makes the other end readable.
    let doorbell: CInt

    init(_ endpoints: [Endpoint], doorbell: CInt) {
      self.endpoints = endpoints
      self.doorbell = doorbell
    }
  }

  private let loop: EventLoop
  private let mailbox: Mailbox
  private let bell: Descriptor
  private var registration: Registration?
  private let finished: ([Endpoint]) -> Void

  /// Starts the lookup; `finished` is called once, later, with what was found, unless `stop` comes
  /// first.
  ///
  /// - Throws: `.connectFailed(outOfResources)` without a pair of sockets or a thread.
  init(
    _ endpoints: [Endpoint],
    on loop: EventLoop,
    finished: @escaping ([Endpoint]) -> Void
  ) throws(PostgresError) {
    let noResources = PostgresError.connectFailed(
      .init(kind: .outOfResources, sqlstate: nil, message: "")
    )
    var ends: [CInt] = [-1, -1]
    let type = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    guard unsafe socketpair(AF_UNIX, type, 0, &ends) == 0 else { throw noResources }
    self.loop = loop
    self.finished = finished
    bell = Descriptor(owning: ends[0])
    mailbox = Mailbox(endpoints, doorbell: ends[1])
    guard HostResolver.startThread(mailbox) else {
      _ = close(ends[1])
      throw noResources
    }
    do throws(SystemError) {
      registration = try loop.add(
        descriptor: bell.number,
        interest: .readable,
        handler: self
      )
    } catch {
      throw noResources
    }
  }

  func ready(_ readiness: Readiness) {
    stop()
    finished(mailbox.found.withLock { $0 } ?? [])
  }

  /// Forgets the lookup without a call to `finished`.
  func stop() {
    if let registration = registration.take() { loop.remove(registration) }
  }

  // MARK: Connection strings

  /// The places a connection string names, in order.
  ///
  /// - Throws: `.connectFailed(invalidSetting)` when the lists of hosts and ports do not match.
  static func endpoints(_ dsn: PostgresDSN) throws(PostgresError) -> [Endpoint] {
    let hosts = list(dsn.setting("host") ?? PostgresDSN.systemDefault("host") ?? "")
    let ports = list(dsn.setting("port") ?? PostgresDSN.systemDefault("port") ?? "")
    guard ports.count == 1 || ports.count == hosts.count else {
      let message = "as many ports as hosts are needed, or one"
      throw .connectFailed(.init(kind: .invalidSetting, sqlstate: nil, message: message))
    }
    return hosts.enumerated().map { index, host in
      Endpoint(
        host: host,
        address: literalAddress(host),
        port: ports.count == 1 ? ports[0] : ports[index]
      )
    }
  }

  /// The same connection string with the places written out.
  static func applying(_ endpoints: [Endpoint], to dsn: PostgresDSN) -> PostgresDSN {
    dsn.setting("host", to: endpoints.map(\.host).joined(separator: ","))
      .setting("hostaddr", to: endpoints.map { $0.address ?? "" }.joined(separator: ","))
      .setting("port", to: endpoints.map(\.port).joined(separator: ","))
  }

  private static func list(_ text: String) -> [String] {
    text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
  }

  /// What needs no lookup: "" for Unix sockets, numeric addresses as they are; nil for names.
  static func literalAddress(_ host: String) -> String? {
    if host.isEmpty || host.hasPrefix("/") || host.hasPrefix("@") { return "" }
    var address = in6_addr()
    let isNumeric =
      unsafe inet_pton(AF_INET, host, &address) == 1
      || inet_pton(AF_INET6, host, &address) == 1
    return isNumeric ? host : nil
  }

  // MARK: The thread

  private static func startThread(_ mailbox: Mailbox) -> Bool {
    let context = unsafe Unmanaged.passRetained(mailbox)
    var thread = pthread_t()
    // The thread holds the mailbox until it ends, whoever has lost interest by then.
    let code = unsafe pthread_create(
      &thread,
      nil,
      { context in
        guard let context = unsafe context else { return nil }
        let mailbox = unsafe Unmanaged<Mailbox>.fromOpaque(context).takeRetainedValue()
        let found = mailbox.endpoints.flatMap { HostResolver.lookUp($0) }
        mailbox.found.withLock { $0 = found }
        _ = close(mailbox.doorbell)
        return nil
      },
      context.toOpaque()
    )
    guard code == 0 else {
      unsafe context.release()
      return false
    }
    _ = pthread_detach(thread)
    return true
  }

  /// All addresses of a name; none when it is not known.
  private static func lookUp(_ endpoint: Endpoint) -> [Endpoint] {
    guard endpoint.address == nil else { return [endpoint] }
    var hints = unsafe addrinfo()
    unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
    unsafe hints.ai_flags = AI_ADDRCONFIG
    var list: UnsafeMutablePointer<addrinfo>?
    guard unsafe getaddrinfo(endpoint.host, nil, &hints, &list) == 0 else { return [] }
    defer { unsafe freeaddrinfo(list) }
    var found: [Endpoint] = []
    var next = unsafe list
    while let info = unsafe next, found.count < addressesMax {
      if let address = unsafe numeric(info.pointee) {
        found.append(Endpoint(host: endpoint.host, address: address, port: endpoint.port))
      }
      unsafe next = info.pointee.ai_next
    }
    return found
  }

  private static func numeric(_ info: addrinfo) -> String? {
    var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    let code = unsafe getnameinfo(
      info.ai_addr,
      info.ai_addrlen,
      &text,
      socklen_t(text.count),
      nil,
      0,
      NI_NUMERICHOST
    )
    guard code == 0 else { return nil }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
