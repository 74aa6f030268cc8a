import Client
import Foundation
import Testing
import Wire

extension Integration {
  @Suite("indexes of attributes")
  struct IndexTests {
    private static func index(
      _ fixture: Fixture,
      _ arguments: String...
    ) async throws -> CommandResult {
      try await Command.run(
        GatewayProcess.program,
        ["index"] + arguments + ["--dsn", fixture.database.dsn]
      )
    }

    @Test("one is created, listed and dropped by the command line, and lists through it are right")
    func commands() async throws {
      try await Fixture.run { fixture in
        let site = try await fixture.attribute("site", .label, isHot: true)
        _ = try await fixture.attribute("cold", .number)
        for number in 0..<50 {
          let value = AttributeValue(attributeID: site, value: .label("site-\(number % 5)"))
          _ = try await fixture.client.upsertEntity(
            UpsertEntityRequest(by: .externalKey("e\(number)"), values: [value])
          )
        }
        let cold = try await Self.index(fixture, "create", "cold")
        #expect(cold.status == 65 && cold.errors.contains("'cold' is not hot"))
        let none = try await Self.index(fixture, "create", "none")
        #expect(none.status == 66 && none.errors.contains("there is no attribute 'none'"))
        #expect(try await Self.index(fixture, "drop", "site").status == 66)
        #expect(try await Self.index(fixture).output == "0 indexes\n")

        let made = try await Self.index(fixture, "create", "site")
        #expect(made.status == 0 && made.errors.isEmpty, "\(made.errors)")
        #expect(
          made.output.contains("entity_jsonb_hot_t1_a\(site)") && made.output.contains("valid")
        )
        let again = try await Self.index(fixture, "create", "site")
        #expect(again.status == 0 && again.errors.contains("already"))
        let csv = try await Self.index(fixture, "list", "--csv")
        #expect(csv.output.hasPrefix("attribute,hot,index,kind,size,state,scans"))
        #expect(csv.output.contains("site,true,entity_jsonb_hot_t1_a\(site),btree,"))

        // So small a table is read as a whole unless that is forbidden.
        try await fixture.database.sql(
          """
          ALTER DATABASE \(fixture.database.name) SET enable_seqscan = off;
          SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE application_name = 'sluice/read' AND datname = current_database();
          """
        )
        let list = ["list", "--where", "site = \"site-3\"", "--strong", "--json"]
        try await eventually("a list finds them, and the index has served it") {
          let found = try await Command.run(
            GatewayProcess.program,
            list + ["--gateway", "\(fixture.gateway.address)"]
          )
          let json = try await Self.index(fixture, "list", "--json").output
          let scans = json.firstMatch(of: /"scans": *(\d+)/).flatMap { Int($0.1) } ?? 0
          return found.output.split(separator: "\"entity\"").count == 11 && scans > 0
        }
        let dropped = try await Self.index(fixture, "drop", "site")
        #expect(dropped.status == 0 && dropped.output.contains("1 dropped"))
        #expect(try await Self.index(fixture).output == "0 indexes\n")
      }
    }
  }
}
