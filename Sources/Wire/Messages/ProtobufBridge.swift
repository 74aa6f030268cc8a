internal import CProto
internal import CProtobufC

/// Moves values between Swift and the C structs of protobuf-c: every pointer of the messages passes
/// through here.
extension MessageArena {
  /// Unpacks `bytes` and hands the C message to `read`; the message is gone afterwards.
  @unsafe
  func unpack<C, Result>(
    _ bytes: RawSpan,
    _ function: (
      UnsafeMutablePointer<ProtobufCAllocator>?, Int, UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<C>?,
    _ read: (UnsafeMutablePointer<C>) throws(MessageError) -> Result
  ) throws(MessageError) -> Result {
    try scope { () throws(MessageError) in
      let message = unsafe bytes.withUnsafeBytes { buffer in
        unsafe function(
          allocator,
          buffer.count,
          buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
        )
      }
      guard let message = unsafe message else { throw isExhausted ? .tooLarge : .malformed }
      return try unsafe read(message)
    }
  }

  /// A new C message, set up by its init function.
  @unsafe
  func make<C>(
    _ initialize: (UnsafeMutablePointer<C>?) -> Void
  ) throws(MessageError) -> UnsafeMutablePointer<C> {
    let message = try unsafe room(for: C.self, count: 1)
    unsafe initialize(message)
    return unsafe message
  }

  /// A copy of `bytes` for a `bytes` field.
  @unsafe
  func binary(_ bytes: [UInt8]) throws(MessageError) -> ProtobufCBinaryData {
    unsafe ProtobufCBinaryData(len: bytes.count, data: try array(bytes))
  }

  /// A copy of `text` for a `bytes` field.
  @unsafe
  func binary(_ text: String) throws(MessageError) -> ProtobufCBinaryData {
    let pointer = try unsafe copy(text.utf8, terminated: false)
    return unsafe ProtobufCBinaryData(len: text.utf8.count, data: pointer)
  }

  /// Copies of `texts` for a repeated `bytes` field.
  @unsafe
  func binaries(
    _ texts: [String]
  ) throws(MessageError) -> UnsafeMutablePointer<ProtobufCBinaryData> {
    let target = try unsafe room(for: ProtobufCBinaryData.self, count: texts.count)
    for (index, text) in texts.enumerated() {
      let data = try unsafe binary(text)
      unsafe (target + index).initialize(to: data)
    }
    return unsafe target
  }

  /// Copies of byte strings for a repeated `bytes` field.
  @unsafe
  func binaries(
    _ values: [[UInt8]]
  ) throws(MessageError) -> UnsafeMutablePointer<ProtobufCBinaryData> {
    let target = try unsafe room(for: ProtobufCBinaryData.self, count: values.count)
    for (index, value) in values.enumerated() {
      let data = try unsafe binary(value)
      unsafe (target + index).initialize(to: data)
    }
    return unsafe target
  }

  /// A copy of `text` for a `string` field, which C ends at the first NUL.
  @unsafe
  func string(_ text: String) throws(MessageError) -> UnsafeMutablePointer<CChar> {
    let pointer = try unsafe copy(text.utf8, terminated: true)
    return unsafe UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: CChar.self)
  }

  /// A message packed for a `bytes` field of another one.
  @unsafe
  func packed<C>(_ message: UnsafeMutablePointer<C>) throws(MessageError) -> ProtobufCBinaryData {
    let base = unsafe UnsafeRawPointer(message).assumingMemoryBound(to: ProtobufCMessage.self)
    let count = unsafe protobuf_c_message_get_packed_size(base)
    let target = try unsafe room(for: UInt8.self, count: count)
    let written = unsafe protobuf_c_message_pack(base, target)
    precondition(written == count, "a message was packed to another size than announced")
    return unsafe ProtobufCBinaryData(len: count, data: target)
  }

  /// A copy of the numbers of a repeated field.
  @unsafe
  func array<Number: BitwiseCopyable>(
    _ numbers: [Number]
  ) throws(MessageError) -> UnsafeMutablePointer<Number> {
    let target = try unsafe room(for: Number.self, count: numbers.count)
    unsafe numbers.withUnsafeBufferPointer { source in
      guard let start = source.baseAddress else { return }
      unsafe target.initialize(from: start, count: source.count)
    }
    return unsafe target
  }

  /// The pointers of a repeated message field.
  @unsafe
  func messages<C, Element>(
    _ elements: [Element],
    _ build: (Element) throws(MessageError) -> UnsafeMutablePointer<C>
  ) throws(MessageError) -> UnsafeMutablePointer<UnsafeMutablePointer<C>?> {
    let target = try unsafe room(for: UnsafeMutablePointer<C>?.self, count: elements.count)
    for (index, element) in elements.enumerated() {
      let message = try unsafe build(element)
      unsafe (target + index).initialize(to: message)
    }
    return unsafe target
  }

