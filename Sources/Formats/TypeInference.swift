// Decides once per attribute what type its values have, and keeps to it.

/// The types of the attributes of one file.
///
/// An attribute's type is the declared one, else follows from the sample: number when every value
/// of the sample is a number, flag when every one is true or false, else label. An attribute that
/// the sample does not show is decided by its first value. Later values must fit; that way a file
/// never writes two types under one name. Integers and documents are only ever declared.
struct TypeInference {
  private var types: [PointType?]
  private var isDeclared: [Bool]
  private var sampled: [Set<PointType>]

  /// - Parameter declared: the declared type of each attribute, or nil to infer it.
  init(declared: [PointType?]) {
    types = declared
    isDeclared = declared.map { $0 != nil }
    sampled = Array(repeating: [], count: declared.count)
  }

  /// Adds an attribute that the header did not name, and returns its index.
  mutating func add(declared: PointType?) -> Int {
    types.append(declared)
    isDeclared.append(declared != nil)
    sampled.append([])
    return types.count - 1
  }

  /// Lets a value of the sample have its say.
  mutating func sample(_ bytes: ArraySlice<UInt8>, at index: Int) {
    sampled[index].insert(Self.guess(bytes))
  }

  /// Ends the sample.
  mutating func decide() {
    for index in types.indices where types[index] == nil {
      switch sampled[index] {
      case []: continue
      case [.number]: types[index] = .number
      case [.flag]: types[index] = .flag
      default: types[index] = .label
      }
    }
    sampled = Array(repeating: [], count: types.count)
  }

  /// Whether the type of an attribute is the file's guess, which others may know better.
  func isGuess(at index: Int) -> Bool { !isDeclared[index] }

  /// The type of an attribute; its first value decides when the sample did not.
  mutating func type(at index: Int, firstValue bytes: ArraySlice<UInt8>) -> PointType {
    if let type = types[index] { return type }
    let type = Self.guess(bytes)
    types[index] = type
    return type
  }

  /// Number, flag or label, whichever a single value looks like.
  static func guess(_ bytes: ArraySlice<UInt8>) -> PointType {
    let trimmed = Ascii.trimmed(bytes)
    if NumberText.double(trimmed) != nil { return .number }
    let isFlag =
      Ascii.equals(trimmed, ignoringCase: "true") || Ascii.equals(trimmed, ignoringCase: "false")
    return isFlag ? .flag : .label
  }
}

extension PointType {
  /// Number, flag or label, whichever a text looks like.
  public init(looksOf text: String) {
    self = TypeInference.guess(Array(text.utf8)[...])
  }
}
