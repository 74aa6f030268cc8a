// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("InferIsolatedConformances"),
  .enableExperimentalFeature("Lifetimes"),
]

let package = Package(
  name: "sluice",
  products: [
    .executable(name: "sluice", targets: ["sluice"]),
    .library(name: "SluiceClient", targets: ["Client"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
  ],
  targets: [
    // C libraries, one module map each.
    .systemLibrary(name: "CLinux"),
    .systemLibrary(name: "CLibpq", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
    .systemLibrary(name: "CProtobufC", providers: [.apt(["libprotobuf-c-dev"])]),
    // Generated C messages, committed, checked for drift by Tests/TidyTests.
    .target(name: "CProto", dependencies: ["CProtobufC"]),
    // CRC-32C with the processor's own instruction.
    .target(name: "CChecksum"),

    .target(
      name: "Wire",
      dependencies: ["CProto", "CProtobufC", "CChecksum"],
      swiftSettings: settings
    ),
    .target(name: "EventLoop", dependencies: ["CLinux"], swiftSettings: settings),
    .target(name: "Formats", swiftSettings: settings),
    .target(
      name: "Storage",
      dependencies: [
        "EventLoop", "CLibpq", "CHiredis",
        .product(name: "DequeModule", package: "swift-collections"),
      ],
      swiftSettings: settings
    ),
    .target(
      name: "Server",
      dependencies: [
        "Wire", "EventLoop", "Storage",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "DequeModule", package: "swift-collections"),
      ],
      swiftSettings: settings
    ),
    .target(
      name: "Client",
      dependencies: [
        "Wire", "EventLoop", .product(name: "DequeModule", package: "swift-collections"),
      ],
      swiftSettings: settings
    ),
    .executableTarget(
      name: "sluice",
      dependencies: [
        "Client", "Formats", "Server",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: settings
    ),

    // The load generator of scripts/bench.
    .executableTarget(
      name: "bench",
      dependencies: [
        "Client", "EventLoop", "Wire",
        .product(name: "Histogram", package: "hdrhistogram-swift"),
      ],
      path: "bench/Sources",
      swiftSettings: settings
    ),
    // A producer whose values can be computed, for Tests/Faults.
    .executableTarget(
      name: "faultproducer",
      dependencies: ["Client", "EventLoop", "Wire"],
      path: "Tests/Faults/Producer",
      swiftSettings: settings
    ),
    .testTarget(
      name: "CommandLineTests",
      dependencies: [
        "sluice", "Client", "EventLoop", "Formats", "Server", "Wire",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings
    ),
    .testTarget(name: "WireTests", dependencies: ["Wire"], swiftSettings: settings),
    .testTarget(name: "EventLoopTests", dependencies: ["EventLoop"], swiftSettings: settings),
    .testTarget(name: "TidyTests", swiftSettings: settings),
    .testTarget(name: "FormatsTests", dependencies: ["Formats"], swiftSettings: settings),
    .testTarget(
      name: "ClientTests",
      dependencies: ["Client", "EventLoop", "Wire"],
      swiftSettings: settings
    ),
    .testTarget(
      name: "ServerTests",
      dependencies: ["EventLoop", "Server", "Storage"],
      swiftSettings: settings
    ),
    .testTarget(
      name: "IntegrationTests",
      dependencies: ["Client", "EventLoop", "Wire", "sluice"],
      swiftSettings: settings
    ),
    .testTarget(
      name: "StorageTests",
      dependencies: ["Storage", "EventLoop"],
      swiftSettings: settings
    ),
  ]
)

// A build that leaves out tests it will not run, and the benchmark where that is not named, either.
if let names = Context.environment["BUILT_TESTS"]?.split(separator: ",").map(String.init) {
  package.targets.removeAll {
    ($0.name == "bench" || $0.type == .test) && !names.contains($0.name)
  }
}
