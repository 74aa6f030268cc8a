@testable import Wire

/// Random messages of every type, from a seeded generator.
enum RandomMessages {
  typealias Random = SeededGenerator

  static func text(_ random: inout Random) -> String {
    let letters = ["a", "Z", "0", " ", "é", "ß", "€", "𝄞", "\n", "\u{7f}", "日"]
    return (0..<Int.random(in: 0...12, using: &random)).map { _ in
      letters[Int.random(in: 0..<letters.count, using: &random)]
    }.joined()
  }

  static func bytes(_ random: inout Random) -> [UInt8] {
    list(&random, 20) { UInt8.random(in: 0...255, using: &$0) }
  }

  static func list<Element>(
    _ random: inout Random,
    _ most: Int = 5,
    _ make: (inout Random) -> Element
  ) -> [Element] {
    (0..<Int.random(in: 0...most, using: &random)).map { _ in make(&random) }
  }

  /// Any number, often an edge.
  static func number<Number: FixedWidthInteger>(_ random: inout Random) -> Number {
    switch Int.random(in: 0..<5, using: &random) {
    case 0: 0
    case 1: .max
    case 2: .min
    default: Number.random(in: .min ... .max, using: &random)
    }
  }

  static func double(_ random: inout Random) -> Double {
    switch Int.random(in: 0..<5, using: &random) {
    case 0: -0.0
    case 1: .infinity
    case 2: .leastNonzeroMagnitude
    default: Double.random(in: -1e9...1e9, using: &random)
    }
  }

  static func any<Value: CaseIterable>(_ random: inout Random, _ first: Value) -> Value {
    Value.allCases.randomElement(using: &random) ?? first
  }

  static func columns(_ random: inout Random, values: Int) -> ColumnsBuilder {
    var columns = ColumnsBuilder()
    for _ in 0..<values {
      let entity: Int64 = number(&random)
      let attribute: UInt32 = number(&random)
      let time: Int64 = number(&random)
      switch Int.random(in: 0..<5, using: &random) {
      case 0:
        columns.appendNumber(
          double(&random),
          entityID: entity,
          attributeID: attribute,
          observedAtMicroseconds: time
        )
      case 1:
        columns.appendInteger(
          number(&random),
          entityID: entity,
          attributeID: attribute,
          observedAtMicroseconds: time
        )
      case 2:
        columns.appendFlag(
          Bool.random(using: &random),
          entityID: entity,
          attributeID: attribute,
          observedAtMicroseconds: time
        )
      case 3:
        columns.appendLabel(
          text(&random),
          entityID: entity,
          attributeID: attribute,
          observedAtMicroseconds: time
        )
      default:
        columns.appendDocument(
          text(&random),
          entityID: entity,
          attributeID: attribute,
          observedAtMicroseconds: time
        )
      }
    }
    return columns
  }

  static func readOptions(_ random: inout Random) -> ReadOptions {
    ReadOptions(
      level: any(&random, .unspecified),
      token: bytes(&random),
      maxStalenessMilliseconds: number(&random),
      allowDegraded: Bool.random(using: &random),
      includeStaged: Bool.random(using: &random),
      floorTokens: list(&random) { bytes(&$0) },
      isMonotonic: Bool.random(using: &random)
    )
  }

  static func node(_ random: inout Random) -> Node {
    Node(
      name: text(&random),
      source: any(&random, .unspecified),
      state: any(&random, .unspecified),
      provenLSN: text(&random),
      stalenessBoundMilliseconds: number(&random),
      reads: number(&random),
      readsInFlight: number(&random),
      reroutes: number(&random),
      conflicts: number(&random),
      failures: number(&random),
      fallbacks: number(&random),
      trouble: text(&random)
    )
  }

  static func freshness(_ random: inout Random) -> Freshness? {
    guard Bool.random(using: &random) else { return nil }
    return Freshness(
      source: any(&random, .unspecified),
      node: text(&random),
      asOfToken: bytes(&random),
      stalenessBoundMilliseconds: number(&random),
      degraded: Bool.random(using: &random),
      waitedMilliseconds: number(&random),
      cache: any(&random, .unspecified)
    )
  }

  static func attribute(_ random: inout Random) -> Attribute {
    Attribute(
      attributeID: number(&random),
      name: text(&random),
      valueType: any(&random, .unspecified),
      unit: text(&random),
      isHot: Bool.random(using: &random)
    )
  }

  static func value(_ random: inout Random) -> Value {
    switch Int.random(in: 0..<5, using: &random) {
    case 0: .number(double(&random))
    case 1: .integer(number(&random))
    case 2: .flag(Bool.random(using: &random))
    case 3: .label(text(&random))
    default: .document(text(&random))
    }
  }

