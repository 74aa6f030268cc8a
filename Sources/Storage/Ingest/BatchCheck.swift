// Checks every value of a batch before the COPY, so that a COPY cannot fail on data.

/// What a value may be at most.
public struct ValueLimits: Sendable {
  /// The earliest time taken: 0001-01-01T00:00:00Z.
  public static let earliestUnixMicroseconds: Int64 = -62_135_596_800_000_000
  /// No document may be longer: jsonb takes up to 7 times the space of its text and holds 2^28
  /// bytes.
  public static let documentBytesMax = 32 << 20

  /// How far ahead of the gateway's clock a value may be.
  public var futureMicroseconds: Int64
  /// Longest label in bytes.
  public var labelBytes: Int
  /// Longest document in bytes.
  public var documentBytes: Int
  /// Deepest nesting of a document.
  public var documentDepth: Int

  /// Limits of a gateway: an hour ahead, labels of 64 KiB, documents of 1 MiB, 128 levels.
  public init(
    futureMicroseconds: Int64 = 3_600_000_000,
    labelBytes: Int = 65_536,
    documentBytes: Int = 1 << 20,
    documentDepth: Int = 128
  ) {
    precondition(futureMicroseconds >= 0 && labelBytes > 0, "limits leave room")
    precondition((1...ValueLimits.documentBytesMax).contains(documentBytes), "jsonb has a limit")
    precondition((1...1024).contains(documentDepth), "PostgreSQL's stack has a limit")
    self.futureMicroseconds = futureMicroseconds
    self.labelBytes = labelBytes
    self.documentBytes = documentBytes
    self.documentDepth = documentDepth
  }
}

/// The check of one batch; keep one and run it again for the next, its memory is reused.
///
/// When `unknownEntities` or `unknownAttributes` is not empty, refresh the catalog and run once
/// more: what is unknown then is really rejected.
public struct BatchCheck: Sendable {
  /// What is not to be written, by rising index.
  public private(set) var rejects: [RejectedValue] = []
  /// Good values of hot attributes, by rising index in the batch.
  public private(set) var hot: [UInt32] = []
  /// Entities the catalog does not know.
  ///
  /// All of them: what nobody asks for is rejected in the end.
  public private(set) var unknownEntities: Set<Int64> = []
  /// Attributes the catalog does not know, all of them.
  public private(set) var unknownAttributes: Set<UInt32> = []

  /// A check that found nothing yet.
  public init() {}

  /// Checks a batch.
  ///
  /// - Parameters:
  ///   - columns: well formed; a precondition.
  ///   - catalog: the tenant's.
  ///   - limits: the gateway's.
  ///   - now: the gateway's clock, microseconds since 1970.
  ///   - skipping: values at the start that were written before and are not looked at.
  public mutating func run(
    _ columns: borrowing BatchColumns,
    _ catalog: CatalogIndex,
    _ limits: ValueLimits,
    nowUnixMicroseconds now: Int64,
    skipping: Int = 0
  ) {
    precondition(columns.isWellFormed, "only well-formed batches are checked")
    rejects.removeAll(keepingCapacity: true)
    hot.removeAll(keepingCapacity: true)
    unknownEntities.removeAll()
    unknownAttributes.removeAll()
    // No upper end: what PostgreSQL cannot hold (year 294277) is beyond an Int64 of microseconds,
    // too.
    let (sum, overflow) = now.addingReportingOverflow(limits.futureMicroseconds)
    let latest = overflow ? Int64.max : sum
    var first = 0
    check(columns.numbers, .number, catalog, latest, skipping, &first) { _ in nil }
    check(columns.integers, .integer, catalog, latest, skipping, &first) { _ in nil }
    check(columns.flags, .flag, catalog, latest, skipping, &first) { _ in nil }
    check(columns.labels.ends, .label, catalog, latest, skipping, &first) { index in
      let range = columns.labels.bytes(index)
      guard range.count <= limits.labelBytes else { return .tooLong }
      return TextCheck.reason(columns.labels.text.extracting(range))
    }
    check(columns.documents.ends, .document, catalog, latest, skipping, &first) { index in
      let range = columns.documents.bytes(index)
      guard range.count <= limits.documentBytes else { return .tooLong }
      return JSONText.reason(
        columns.documents.text.extracting(range),
        depthMax: limits.documentDepth
      )
    }
  }

  @inline(__always)
  private mutating func check<Value>(
    _ section: borrowing ValueSection<Value>,
    _ type: ValueType,
    _ catalog: CatalogIndex,
    _ latest: Int64,
    _ skipping: Int,
    _ first: inout Int,
    content: (Int) -> RejectReason?
  ) {
    let count = section.count
    defer { first += count }
    let start = min(max(skipping - first, 0), count)
    // Ids repeat in runs: the last one that was good is good again.
    var goodEntity: Int64 = 0
    for index in start..<count {
      let entity = unsafe section.entities[unchecked: index]
      let attribute = unsafe section.attributes[unchecked: index]
      let observed = unsafe section.observedAtUnixMicroseconds[unchecked: index]
      let mark = catalog.mark(of: attribute)
      if entity != goodEntity {
        if catalog.hasEntity(entity) { goodEntity = entity }
      }
      if mark & ~CatalogIndex.hotMark == type.rawValue, entity == goodEntity, entity != 0,
        observed >= ValueLimits.earliestUnixMicroseconds, observed <= latest
      {
        if let reason = content(index) {
          rejects.append(RejectedValue(index: UInt32(first + index), reason: reason))
        } else if mark & CatalogIndex.hotMark != 0 {
          hot.append(UInt32(first + index))
        }
      } else {
        let isKnown = entity == goodEntity && entity != 0
        reject(first + index, entity, attribute, observed, mark, type, isKnown)
      }
    }
  }

  @inline(never)
  private mutating func reject(
    _ index: Int,
    _ entity: Int64,
    _ attribute: UInt32,
    _ observed: Int64,
    _ mark: UInt8,
    _ type: ValueType,
    _ entityIsKnown: Bool
  ) {
    let reason: RejectReason
    if mark == 0 { unknownAttributes.insert(attribute) }
    if !entityIsKnown {
      reason = .unknownEntity
      unknownEntities.insert(entity)
    } else if mark == 0 {
      reason = .unknownAttribute
    } else if mark & ~CatalogIndex.hotMark != type.rawValue {
      reason = .wrongType
    } else if observed < ValueLimits.earliestUnixMicroseconds {
      reason = .timeOutOfRange
    } else {
      reason = .timeInFuture
    }
    rejects.append(RejectedValue(index: UInt32(index), reason: reason))
  }
}
