// Values that travel beside the SQL, encoded by us in binary so that no text is ever parsed as SQL.

/// One bound parameter.
public enum PostgresParameter: Equatable, Sendable {
  /// NULL of whatever type the statement expects there.
  case null
  /// int4
  case int32(Int32)
  /// int8
  case int64(Int64)
  /// float8; every value keeps its bits.
  case double(Double)
  /// bool
  case bool(Bool)
  /// text; the server refuses a zero byte (22021).
  case text(String)
  /// A value in text form of whatever type the statement expects there.
  case untyped(String)
  /// jsonb, given as JSON text.
  case jsonb(String)
  /// bytea
  case bytea([UInt8])
  /// uuid, exactly 16 bytes.
  case uuid([UInt8])
  /// timestamptz in microseconds since 2000-01-01 00:00 UTC.
  case timestamp(Int64)
  /// pg_lsn
  case lsn(PostgresLSN)
  /// A one-dimensional array.
  case array(PostgresArray)

  /// int8[] without NULLs.
  public static func array(_ values: [Int64]) -> PostgresParameter {
    var array = PostgresArray(of: .int64, capacity: values.count)
    for value in values { array.append(value) }
    return .array(array)
  }

  /// int4[] without NULLs.
  public static func array(_ values: [Int32]) -> PostgresParameter {
    var array = PostgresArray(of: .int32, capacity: values.count)
    for value in values { array.append(value) }
    return .array(array)
  }

  /// float8[] without NULLs.
  public static func array(_ values: [Double]) -> PostgresParameter {
    var array = PostgresArray(of: .double, capacity: values.count)
    for value in values { array.append(value) }
    return .array(array)
  }

  /// text[] without NULLs.
  public static func array(_ values: [String]) -> PostgresParameter {
    var array = PostgresArray(of: .text, capacity: values.count)
    for value in values { array.append(value) }
    return .array(array)
  }

  /// bytea[] without NULLs.
  public static func array(_ values: [[UInt8]]) -> PostgresParameter {
    var array = PostgresArray(of: .bytea, capacity: values.count)
    for value in values { array.append(value) }
    return .array(array)
  }
}

extension PostgresParameter {
  /// What the server is told the parameter is.
  var type: PostgresType {
    switch self {
    case .null, .untyped: .unspecified
    case .int32: .int32
    case .int64: .int64
    case .double: .double
    case .bool: .bool
    case .text: .text
    case .jsonb: .jsonb
    case .bytea: .bytea
    case .uuid: .uuid
    case .timestamp: .timestamp
    case .lsn: .lsn
    case .array(let array): array.type
    }
  }
}

/// A one-dimensional array in PostgreSQL's binary form, built element by element.
///
/// Source: array_recv in the server; header of dimensions, NULL flag, element type, length and
/// lower bound, then each element as length and bytes.
public struct PostgresArray: Equatable, Sendable {
  /// What the elements are.
  public enum Element: Sendable {
    /// bool
    case bool
    /// int4
    case int32
    /// int8
    case int64
    /// float8
    case double
    /// text
    case text
    /// bytea
    case bytea
    /// uuid
    case uuid
    /// jsonb
    case jsonb
    /// timestamptz
    case timestamp
  }

  /// The element type.
  public let element: Element
  /// How many elements there are, NULLs included.
  public private(set) var count = 0
  private var hasNull = false
  /// Elements only; the header is written by `encode`.
  private var body: [UInt8] = []

  /// An empty array with room for `capacity` elements of eight bytes.
  public init(of element: Element, capacity: Int = 0) {
    self.element = element
    body.reserveCapacity(capacity * 12)
  }

  /// Adds NULL.
  public mutating func appendNull() {
    hasNull = true
    count += 1
    body.append(bigEndian: Int32(-1))
  }

  /// Adds to an array of bool.
  public mutating func append(_ value: Bool) {
    add(1, .bool)
    body.append(value ? 1 : 0)
  }

  /// Adds to an array of int4.
  public mutating func append(_ value: Int32) {
    add(4, .int32)
    body.append(bigEndian: value)
  }

  /// Adds to an array of int8, or microseconds since 2000-01-01 UTC to one of timestamptz.
  public mutating func append(_ value: Int64) {
    add(8, element == .timestamp ? .timestamp : .int64)
    body.append(bigEndian: value)
  }

  /// Adds to an array of float8.
  public mutating func append(_ value: Double) {
    add(8, .double)
    body.append(bigEndian: value.bitPattern)
  }

  /// Adds to an array of text, or JSON text to one of jsonb.
  public mutating func append(_ value: String) {
    if element == .jsonb {
      add(value.utf8.count + 1, .jsonb)
      body.append(PostgresType.jsonbVersion)
    } else {
      add(value.utf8.count, .text)
    }
    body.append(contentsOf: value.utf8)
  }

  /// Adds to an array of bytea, or 16 bytes to one of uuid.
  public mutating func append(_ value: [UInt8]) {
    precondition(element != .uuid || value.count == 16, "a uuid has 16 bytes")
    add(value.count, element == .uuid ? .uuid : .bytea)
    body.append(contentsOf: value)
  }

