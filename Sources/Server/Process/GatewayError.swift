public import EventLoop
public import Storage

// Why a gateway does not start, said so that one can mend it.

/// A gateway that cannot serve.
public enum GatewayError: Error, CustomStringConvertible {
  /// A connection string cannot be read.
  case invalidDSN(ConfigurationKey, PostgresError)
  /// The primary, or with `--check` another server, cannot be used.
  case database(ConfigurationKey, PostgresError)
  /// With `--check`: the cache cannot be used; without it a gateway serves all the same.
  case cache(RedisTrouble)
  /// A connection string does not lead to the primary's database.
  case otherDatabase(ConfigurationKey)
  /// The schema is not what this gateway needs.
  case schema(SchemaError)
  /// An index cannot be made, listed or dropped.
  case index(HotIndexError)
  /// The address cannot be listened on.
  case listen(SocketAddress, SystemError)
  /// The system refused a thread or a descriptor.
  case system(SystemError)

  /// One sentence and what to do.
  public var description: String {
    switch self {
    case .invalidDSN(let key, let error):
      "\(key.rawValue): \(error); write it as postgresql://user@host:5432/database"
    case .database(let key, let error):
      "\(key.rawValue): \(error.operatorText); check the address, that the server runs, and the"
        + " user's rights"
    case .cache(let trouble): "redis: \(trouble); check the address, and the password if it has one"
    case .otherDatabase(let key):
      "\(key.rawValue) leads to another database than primary-dsn; give both the same one"
    case .schema(let error): "\(error)"
    case .index(let error): "\(error)"
    case .listen(let address, let error):
      error.isAddressInUse
        ? "cannot listen on \(address), another program does; choose another port with --listen"
        : "cannot listen on \(address): \(error); choose another address with --listen"
    case .system(let error):
      "\(error); the system is out of threads, memory or descriptors (see 'ulimit -n')"
    }
  }

  /// Whether what was asked for is not there, rather than that it cannot be done now.
  public var isAboutName: Bool {
    switch self {
    case .index(.attributeNotFound), .index(.notIndexed): true
    default: false
    }
  }
}
