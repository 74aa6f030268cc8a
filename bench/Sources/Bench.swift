// The load generator: one measurement a run, told by words like `sessions=8`.

/// Drives a gateway and prints what happened, as lines of JSON.
///
///     bench MODE gateway=HOST:PORT [NAME=VALUE…]
///
/// `bench/harness` starts it, reads "begin" and "end" to take the processor's time of everybody in
/// between, and answers "end" with a line before the result is printed.
@main
struct Bench {
  static func main() async {
    do {
      let arguments = try Arguments(Array(CommandLine.arguments.dropFirst()))
      switch arguments.mode {
      case "rows": try await CopyFile.run(arguments)
      case "flatout": try await FlatOut.run(arguments)
      case "lockstep": try await Lockstep.run(arguments)
      case "offered": try await Offered.run(arguments)
      case "pieces": try await Pieces.run(arguments)
      case "calls": try await Calls.run(arguments)
      case "reads": try await Reads.run(arguments)
      default: throw ArgumentError(text: "unknown mode '\(arguments.mode)'")
      }
    } catch {
      Output.fail("\(error)")
    }
  }
}