  private func copy(
    _ text: String.UTF8View,
    terminated: Bool
  ) throws(MessageError) -> UnsafeMutablePointer<UInt8> {
    let count = text.count
    let target = try unsafe room(for: UInt8.self, count: count + 1)
    let buffer = unsafe UnsafeMutableBufferPointer(start: target, count: count)
    _ = unsafe buffer.initialize(fromContentsOf: text)
    unsafe (target + count).initialize(to: 0)
    return unsafe target
  }

  private func room<Element>(
    for type: Element.Type,
    count: Int
  ) throws(MessageError) -> UnsafeMutablePointer<Element> {
    guard let memory = unsafe allocate(MemoryLayout<Element>.stride * count) else {
      throw .tooLarge
    }
    return unsafe memory.bindMemory(to: type, capacity: count)
  }
}

/// Reads fields of unpacked C messages.
enum Field {
  /// Refuses a message with a flood of unknown fields.
  static func check(_ message: ProtobufCMessage) throws(MessageError) {
    guard unsafe message.n_unknown_fields <= UInt32(WireLimits.unknownFieldsMax) else {
      throw .tooManyUnknownFields
    }
  }

  /// The bytes of a `bytes` field.
  static func bytes(_ data: ProtobufCBinaryData) -> [UInt8] {
    unsafe Array(UnsafeBufferPointer(start: data.data, count: data.len))
  }

  /// The byte strings of a repeated `bytes` field.
  static func byteStrings(
    _ data: UnsafeMutablePointer<ProtobufCBinaryData>?,
    _ count: Int
  ) -> [[UInt8]] {
    guard let data = unsafe data else { return [] }
    return (0..<count).map { unsafe bytes(data[$0]) }
  }

  /// The text of a `bytes` field: UTF-8 without NUL.
  static func text(
    _ data: ProtobufCBinaryData,
    _ field: @autoclosure () -> String
  ) throws(MessageError) -> String {
    let buffer = unsafe UnsafeBufferPointer(start: data.data, count: data.len)
    guard unsafe !buffer.contains(0) else { throw .hasNUL(field: field()) }
    guard let text = unsafe String(validating: buffer, as: UTF8.self) else {
      throw .notUTF8(field: field())
    }
    return text
  }

  /// The texts of a repeated `bytes` field.
  static func texts(
    _ data: UnsafeMutablePointer<ProtobufCBinaryData>?,
    _ count: Int,
    _ field: StaticString
  ) throws(MessageError) -> [String] {
    guard let data = unsafe data else { return [] }
    var texts: [String] = []
    texts.reserveCapacity(count)
    for index in 0..<count {
      texts.append(try unsafe text(data[index], "\(field)[\(index)]"))
    }
    return texts
  }

  /// The text of a `string` field.
  static func string(
    _ text: UnsafeMutablePointer<CChar>?,
    _ field: StaticString
  ) throws(MessageError) -> String {
    guard let text = unsafe text else { return "" }
    guard let string = unsafe String(validatingCString: text) else {
      throw .notUTF8(field: "\(field)")
    }
    return string
  }

  /// The numbers of a repeated field.
  static func array<Number: BitwiseCopyable>(
    _ numbers: UnsafeMutablePointer<Number>?,
    _ count: Int
  ) -> [Number] {
    unsafe Array(UnsafeBufferPointer(start: numbers, count: count))
  }

  /// The messages of a repeated field.
  static func messages<C, Element>(
    _ pointers: UnsafeMutablePointer<UnsafeMutablePointer<C>?>?,
    _ count: Int,
    _ field: StaticString,
    _ read: (UnsafeMutablePointer<C>) throws(MessageError) -> Element
  ) throws(MessageError) -> [Element] {
    guard let pointers = unsafe pointers else { return [] }
    var elements: [Element] = []
    elements.reserveCapacity(count)
    for index in 0..<count {
      guard let pointer = unsafe pointers[index] else { throw .malformed }
      do {
        elements.append(try unsafe read(pointer))
      } catch {
        throw error.inside("\(field)[\(index)]")
      }
    }
    return elements
  }

  /// The message of a singular field, `nil` when it is not set.
  static func message<C, Element>(
    _ pointer: UnsafeMutablePointer<C>?,
    _ field: StaticString,
    _ read: (UnsafeMutablePointer<C>) throws(MessageError) -> Element
  ) throws(MessageError) -> Element? {
    guard let pointer = unsafe pointer else { return nil }
    do {
      return try unsafe read(pointer)
    } catch {
      throw error.inside("\(field)")
    }
  }

  /// An enum that a client chose: a value of a later version cannot be honoured.
  static func chosen<Value: RawRepresentable<Int32>>(
    _ rawValue: UInt32,
    _ field: StaticString
  ) throws(MessageError) -> Value {
    guard let value = Value(rawValue: Int32(truncatingIfNeeded: rawValue)) else {
      throw .unknownEnumValue(field: "\(field)")
    }
    return value
  }

  /// An enum that a server told: a value of a later version reads as unspecified.
  static func told<Value: RawRepresentable<Int32>>(
    _ rawValue: UInt32,
    or unspecified: Value
  ) -> Value {
    Value(rawValue: Int32(truncatingIfNeeded: rawValue)) ?? unspecified
  }
}
