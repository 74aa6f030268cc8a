/// A small map from stream id to a value: open addressing, no allocation until the first entry.
///
/// Ids of a client rise by two, so multiplying spreads them well. Hostile ids can at worst make
/// probes as long as the table, which the limits on open streams keep at 2,048 entries.
public struct StreamTable<Value> {
  private var slots: [Slot] = []
  private var mask = 0

  /// Entries in the table.
  public private(set) var count = 0

  fileprivate struct Slot {
    /// 0: free.
    ///
    /// No stream has id 0.
    var id: UInt32 = 0
    var value: Value?
  }

  /// An empty table.
  public init() {}

  /// The value of `id`; assigning `nil` removes it.
  public subscript(id: UInt32) -> Value? {
    get {
      guard count > 0, id != 0 else { return nil }
      let index = place(of: id)
      return slots[index].id == id ? slots[index].value : nil
    }
    set {
      guard let newValue else {
        remove(id)
        return
      }
      precondition(id != 0, "no stream has id 0")
      if (count + 1) * 2 > slots.count { grow() }
      let index = place(of: id)
      if slots[index].id == 0 { count += 1 }
      slots[index] = Slot(id: id, value: newValue)
    }
  }

  /// Removes `id` and returns what it had.
  @discardableResult
  public mutating func remove(_ id: UInt32) -> Value? {
    guard count > 0, id != 0 else { return nil }
    var hole = place(of: id)
    guard slots[hole].id == id else { return nil }
    let value = slots[hole].value
    count -= 1
    // What a burst has needed is not kept by a connection that is idle.
    if count == 0, slots.count > 64 {
      removeAll()
      return value
    }
    // Entries behind the hole move up, as long as that brings them no nearer than their home.
    var index = (hole + 1) & mask
    while slots[index].id != 0 {
      let distance = (index &- home(of: slots[index].id)) & mask
      if distance >= (index &- hole) & mask {
        slots.swapAt(hole, index)
        hole = index
      }
      index = (index + 1) & mask
    }
    slots[hole] = Slot()
    return value
  }

  /// Removes everything and gives the memory back.
  public mutating func removeAll() {
    slots = []
    mask = 0
    count = 0
  }

  /// Calls `visit` for every entry, in no order.
  public func forEach(_ visit: (UInt32, Value) -> Void) {
    for slot in slots {
      if slot.id != 0, let value = slot.value { visit(slot.id, value) }
    }
  }

  private func home(of id: UInt32) -> Int {
    Int(truncatingIfNeeded: (id &* 0x9E37_79B1) >> 12) & mask
  }

  /// Where `id` is, or the free slot where it would be.
  private func place(of id: UInt32) -> Int {
    var index = home(of: id)
    while slots[index].id != 0, slots[index].id != id { index = (index + 1) & mask }
    return index
  }

  private mutating func grow() {
    let old = slots
    slots = Array(repeating: Slot(), count: max(8, old.count * 2))
    mask = slots.count - 1
    for slot in old where slot.id != 0 { slots[place(of: slot.id)] = slot }
  }
}

extension StreamTable: Sendable where Value: Sendable {}
extension StreamTable.Slot: Sendable where Value: Sendable {}