  static func filter(_ random: inout Random) -> EntityFilter {
    EntityFilter(
      steps: list(&random) {
        switch Int.random(in: 0..<4, using: &$0) {
        case 0: .all(number(&$0))
        case 1: .any(number(&$0))
        case 2: .not
        default:
          .comparison(
            Comparison(
              attributeID: number(&$0),
              relation: any(&$0, .unspecified),
              value: Bool.random(using: &$0) ? value(&$0) : nil
            )
          )
        }
      }
    )
  }

  static func entityKey(_ random: inout Random) -> GetEntityRequest.Key {
    Bool.random(using: &random) ? .entityID(number(&random)) : .externalKey(text(&random))
  }

  static func entity(_ random: inout Random) -> Entity {
    Entity(
      entityID: number(&random),
      externalKey: text(&random),
      version: number(&random),
      values: list(&random) {
        HotValue(
          attributeID: number(&$0),
          name: text(&$0),
          value: value(&$0),
          observedAtMicroseconds: number(&$0)
        )
      }
    )
  }

  static func status(_ random: inout Random) -> Status {
    let reason = Bool.random(using: &random) ? "SOME_REASON" : ""
    return Status(
      any(&random, .ok),
      text(&random),
      reason: reason,
      metadata: reason.isEmpty ? [] : list(&random) { KeyValue(text(&$0), text(&$0)) },
      retryAfterMilliseconds: Bool.random(using: &random)
        ? Int64.random(in: 0...100_000_000, using: &random) : nil,
      fieldViolations: list(&random) {
        Status.FieldViolation(field: text(&$0), description: text(&$0))
      }
    )
  }

  static func ack(_ random: inout Random) -> Ack {
    Ack(
      stagedSeq: number(&random),
      durableSeq: number(&random),
      token: bytes(&random),
      grantedBytes: number(&random),
      grantedSeq: number(&random),
      rejects: list(&random) { Reject(seq: number(&$0), reason: any(&$0, .unspecified)) },
      counts: Counts(
        received: number(&random),
        written: number(&random),
        duplicate: number(&random),
        rejected: number(&random)
      ),
      incarnation: number(&random)
    )
  }

  static func open(_ random: inout Random) -> Open {
    Open(
      protocolVersion: number(&random),
      producerID: bytes(&random),
      token: bytes(&random),
      durability: any(&random, .unspecified),
      sessionID: bytes(&random),
      lowestHeldSeq: number(&random),
      clientName: text(&random),
      databaseID: bytes(&random),
      highestSentSeq: number(&random)
    )
  }

