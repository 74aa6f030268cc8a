import Testing

@testable import Server

@Suite("where settings come from")
struct ConfigurationFileTests {
  private func parse(_ text: String) throws(ConfigurationError) -> [ConfigurationKey: String] {
    try ConfigurationFile.parse(text, name: "sluice.conf")
  }

  @Test(
    "lines of a file",
    arguments: [
      ("", [:]),
      ("\n\n  \n", [:]),
      ("# a comment\n  # another", [:]),
      ("workers = 4", [.workers: "4"]),
      ("workers=4", [.workers: "4"]),
      ("\t workers \t=\t 4 \t", [.workers: "4"]),
      ("workers = 4\r\nlog-level = debug\r\n", [.workers: "4", .logLevel: "debug"]),
      ("primary-dsn = host=a user=b", [.primaryDSN: "host=a user=b"]),
      ("primary-dsn = \"host=a # no comment\"", [.primaryDSN: "host=a # no comment"]),
      ("primary-dsn = \" spaces \"", [.primaryDSN: " spaces "]),
      ("primary-dsn = \"", [.primaryDSN: "\""]),
      ("primary-dsn = \"\"", [.primaryDSN: ""]),
      ("\u{FEFF}workers = 4", [.workers: "4"]),
      ("\u{FEFF}# a comment", [:]),
      ("retention =", [.retention: ""]),
      ("primary-dsn = a = b", [.primaryDSN: "a = b"]),
    ] as [(String, [ConfigurationKey: String])]
  )
  func lines(text: String, settings: [ConfigurationKey: String]) throws {
    #expect(try parse(text) == settings)
  }

  @Test("what is wrong is named with its line")
  func wrong() {
    #expect(throws: ConfigurationError.malformedLine(2, file: "sluice.conf")) {
      try parse("workers = 4\nlog-level debug")
    }
    #expect(throws: ConfigurationError.repeatedKey("workers", line: 3, file: "sluice.conf")) {
      try parse("workers = 4\n\nworkers = 4")
    }
    #expect(throws: ConfigurationError.unknownKey("wokers", origin: "sluice.conf, line 1")) {
      try parse("wokers = 4")
    }
    #expect(throws: ConfigurationError.unknownKey("", origin: "sluice.conf, line 1")) {
      try parse("= 4")
    }
    #expect(throws: ConfigurationError.unknownKey("WORKERS", origin: "sluice.conf, line 1")) {
      try parse("WORKERS = 4")
    }
  }

  @Test("every key can stand in a file and in the environment")
  func everyKey() throws {
    for key in ConfigurationKey.allCases {
      #expect(try parse("\(key.rawValue) = x") == [key: "x"])
      let environment = [key.environmentName: "y"]
      #expect(try ConfigurationFile.settings(inEnvironment: environment) == [key: "y"])
    }
  }

  @Test("other programs' variables and those of the scripts are left alone")
  func others() throws {
    let environment = [
      "PATH": "/bin", "SLUICE": "x", "sluice_workers": "1", "SLUICE_STACK_DIR": "x",
      "SLUICE_TEST_ONLY": "x", "SLUICE_GATEWAY": "x", "SLUICE_WORKERS": "3",
    ]
    #expect(try ConfigurationFile.settings(inEnvironment: environment) == [.workers: "3"])
  }

  @Test("an empty address of the primary is none, and others may be emptied")
  func empty() throws {
    let environment = ["SLUICE_PRIMARY_DSN": "", "SLUICE_RETENTION": ""]
    #expect(try ConfigurationFile.settings(inEnvironment: environment) == [.retention: ""])
    #expect(throws: ConfigurationError.missing(.primaryDSN)) {
      try Configuration([.primaryDSN: ""], processorCount: 1)
    }
  }

  @Test("a variable of ours that does not exist is an error, not silence")
  func unknownVariable() {
    #expect(throws: ConfigurationError.unknownKey("SLUICE_WOKERS", origin: "the environment")) {
      try ConfigurationFile.settings(inEnvironment: ["SLUICE_WOKERS": "3"])
    }
  }
}
