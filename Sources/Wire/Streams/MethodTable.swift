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
/// Compares lengths first: about twenty methods need no hash. The names are kept apart from the
/// generic part, which the server's module specialises.
public struct MethodTable<Method: Sendable>: Sendable {
  @usableFromInline var names = MethodNames()
  @usableFromInline var methods: [Method] = []

  /// A table without methods.
  public init() {}

  /// Adds a method, as `sluice.v1.IngestService` and `Write`.
  public mutating func add(
    _ service: StaticString,
    _ name: StaticString,
    _ kind: MethodKind,
    _ method: Method
  ) {
    names.entries.append(MethodNames.Entry(service: service, name: name, kind: kind))
    methods.append(method)
  }

  /// Finds a method by the bytes of its two names.
  @inlinable
  public func find(service: RawSpan, method name: RawSpan) -> MethodLookup<Method> {
    switch names.find(service: service, method: name) {
    case .found(let index, let kind): .found(methods[index], kind)
    case .unknownService: .unknownService
    case .unknownMethod: .unknownMethod
    }
  }
}

/// The names of a `MethodTable`, each with its place.
@usableFromInline
struct MethodNames: Sendable {
  var entries: [Entry] = []

  struct Entry: Sendable {
    var service: StaticString
    var name: StaticString
    var kind: MethodKind
  }

  @usableFromInline
  func find(service: RawSpan, method name: RawSpan) -> MethodLookup<Int> {
    // The method first: it tells more apart in fewer bytes.
    for (index, entry) in entries.enumerated()
    where entry.name.utf8CodeUnitCount == name.byteCount
      && entry.service.utf8CodeUnitCount == service.byteCount
      && name.equals(entry.name) && service.equals(entry.service)
    {
      return .found(index, entry.kind)
    }
    for entry in entries where service.equals(entry.service) { return .unknownMethod }
    return .unknownService
  }
}
