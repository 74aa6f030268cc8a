/// How a method uses its stream.
public enum MethodKind: Sendable, Equatable {
  /// One request, one response.
  case unary
  /// One request, many data frames back.
  case serverStreaming
  /// Data frames both ways.
  case bidirectional
}

/// What a server knows about a service and method name.
public enum MethodLookup<Method> {
  /// A method it serves.
  case found(Method, MethodKind)
  /// No such service.
  case unknownService
  /// The service has no such method.
  case unknownMethod
}

extension MethodLookup: Sendable where Method: Sendable {}

/// The methods of a server by name.
///
/// Compares lengths first: about twenty methods need no hash.
public struct MethodTable<Method: Sendable>: Sendable {
  private var entries: [Entry] = []

  private struct Entry: Sendable {
    var service: StaticString
    var name: StaticString
    var method: Method
    var kind: MethodKind
  }

  /// A table without methods.
  public init() {}

  /// Adds a method, as `sluice.v1.IngestService` and `Write`.
  public mutating func add(
    _ service: StaticString,
    _ name: StaticString,
    _ kind: MethodKind,
    _ method: Method
  ) {
    entries.append(Entry(service: service, name: name, method: method, kind: kind))
  }

  /// Finds a method by the bytes of its two names.
  public func find(service: RawSpan, method name: RawSpan) -> MethodLookup<Method> {
    var serviceIsKnown = false
    for entry in entries where entry.service.utf8CodeUnitCount == service.byteCount {
      let namesHaveEqualLength = entry.name.utf8CodeUnitCount == name.byteCount
      guard namesHaveEqualLength || !serviceIsKnown, service.equals(entry.service) else { continue }
      serviceIsKnown = true
      if namesHaveEqualLength, name.equals(entry.name) { return .found(entry.method, entry.kind) }
    }
    return serviceIsKnown ? .unknownMethod : .unknownService
  }
}
