internal import ArgumentParser
internal import EventLoop
internal import Formats
internal import Wire

// Which gateway a command talks to, and how patiently.

/// Options of every command that talks to a gateway.
struct GatewayOptions: ParsableArguments, Sendable {
  @Option(
    help: ArgumentHelp(
      "Gateways, tried in turn (default: $SLUICE_GATEWAY, else 127.0.0.1:7171).",
      valueName: "host:port,…"
    )
  )
  var gateway: String?

  @Option(
    help: ArgumentHelp("How long to wait for an answer (default: 30s).", valueName: "duration"),
    transform: OptionText.duration
  )
  var timeout: Duration?

  /// The gateways to try.
  ///
  /// - Throws: what is wrong with the option or the variable.
  func addresses() throws(CommandFailure) -> [SocketAddress] {
    let text = gateway ?? Environment.variables["SLUICE_GATEWAY"] ?? "127.0.0.1:7171"
    var addresses: [SocketAddress] = []
    for part in text.split(separator: ",") {
      guard let address = SocketAddress(String(part)), address.port > 0 else {
        throw CommandFailure(
          "'\(part)' is not a gateway's address; write it as host:port, such as 127.0.0.1:7171",
          .usage
        )
      }
      addresses.append(address)
    }
    guard !addresses.isEmpty else {
      throw CommandFailure("no gateway is named; write --gateway 127.0.0.1:7171", .usage)
    }
    return addresses
  }
}

/// Reads the texts of options, with errors that say how to write them.
enum OptionText {
  /// A duration such as 250ms, 10s or 1h30m, not negative.
  static let duration: @Sendable (String) throws -> Duration = { text in
    do throws(DurationTextError) {
      let duration = try DurationText.parse(text)
      guard duration >= .zero else { throw DurationTextError.empty }
      return duration
    } catch {
      throw ValidationError("'\(text)': \(error)")
    }
  }

  /// A number above zero.
  static let positive: @Sendable (String) throws -> Int = { text in
    guard let number = Int(text), number > 0 else {
      throw ValidationError("'\(text)' is not a whole number above zero")
    }
    return number
  }

  /// The id of a producer, as `sluice producers` prints it.
  static let producerID: @Sendable (String) throws -> [UInt8] = { text in
    guard let bytes = Hexadecimal.bytes(text), bytes.count == 16 else {
      throw ValidationError("'\(text)' is no producer: 32 hexadecimal digits were expected")
    }
    return bytes
  }
}
