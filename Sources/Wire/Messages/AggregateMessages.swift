internal import CProto

// Stored values in time buckets. Proto/sluice/v1/history.proto

/// Buckets of the calendar.
public enum CalendarUnit: Int32, Sendable, CaseIterable {
  /// None: buckets have a fixed width.
  case unspecified = 0
  /// From midnight to midnight, 23 or 25 hours when clocks are changed.
  case day = 1
  /// From Monday on.
  case week = 2
  /// From the first of a month on.
  case month = 3
  /// Three months.
  case quarter = 4
  /// From the first of January on.
  case year = 5
}

/// What becomes of buckets without values.
public enum HistoryFill: Int32, Sendable, CaseIterable {
  /// They are left out.
  case unspecified = 0
  /// They are left out.
  case none = 1
  /// They have count and sum 0 and no other figures.
  case empty = 2
  /// They repeat the last value before them.
  case previous = 3
}

/// Asks for figures by time bucket.
public struct AggregateHistoryRequest: WireMessage, Equatable {
  /// 1 to 1,000.
  public var entityIDs: [Int64]

  /// 1 to 1,000, of type number or integer.
  public var attributeIDs: [UInt32]

  /// Inclusive, in microseconds since 1970.
  public var startMicroseconds: Int64

  /// Exclusive, in microseconds since 1970.
  public var endMicroseconds: Int64

  /// At least 1 ms; 0 with `bucketUnit`.
  public var bucketWidthMicroseconds: Int64

  /// How fresh the answer must be.
  public var read: ReadOptions

  /// Buckets of the calendar instead of a width.
  public var bucketUnit: CalendarUnit

  /// Name of the IANA database; empty is UTC.
  public var timeZone: String

  /// At most 16 fractions from 0 to 1.
  public var percentiles: [Double]

  /// Also standard deviations.
  public var stddev: Bool

  /// What becomes of buckets without values.
  public var fill: HistoryFill

  /// Also when more has to be scanned than the gateway allows.
  public var allowExpensive: Bool

  /// Makes a message; what is left out has its default.
  public init(
    entityIDs: [Int64] = [],
    attributeIDs: [UInt32] = [],
    startMicroseconds: Int64 = 0,
    endMicroseconds: Int64 = 0,
    bucketWidthMicroseconds: Int64 = 0,
    read: ReadOptions = ReadOptions(),
    bucketUnit: CalendarUnit = .unspecified,
    timeZone: String = "",
    percentiles: [Double] = [],
    stddev: Bool = false,
    fill: HistoryFill = .unspecified,
    allowExpensive: Bool = false
  ) {
    self.entityIDs = entityIDs
    self.attributeIDs = attributeIDs
    self.startMicroseconds = startMicroseconds
    self.endMicroseconds = endMicroseconds
    self.bucketWidthMicroseconds = bucketWidthMicroseconds
    self.read = read
    self.bucketUnit = bucketUnit
    self.timeZone = timeZone
    self.percentiles = percentiles
    self.stddev = stddev
    self.fill = fill
    self.allowExpensive = allowExpensive
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__aggregate_history_request__unpack) {
      (c) throws(MessageError) in
      try unsafe Self(c)
    }
  }

  /// Builds the message for packing, in the arena.
  @_lifetime(borrow arena)
  public func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage {
    let message = try unsafe build(in: arena)
    return unsafe PreparedMessage(message, in: arena)
  }

  init(_ c: UnsafeMutablePointer<Sluice__V1__AggregateHistoryRequest>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    entityIDs = unsafe Field.array(c.pointee.entity_id, c.pointee.n_entity_id)
    attributeIDs = unsafe Field.array(c.pointee.attribute_id, c.pointee.n_attribute_id)
    startMicroseconds = unsafe c.pointee.start_unix_us
    endMicroseconds = unsafe c.pointee.end_unix_us
    bucketWidthMicroseconds = unsafe c.pointee.bucket_width_us
    read =
      try unsafe Field.message(c.pointee.read, "read") { (c) throws(MessageError) in
        try unsafe ReadOptions(c)
      } ?? ReadOptions()
    bucketUnit = try unsafe Field.chosen(c.pointee.bucket_unit.rawValue, "bucket_unit")
    timeZone = try unsafe Field.text(c.pointee.time_zone, "time_zone")
    percentiles = unsafe Field.array(c.pointee.percentile, c.pointee.n_percentile)
    stddev = unsafe c.pointee.stddev != 0
    fill = try unsafe Field.chosen(c.pointee.fill.rawValue, "fill")
    allowExpensive = unsafe c.pointee.allow_expensive != 0
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__AggregateHistoryRequest> {
    let c = try unsafe arena.make(sluice__v1__aggregate_history_request__init)
    unsafe c.pointee.n_entity_id = entityIDs.count
    unsafe c.pointee.entity_id = try arena.array(entityIDs)
    unsafe c.pointee.n_attribute_id = attributeIDs.count
    unsafe c.pointee.attribute_id = try arena.array(attributeIDs)
    unsafe c.pointee.start_unix_us = startMicroseconds
    unsafe c.pointee.end_unix_us = endMicroseconds
    unsafe c.pointee.bucket_width_us = bucketWidthMicroseconds
    unsafe c.pointee.read = try read.build(in: arena)
    unsafe c.pointee.bucket_unit = Sluice__V1__CalendarUnit(rawValue: UInt32(bucketUnit.rawValue))
    unsafe c.pointee.time_zone = try arena.binary(timeZone)
    unsafe c.pointee.n_percentile = percentiles.count
    unsafe c.pointee.percentile = try arena.array(percentiles)
    unsafe c.pointee.stddev = stddev ? 1 : 0
    unsafe c.pointee.fill = Sluice__V1__Fill(rawValue: UInt32(fill.rawValue))
    unsafe c.pointee.allow_expensive = allowExpensive ? 1 : 0
    return unsafe c
  }
}

