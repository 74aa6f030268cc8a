import Glibc

// Feeds arbitrary bytes to the line protocol importer: no crash, and chunks make no difference.

private func read(
  _ chunks: [ArraySlice<UInt8>],
  _ options: LineProtocolImport.Options
) -> [ImportedRecord] {
  var importer = LineProtocolImport(options: options)
  var records: [ImportedRecord] = []
  for chunk in chunks {
    importer.feed(chunk)
    while let record = importer.next() { records.append(record) }
  }
  importer.finish()
  while let record = importer.next() { records.append(record) }
  return records
}

/// Every line gives points or a problem, and its entity is a series that can be read again.
private func check(_ record: ImportedRecord, isSeries: Bool, now: Timestamp) {
  precondition(record.points.isEmpty != record.problems.isEmpty, "points or a problem")
  guard isSeries, let point = record.points.first else { return }
  // A measurement that looks like a comment or a blank at the start cannot be told from one.
  guard let first = point.entity.utf8.first, first != UInt8(ascii: "#"), first > 0x20 else {
    return
  }
  let again = read([Array("\(point.entity) f=1".utf8)[...]], LineProtocolImport.Options(now: now))
  precondition(again.count == 1 && again[0].problems.isEmpty, "the series cannot be read")
  precondition(
    again[0].points[0].entity.utf8.elementsEqual(point.entity.utf8),
    "the series reads differently"
  )
}

/// The first byte chooses where the rest is split, the second one the limits.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  guard let data, size >= 2 else { return 0 }
  let input = unsafe Array(UnsafeBufferPointer(start: data, count: size))
  let bytes = input[2...]
  let now = Timestamp(microseconds: 42)
  var options = LineProtocolImport.Options(now: now)
  options.reader.lineBytesMax = input[1] < 128 ? Int(input[1]) + 1 : 4_096
  options.entityTag = input[1].isMultiple(of: 3) ? "host" : nil
  let split = 2 + Int(input[0]) % (bytes.count + 1)
  let whole = read([bytes], options)
  precondition(whole == read([bytes[..<split], bytes[split...]], options), "the split shows")
  for record in whole { check(record, isSeries: options.entityTag == nil, now: now) }
  return 0
}
