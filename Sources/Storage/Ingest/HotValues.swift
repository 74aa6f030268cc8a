// The newest value of each hot attribute within one transaction, ready to be written into SQL.

/// Collects hot values and keeps of each (tenant, entity, attribute) only what will win.
///
/// The newest observed time wins and equal times go to what came later, as `upsert_hot_attrs`
/// decides.
public struct HotValues: Sendable {
  struct Key: Hashable {
    var tenant: Int32
    var entity: Int64
    var attribute: UInt32
  }

  enum Content {
    case number(Double)
    case integer(Int64)
    case flag(Bool)
    /// Bytes of `texts`, to be written as a JSON string.
    case label(Range<Int>)
    /// Bytes of `texts`, JSON already.
    case document(Range<Int>)
  }

  struct Entry {
    var key: Key
    var observed: Int64
    var content: Content
  }

  private(set) var entries: [Entry] = []
  private(set) var texts: [UInt8] = []
  private var places: [Key: Int] = [:]

  /// Holds nothing.
  public init() {}

  /// How many values will be folded.
  public var count: Int { entries.count }

  /// Forgets all; keeps the memory.
  public mutating func removeAll() {
    entries.removeAll(keepingCapacity: true)
    texts.removeAll(keepingCapacity: true)
    places.removeAll(keepingCapacity: true)
  }

  /// Adds the values of a batch that `BatchCheck` found hot.
  ///
  /// - Parameters:
  ///   - columns: the checked batch.
  ///   - tenant: whose it is.
  ///   - indexes: `BatchCheck.hot`.
  public mutating func add(_ columns: borrowing BatchColumns, tenant: Int32, indexes: [UInt32]) {
    for batchIndex in indexes {
      var index = Int(batchIndex)
      if index < columns.numbers.count {
        let value = columns.numbers.values[index]
        add(columns.numbers, tenant, index) { _ in .number(value) }
        continue
      }
      index -= columns.numbers.count
      if index < columns.integers.count {
        let value = columns.integers.values[index]
        add(columns.integers, tenant, index) { _ in .integer(value) }
        continue
      }
      index -= columns.integers.count
      if index < columns.flags.count {
        let value = columns.flags.values[index]
        add(columns.flags, tenant, index) { _ in .flag(value != 0) }
        continue
      }
      index -= columns.flags.count
      if index < columns.labels.count {
        let text = columns.labels.text.extracting(columns.labels.bytes(index))
        add(columns.labels.ends, tenant, index) { .label(HotValues.keep(text, in: &$0)) }
        continue
      }
      index -= columns.labels.count
      let text = columns.documents.text.extracting(columns.documents.bytes(index))
      add(columns.documents.ends, tenant, index) { .document(HotValues.keep(text, in: &$0)) }
    }
  }

  /// Adds what another collection holds, as if its values came later.
  public mutating func merge(_ other: HotValues) {
    let shift = texts.count
    texts += other.texts
    for entry in other.entries {
      var entry = entry
      switch entry.content {
      case .label(let range):
        entry.content = .label(range.lowerBound + shift..<range.upperBound + shift)
      case .document(let range):
        entry.content = .document(range.lowerBound + shift..<range.upperBound + shift)
      case .number, .integer, .flag: break
      }
      if let place = places[entry.key] {
        if entry.observed >= entries[place].observed { entries[place] = entry }
      } else {
        places[entry.key] = entries.count
        entries.append(entry)
      }
    }
  }

  private mutating func add<Value>(
    _ section: borrowing ValueSection<Value>,
    _ tenant: Int32,
    _ index: Int,
    content: (inout [UInt8]) -> Content
  ) {
    let key = Key(
      tenant: tenant,
      entity: section.entities[index],
      attribute: section.attributes[index]
    )
    let observed = section.observedAtUnixMicroseconds[index]
    if let place = places[key] {
      guard observed >= entries[place].observed else { return }
      entries[place].observed = observed
      entries[place].content = content(&texts)
    } else {
      places[key] = entries.count
      entries.append(Entry(key: key, observed: observed, content: content(&texts)))
    }
  }

  private static func keep(_ text: Span<UInt8>, in texts: inout [UInt8]) -> Range<Int> {
    let start = texts.count
    for index in 0..<text.count { texts.append(text[index]) }
    return start..<texts.count
  }
}
