import Glibc

// Feeds arbitrary bytes to the CSV reader and importer: no crash, and chunks make no difference.

private enum Outcome: Equatable {
  case record(CSVRecord)
  case error(CSVError)
}

private func drain(_ reader: inout CSVReader, into outcomes: inout [Outcome]) {
  while true {
    do throws(CSVError) {
      guard let record = try reader.next() else { return }
      outcomes.append(.record(record))
    } catch {
      outcomes.append(.error(error))
    }
  }
}

private func read(_ chunks: [ArraySlice<UInt8>], _ options: CSVReader.Options) -> [Outcome] {
  var reader = CSVReader(options: options)
  var outcomes: [Outcome] = []
  for chunk in chunks {
    reader.feed(chunk)
    drain(&reader, into: &outcomes)
  }
  reader.finish()
  drain(&reader, into: &outcomes)
  return outcomes
}

/// What is read can be written and read again.
private func checkWriter(_ outcomes: [Outcome], _ options: CSVReader.Options) {
  var writer = CSVWriter(delimiter: options.delimiter)
  var expected: [[String]] = []
  for case .record(let record) in outcomes {
    writer.write(record.fields)
    expected.append(record.fields)
  }
  // Quotes make a record longer than it was.
  var roomy = options
  roomy.recordBytesMax = CSVReader.recordBytesLimit
  let again = read([Array(writer.take().utf8)[...]], roomy).map { outcome in
    if case .record(let record) = outcome { return record.fields }
    preconditionFailure("what was written cannot be read")
  }
  precondition(
    again.map { $0.map { Array($0.utf8) } } == expected.map { $0.map { Array($0.utf8) } },
    "what was written reads back differently"
  )
}

private func checkImport(_ bytes: ArraySlice<UInt8>) {
  var options = CSVImportOptions()
  options.sampleRecordsMax = 3
  options.timeUnit = .seconds
  options.entity = "e"
  var importer = CSVImport(options: options)
  importer.feed(bytes)
  importer.finish()
  do throws(ImportError) {
    while let record = try importer.next() {
      for point in record.points { precondition(!point.attribute.isEmpty, "a point has a name") }
    }
  } catch {
    precondition(!error.description.isEmpty, "an error says something")
  }
}

/// The first byte chooses where the rest is split, the second one the limits.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  guard let data, size >= 2 else { return 0 }
  let input = unsafe Array(UnsafeBufferPointer(start: data, count: size))
  let bytes = input[2...]
  var options = CSVReader.Options()
  options.recordBytesMax = input[1] < 128 ? Int(input[1]) + 1 : 4_096
  options.fieldCountMax = Int(input[1] % 16) + 1
  options.requiresEqualFieldCounts = input[1].isMultiple(of: 2)
  let split = 2 + Int(input[0]) % (bytes.count + 1)
  let whole = read([bytes], options)
  precondition(whole == read([bytes[..<split], bytes[split...]], options), "the split shows")
  checkWriter(whole, options)
  checkImport(bytes)
  return 0
}
