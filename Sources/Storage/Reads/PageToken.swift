// Where the next page begins, opaque to clients and bound to the request that it continues.

/// Seals a position so that an altered token, or one of another request, is recognised.
///
/// A forged token is harmless: it only chooses where in its own request's answer a client reads on.
public enum PageToken {
  private static let version: UInt8 = 1

  /// The token for a position; `arguments` is the sum of all that must stay the same.
  static func seal(_ position: [UInt8], _ arguments: Fingerprint) -> [UInt8] {
    [version] + ByteWriter.bytes(check(position[...], arguments)) + position
  }

  /// The position in a token.
  ///
  /// - Throws: `.badPageToken` when it was altered or belongs to other arguments.
  static func open(
    _ token: [UInt8],
    _ arguments: Fingerprint
  ) throws(StorageError) -> ByteReader {
    guard token.first == version else { throw .badPageToken }
    var reader = ByteReader(token.dropFirst())
    guard let sum = reader.integer(UInt64.self) else { throw .badPageToken }
    let position = reader.rest()
    guard sum == check(position, arguments) else { throw .badPageToken }
    return ByteReader(position)
  }

  /// A token that names the last text of a page of `kind`, bound to tenant and filter.
  public static func seal(
    text: String,
    kind: String,
    tenant: Int32,
    prefix: String
  ) -> [UInt8] {
    seal(Array(text.utf8), fingerprint(kind, tenant, prefix))
  }

  /// A token that names the last producer of a page.
  public static func seal(producer: ProducerID, tenant: Int32) -> [UInt8] {
    seal(producer.bytes, fingerprint("producers", tenant, ""))
  }

  /// The producer in such a token; nil for no token.
  ///
  /// - Throws: `.badPageToken`.
  public static func producer(
    _ token: [UInt8],
    tenant: Int32
  ) throws(StorageError) -> ProducerID? {
    guard !token.isEmpty else { return nil }
    var reader = try open(token, fingerprint("producers", tenant, ""))
    let position = Array(reader.rest())
    guard let id = ProducerID(position.span) else { throw .badPageToken }
    return id
  }

  /// The text in a token made by the other function; nil for no token.
  ///
  /// - Throws: `.badPageToken`.
  public static func text(
    _ token: [UInt8],
    kind: String,
    tenant: Int32,
    prefix: String
  ) throws(StorageError) -> String? {
    guard !token.isEmpty else { return nil }
    var reader = try open(token, fingerprint(kind, tenant, prefix))
    guard let text = String(validating: reader.rest(), as: UTF8.self), !text.utf8.contains(0) else {
      throw .badPageToken
    }
    return text
  }

  private static func fingerprint(_ kind: String, _ tenant: Int32, _ prefix: String) -> Fingerprint
  {
    var arguments = Fingerprint()
    arguments.add(kind)
    arguments.add(Int64(tenant))
    arguments.add(prefix)
    return arguments
  }

  private static func check(_ position: ArraySlice<UInt8>, _ arguments: Fingerprint) -> UInt64 {
    var sum = arguments
    sum.add(version)
    sum.add(position)
    return sum.value
  }
}
