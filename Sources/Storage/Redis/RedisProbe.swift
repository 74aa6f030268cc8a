public import EventLoop

// Connects to Redis once, to say whether the cache could use it.

/// The look at Redis that `sluice serve --check` takes.
public enum RedisProbe {
  /// Connects, loads the cache's scripts and says good-bye.
  ///
  /// - Returns: the version that Redis tells.
  /// - Throws: why the cache cannot use it.
  public static func version(
    of settings: RedisSettings,
    on loop: EventLoop
  ) async throws(RedisTrouble) -> String {
    let connection = RedisConnection(settings, scripts: CacheScripts.all, on: loop)
    let cell = WaitCell<Result<String, RedisTrouble>>()
    connection.onReady = { [weak connection] _ in
      cell.resume(.success(connection?.version ?? "of unknown version"))
    }
    connection.onTrouble = { cell.resume(.failure($0)) }
    let outcome = await cell.wait { connection.start() }
    connection.close()
    return try outcome.get()
  }
}