  var type: PostgresType {
    switch element {
    case .bool: .boolArray
    case .int32: .int32Array
    case .int64: .int64Array
    case .double: .doubleArray
    case .text: .textArray
    case .bytea: .byteaArray
    case .uuid: .uuidArray
    case .jsonb: .jsonbArray
    case .timestamp: .timestampArray
    }
  }

  private var elementType: PostgresType {
    switch element {
    case .bool: .bool
    case .int32: .int32
    case .int64: .int64
    case .double: .double
    case .text: .text
    case .bytea: .bytea
    case .uuid: .uuid
    case .jsonb: .jsonb
    case .timestamp: .timestamp
    }
  }

  func encode(into bytes: inout [UInt8]) {
    bytes.append(bigEndian: Int32(count == 0 ? 0 : 1))
    bytes.append(bigEndian: Int32(hasNull ? 1 : 0))
    bytes.append(bigEndian: elementType.rawValue)
    guard count > 0 else { return }
    bytes.append(bigEndian: Int32(count))
    bytes.append(bigEndian: Int32(1))
    bytes.append(contentsOf: body)
  }

  private mutating func add(_ length: Int, _ expected: Element) {
    precondition(element == expected, "an element of the array's type")
    count += 1
    body.append(bigEndian: Int32(length))
  }
}

/// Oids of the types we send (pg_type.dat; fixed for ever).
enum PostgresType: UInt32 {
  case unspecified = 0
  case bool = 16
  case bytea = 17
  case int64 = 20
  case int32 = 23
  case text = 25
  case double = 701
  case timestamp = 1184
  case uuid = 2950
  case lsn = 3220
  case jsonb = 3802
  case boolArray = 1000
  case byteaArray = 1001
  case int32Array = 1007
  case textArray = 1009
  case int64Array = 1016
  case doubleArray = 1022
  case timestampArray = 1185
  case uuidArray = 2951
  case jsonbArray = 3807

  /// The byte before jsonb's text in its binary form.
  static let jsonbVersion: UInt8 = 1
}

/// A statement's parameters as libpq wants them: one buffer of bytes and a description of each.
struct ParameterBuffer {
  /// Where one value lies.
  struct Value {
    var type: PostgresType
    var format: PostgresFormat
    /// nil is NULL.
    var range: Range<Int>?
  }

  private(set) var values: [Value] = []
  private(set) var bytes: [UInt8] = []

  /// Replaces what the buffer holds; keeps its memory.
  mutating func encode(_ parameters: [PostgresParameter]) {
    precondition(parameters.count <= 65_535, "the protocol counts parameters in 16 bits")
    values.removeAll(keepingCapacity: true)
    bytes.removeAll(keepingCapacity: true)
    // So that a value of no bytes has an address, too: to libpq a NULL pointer is NULL.
    bytes.append(0)
    values.reserveCapacity(parameters.count)
    for parameter in parameters { encode(parameter) }
  }

  private mutating func encode(_ parameter: PostgresParameter) {
    let start = bytes.count
    switch parameter {
    case .null:
      values.append(Value(type: .unspecified, format: .text, range: nil))
    case .int32(let value):
      bytes.append(bigEndian: value)
      finish(.int32, from: start)
    case .int64(let value):
      bytes.append(bigEndian: value)
      finish(.int64, from: start)
    case .double(let value):
      bytes.append(bigEndian: value.bitPattern)
      finish(.double, from: start)
    case .bool(let value):
      bytes.append(value ? 1 : 0)
      finish(.bool, from: start)
    case .text(let value):
      bytes.append(contentsOf: value.utf8)
      finish(.text, from: start)
    case .untyped(let value):
      // Text form is read up to its zero byte, so one inside would silently cut the value.
      precondition(!value.utf8.contains(0), "a value in text form has no zero byte")
      bytes.append(contentsOf: value.utf8)
      bytes.append(0)
      values.append(Value(type: .unspecified, format: .text, range: start..<bytes.count))
    case .jsonb(let value):
      bytes.append(PostgresType.jsonbVersion)
      bytes.append(contentsOf: value.utf8)
      finish(.jsonb, from: start)
    case .bytea(let value):
      bytes.append(contentsOf: value)
      finish(.bytea, from: start)
    case .uuid(let value):
      precondition(value.count == 16, "a uuid has 16 bytes")
      bytes.append(contentsOf: value)
      finish(.uuid, from: start)
    case .timestamp(let value):
      bytes.append(bigEndian: value)
      finish(.timestamp, from: start)
    case .lsn(let value):
      bytes.append(bigEndian: value.value)
      finish(.lsn, from: start)
    case .array(let array):
      array.encode(into: &bytes)
      finish(array.type, from: start)
    }
  }

  private mutating func finish(_ type: PostgresType, from start: Int) {
    values.append(Value(type: type, format: .binary, range: start..<bytes.count))
  }
}

extension [UInt8] {
  /// Adds an integer in network order.
  fileprivate mutating func append<T: FixedWidthInteger>(bigEndian value: T) {
    unsafe Swift.withUnsafeBytes(of: value.bigEndian) { bytes in
      unsafe append(contentsOf: bytes)
    }
  }
}
