import Storage
import Testing

@Suite("Schema migrations")
struct SchemaMigrationTests {
  @Test("versions count from 1 without holes")
  func versions() { #expect(Migrations.all.map(\.version) == Array(1...Migrations.all.count)) }

  @Test("names can stand in a statement, and no text ends its own quotes")
  func quoting() {
    for migration in Migrations.all {
      #expect(migration.name.utf8.allSatisfy { ($0 >= 0x61 && $0 <= 0x7a) || $0 == 0x5f })
      #expect(!migration.sql.contains("$migration$") && !migration.sql.contains("$apply$"))
      #expect(migration.checksum.utf8.count == 16)
    }
  }

  @Test("an edited migration has another checksum")
  func checksum() {
    let checksums = Set(Migrations.all.map(\.checksum))
    #expect(checksums.count == Migrations.all.count)
  }

  @Test("one statement for each, after the one that prepares")
  func statements() { #expect(Migrations.statements.count == Migrations.all.count + 1) }
}