/// Parallel columns, one entry per entity, attribute and bucket, in that order.
public struct AggregateHistoryResponse: WireMessage, Equatable {
  /// Entity of each entry.
  public var entityIDs: [Int64]

  /// Attribute of each entry.
  public var attributeIDs: [UInt32]

  /// Start of the bucket of each entry, in microseconds since 1970.
  public var bucketStartsMicroseconds: [Int64]

  /// Values in the bucket.
  public var counts: [UInt64]

  /// Smallest value.
  public var minima: [Double]

  /// Largest value.
  public var maxima: [Double]

  /// Sum by count.
  public var averages: [Double]

  /// Sum of the values.
  public var sums: [Double]

  /// Value observed first.
  public var firsts: [Double]

  /// Value observed last.
  public var lasts: [Double]

  /// Standard deviation of the sample; empty unless asked for.
  public var stddevs: [Double]

  /// For each entry as many as were asked for, in their order.
  public var percentiles: [Double]

  /// Smallest value of entries of integers; empty when no attribute is of that type.
  public var integerMinima: [Int64]

  /// Largest value of entries of integers.
  public var integerMaxima: [Int64]

  /// Value observed first, of entries of integers.
  public var integerFirsts: [Int64]

  /// Value observed last, of entries of integers.
  public var integerLasts: [Int64]

  /// Proof of the age of the answer.
  public var freshness: Freshness?

