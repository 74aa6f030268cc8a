internal import CHiredis

// Bytes to replies, by hiredis; its pointers stay in this file.

/// Takes replies out of a stream of bytes.
///
/// Not Sendable. Source: hiredis README, "Reply parsing API".
@safe
final class RedisReader {
  private let raw: UnsafeMutablePointer<redisReader>
  private let replyBytesMax: Int
  /// Bytes that came since the end of the last complete reply.
  private var unansweredBytes = 0

  /// - Parameter replyBytesMax: what one reply may have; hiredis itself has no limit.
  init(replyBytesMax: Int) {
    guard let raw = unsafe redisReaderCreate() else { preconditionFailure("out of memory") }
    unsafe self.raw = unsafe raw
    self.replyBytesMax = replyBytesMax
  }

  deinit { unsafe redisReaderFree(raw) }

  /// Takes bytes in, which are copied; take out all replies afterwards.
  ///
  /// - Throws: `.protocolViolation` when a reply grows too large.
  func feed(_ bytes: RawSpan) throws(RedisError) {
    guard bytes.byteCount > 0 else { return }
    // A reply is judged when the next bytes come, so it may pass the limit by one read.
    guard unansweredBytes <= replyBytesMax else { throw .protocolViolation }
    unansweredBytes += bytes.byteCount
    let code = unsafe bytes.withUnsafeBytes { bytes in
      unsafe redisReaderFeed(
        raw,
        bytes.baseAddress?.assumingMemoryBound(to: CChar.self),
        bytes.count
      )
    }
    guard code == REDIS_OK else { throw .protocolViolation }
  }

  /// The next complete reply, or the server's error; nil when more bytes are needed.
  ///
  /// - Throws: `.protocolViolation`; the reader is of no use afterwards.
  func next() throws(RedisError) -> Result<RedisReply, RedisError>? {
    var pointer: UnsafeMutableRawPointer?
    guard unsafe redisReaderGetReply(raw, &pointer) == REDIS_OK else { throw .protocolViolation }
    guard let pointer = unsafe pointer else { return nil }
    defer { unsafe freeReplyObject(pointer) }
    unansweredBytes = unsafe raw.pointee.len - raw.pointee.pos
    let reply = unsafe pointer.assumingMemoryBound(to: redisReply.self)
    if unsafe reply.pointee.type == REDIS_REPLY_ERROR {
      let text = unsafe RedisReader.text(reply)
      return .failure(.server(code: String(text.prefix { $0 != " " })))
    }
    return .success(try unsafe RedisReader.value(reply))
  }

  private static func value(
    _ reply: UnsafeMutablePointer<redisReply>
  ) throws(RedisError) -> RedisReply {
    switch unsafe reply.pointee.type {
    case REDIS_REPLY_STATUS: return .status(unsafe text(reply))
    case REDIS_REPLY_INTEGER: return .integer(unsafe reply.pointee.integer)
    case REDIS_REPLY_NIL: return .null
    case REDIS_REPLY_STRING: return .bytes(unsafe [UInt8](bytes(reply)))
    case REDIS_REPLY_ARRAY:
      var elements: [RedisReply] = []
      elements.reserveCapacity(unsafe reply.pointee.elements)
      for index in 0..<(unsafe reply.pointee.elements) {
        guard let element = unsafe reply.pointee.element[index] else { throw .protocolViolation }
        elements.append(try unsafe value(element))
      }
      return .array(elements)
    // An error inside of an array: no command of ours brings one.
    default: throw .protocolViolation
    }
  }

  private static func text(_ reply: UnsafeMutablePointer<redisReply>) -> String {
    unsafe String(decoding: bytes(reply), as: UTF8.self)
  }

  private static func bytes(_ reply: UnsafeMutablePointer<redisReply>) -> UnsafeRawBufferPointer {
    unsafe UnsafeRawBufferPointer(start: reply.pointee.str, count: reply.pointee.len)
  }
}