  /// One message of every type.
  static func all(_ random: inout Random) -> [any WireMessage] {
    [
      value(&random), readOptions(&random), freshness(&random) ?? Freshness(),
      ResolveEntitiesRequest(
        externalKeys: list(&random) { text(&$0) },
        existingOnly: Bool.random(using: &random)
      ),
      ResolveEntitiesResponse(entityIDs: list(&random) { number(&$0) }),
      ResolveAttributesRequest(
        attributes: list(&random) {
          AttributeSpec(
            name: text(&$0),
            valueType: any(&$0, .unspecified),
            unit: text(&$0),
            isHot: Bool.random(using: &$0)
          )
        }
      ),
      ResolveAttributesResponse(attributes: list(&random) { attribute(&$0) }),
      ListAttributesRequest(
        pageSize: number(&random),
        pageToken: bytes(&random),
        namePrefix: text(&random)
      ),
      ListAttributesResponse(
        attributes: list(&random) { attribute(&$0) },
        nextPageToken: bytes(&random)
      ),
      UpdateAttributeRequest(
        name: text(&random),
        isHot: Bool.random(using: &random),
        unit: text(&random)
      ),
      GetEntityRequest(by: entityKey(&random), read: readOptions(&random)),
      GetEntityResponse(
        entity: Bool.random(using: &random) ? entity(&random) : nil,
        freshness: freshness(&random)
      ),
      UpsertEntityRequest(
        by: entityKey(&random),
        values: list(&random) {
          AttributeValue(
            attributeID: number(&$0),
            value: Bool.random(using: &$0) ? value(&$0) : nil
          )
        },
        observedAtMicroseconds: Bool.random(using: &random) ? number(&random) : nil
      ),
      UpsertEntityResponse(
        entityID: number(&random),
        version: number(&random),
        token: bytes(&random),
        observedAtMicroseconds: list(&random) { number(&$0) }
      ),
      AttributeValue(attributeID: number(&random)), EntityName(entityKey(&random)),
      BatchGetEntitiesRequest(
        entities: list(&random) { EntityName(entityKey(&$0)) },
        read: readOptions(&random)
      ),
      BatchGetEntitiesResponse(
        entities: list(&random) { entity(&$0) },
        missing: list(&random) { number(&$0) },
        answered: number(&random),
        freshness: freshness(&random)
      ),
      ListEntitiesRequest(
        pageSize: number(&random),
        pageToken: bytes(&random),
        externalKeyPrefix: text(&random),
        read: readOptions(&random),
        filter: Bool.random(using: &random) ? filter(&random) : nil,
        orderByAttributeID: number(&random),
        isDescending: Bool.random(using: &random)
      ),
      filter(&random), Comparison(attributeID: number(&random)), FilterStep.not,
      ListEntitiesResponse(
        entities: list(&random) { entity(&$0) },
        nextPageToken: bytes(&random),
        freshness: freshness(&random)
      ),
      QueryHistoryRequest(
        entityIDs: list(&random) { number(&$0) },
        attributeIDs: list(&random) { number(&$0) },
        startMicroseconds: number(&random),
        endMicroseconds: number(&random),
        order: any(&random, .unspecified),
        pageSize: number(&random),
        pageToken: bytes(&random),
        read: readOptions(&random),
        allowExpensive: Bool.random(using: &random)
      ),
      QueryHistoryResponse(
        columns: columns(&random, values: 10),
        nextPageToken: bytes(&random),
        freshness: freshness(&random)
      ),
      AggregateHistoryRequest(
        entityIDs: list(&random) { number(&$0) },
        attributeIDs: list(&random) { number(&$0) },
        startMicroseconds: number(&random),
        endMicroseconds: number(&random),
        bucketWidthMicroseconds: number(&random),
        read: readOptions(&random),
        bucketUnit: any(&random, .unspecified),
        timeZone: text(&random),
        percentiles: list(&random) { double(&$0) },
        stddev: Bool.random(using: &random),
        fill: any(&random, .unspecified),
        allowExpensive: Bool.random(using: &random)
      ),
      AggregateHistoryResponse(
        entityIDs: list(&random) { number(&$0) },
        attributeIDs: list(&random) { number(&$0) },
        bucketStartsMicroseconds: list(&random) { number(&$0) },
        counts: list(&random) { number(&$0) },
        minima: list(&random) { double(&$0) },
        maxima: list(&random) { double(&$0) },
        averages: list(&random) { double(&$0) },
        sums: list(&random) { double(&$0) },
        firsts: list(&random) { double(&$0) },
        lasts: list(&random) { double(&$0) },
        stddevs: list(&random) { double(&$0) },
        percentiles: list(&random) { double(&$0) },
        integerMinima: list(&random) { number(&$0) },
        integerMaxima: list(&random) { number(&$0) },
        integerFirsts: list(&random) { number(&$0) },
        integerLasts: list(&random) { number(&$0) },
        freshness: freshness(&random)
      ),
      ExistsInRangeRequest(
        entityIDs: list(&random) { number(&$0) },
        attributeIDs: list(&random) { number(&$0) },
        startMicroseconds: number(&random),
        endMicroseconds: number(&random),
        read: readOptions(&random),
        allowExpensive: Bool.random(using: &random)
      ),
      ExistsInRangeResponse(
        entityIDs: list(&random) { number(&$0) },
        freshness: freshness(&random)
      ),
      WriteRequest.open(open(&random)),
      WriteRequest.batch(
        Batch(
          firstSeq: number(&random),
          count: number(&random),
          crc32c: number(&random),
          columns: bytes(&random)
        )
      ),
      WriteRequest.ping(Ping(nonce: number(&random))),
      WriteResponse.opened(
        Opened(
          epoch: number(&random),
          durableSeq: number(&random),
          stagedSeq: number(&random),
          incarnation: number(&random),
          maxBatchBytes: number(&random),
          grantedBytes: number(&random),
          grantedSeq: number(&random),
          lostFromSeq: number(&random),
          lostToSeq: number(&random),
          maxBatchValues: number(&random),
          databaseID: bytes(&random)
        )
      ),
      WriteResponse.ack(ack(&random)),
      WriteResponse.pong(Pong(nonce: number(&random))),
      WriteResponse.drain(
        Drain(graceMilliseconds: number(&random), retryDelayMilliseconds: number(&random))
      ),
      GetStatusRequest(),
      GetStatusResponse(
        version: text(&random),
        state: text(&random),
        uptimeMilliseconds: number(&random),
        figures: list(&random) {
          // protobuf-c leaves -0.0 out of a singular field as if it were 0; it keeps it in a oneof
          // and in columns.
          Figure(
            name: text(&$0),
            value: double(&$0) + 0.0,
            unit: text(&$0),
            description: text(&$0)
          )
        },
        nodes: list(&random) { node(&$0) },
        trouble: text(&random)
      ),
      node(&random),
      SetNodeDrainedRequest(node: text(&random), drained: Bool.random(using: &random)),
      HealthCheckRequest(service: text(&random)),
      HealthCheckResponse(status: any(&random, .unknown)),
      HealthListRequest(),
      HealthListResponse(
        statuses: list(&random) {
          HealthListResponse.Entry(service: text(&$0), status: any(&$0, .unknown))
        }
      ),
      status(&random),
    ]
  }
}