  /// Makes a message; what is left out has its default.
  public init(
    entityIDs: [Int64] = [],
    attributeIDs: [UInt32] = [],
    bucketStartsMicroseconds: [Int64] = [],
    counts: [UInt64] = [],
    minima: [Double] = [],
    maxima: [Double] = [],
    averages: [Double] = [],
    sums: [Double] = [],
    firsts: [Double] = [],
    lasts: [Double] = [],
    stddevs: [Double] = [],
    percentiles: [Double] = [],
    integerMinima: [Int64] = [],
    integerMaxima: [Int64] = [],
    integerFirsts: [Int64] = [],
    integerLasts: [Int64] = [],
    freshness: Freshness? = nil
  ) {
    self.entityIDs = entityIDs
    self.attributeIDs = attributeIDs
    self.bucketStartsMicroseconds = bucketStartsMicroseconds
    self.counts = counts
    self.minima = minima
    self.maxima = maxima
    self.averages = averages
    self.sums = sums
    self.firsts = firsts
    self.lasts = lasts
    self.stddevs = stddevs
    self.percentiles = percentiles
    self.integerMinima = integerMinima
    self.integerMaxima = integerMaxima
    self.integerFirsts = integerFirsts
    self.integerLasts = integerLasts
    self.freshness = freshness
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__aggregate_history_response__unpack) {
      (c) throws(MessageError) in
      try unsafe Self(c)
    }
  }

  /// Builds the message for packing, in the arena.
  @_lifetime(borrow arena)
  public func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage {
    let message = try unsafe build(in: arena)
    return unsafe PreparedMessage(message, in: arena)
  }

  init(_ c: UnsafeMutablePointer<Sluice__V1__AggregateHistoryResponse>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    entityIDs = unsafe Field.array(c.pointee.entity_id, c.pointee.n_entity_id)
    attributeIDs = unsafe Field.array(c.pointee.attribute_id, c.pointee.n_attribute_id)
    bucketStartsMicroseconds = unsafe Field.array(
      c.pointee.bucket_start_unix_us,
      c.pointee.n_bucket_start_unix_us
    )
    counts = unsafe Field.array(c.pointee.count, c.pointee.n_count)
    minima = unsafe Field.array(c.pointee.min, c.pointee.n_min)
    maxima = unsafe Field.array(c.pointee.max, c.pointee.n_max)
    averages = unsafe Field.array(c.pointee.average, c.pointee.n_average)
    sums = unsafe Field.array(c.pointee.sum, c.pointee.n_sum)
    firsts = unsafe Field.array(c.pointee.first, c.pointee.n_first)
    lasts = unsafe Field.array(c.pointee.last, c.pointee.n_last)
    stddevs = unsafe Field.array(c.pointee.stddev, c.pointee.n_stddev)
    percentiles = unsafe Field.array(c.pointee.percentile, c.pointee.n_percentile)
    integerMinima = unsafe Field.array(c.pointee.integer_min, c.pointee.n_integer_min)
    integerMaxima = unsafe Field.array(c.pointee.integer_max, c.pointee.n_integer_max)
    integerFirsts = unsafe Field.array(c.pointee.integer_first, c.pointee.n_integer_first)
    integerLasts = unsafe Field.array(c.pointee.integer_last, c.pointee.n_integer_last)
    freshness = try unsafe Field.message(c.pointee.freshness, "freshness") {
      (c) throws(MessageError) in
      try unsafe Freshness(c)
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__AggregateHistoryResponse> {
    let c = try unsafe arena.make(sluice__v1__aggregate_history_response__init)
    unsafe c.pointee.n_entity_id = entityIDs.count
    unsafe c.pointee.entity_id = try arena.array(entityIDs)
    unsafe c.pointee.n_attribute_id = attributeIDs.count
    unsafe c.pointee.attribute_id = try arena.array(attributeIDs)
    unsafe c.pointee.n_bucket_start_unix_us = bucketStartsMicroseconds.count
    unsafe c.pointee.bucket_start_unix_us = try arena.array(bucketStartsMicroseconds)
    unsafe c.pointee.n_count = counts.count
    unsafe c.pointee.count = try arena.array(counts)
    unsafe c.pointee.n_min = minima.count
    unsafe c.pointee.min = try arena.array(minima)
    unsafe c.pointee.n_max = maxima.count
    unsafe c.pointee.max = try arena.array(maxima)
    unsafe c.pointee.n_average = averages.count
    unsafe c.pointee.average = try arena.array(averages)
    unsafe c.pointee.n_sum = sums.count
    unsafe c.pointee.sum = try arena.array(sums)
    unsafe c.pointee.n_first = firsts.count
    unsafe c.pointee.first = try arena.array(firsts)
    unsafe c.pointee.n_last = lasts.count
    unsafe c.pointee.last = try arena.array(lasts)
    unsafe c.pointee.n_stddev = stddevs.count
    unsafe c.pointee.stddev = try arena.array(stddevs)
    unsafe c.pointee.n_percentile = percentiles.count
    unsafe c.pointee.percentile = try arena.array(percentiles)
    unsafe c.pointee.n_integer_min = integerMinima.count
    unsafe c.pointee.integer_min = try arena.array(integerMinima)
    unsafe c.pointee.n_integer_max = integerMaxima.count
    unsafe c.pointee.integer_max = try arena.array(integerMaxima)
    unsafe c.pointee.n_integer_first = integerFirsts.count
    unsafe c.pointee.integer_first = try arena.array(integerFirsts)
    unsafe c.pointee.n_integer_last = integerLasts.count
    unsafe c.pointee.integer_last = try arena.array(integerLasts)
    if let freshness { unsafe c.pointee.freshness = try freshness.build(in: arena) }
    return unsafe c
  }
}
