internal import EventLoop
internal import Storage
internal import Wire

// What the database knows of a producer that opens a session.

/// A producer's place, and what its client may not have been told.
struct SessionOpening {
  let producer: ProducerID
  let opened: OpenedProducer
  /// Rejects of what is durable though the client still holds it: the Ack that named them is lost.
  let rejects: [(sequence: UInt64, reason: Storage.RejectReason)]

  /// Opens the session in the database.
  ///
  /// - Parameters:
  ///   - open: a message without a violation.
  ///   - tenant: of the caller.
  ///   - context: of the worker.
  /// - Throws: the status that the session ends with.
  init(_ open: Open, tenant: Int32, _ context: WorkerContext) async throws(Status) {
    guard let producer = ProducerID(open.producerID.span),
      let session = ProducerID(open.sessionID.span)
    else { throw .invalid("open.producer_id", "is not 16 bytes") }
    let deadline = context.loop.now + ServerLimits.learnTimeMax
    let found: OpenedProducer?
    do throws(PostgresError) {
      found = try await context.storage.opener.open(
        ProducerOpening(
          tenant: tenant,
          producer: producer,
          session: session,
          lowestHeld: open.lowestHeldSeq,
          database: open.databaseID.isEmpty ? nil : open.databaseID
        ),
        deadline: deadline
      )
    } catch {
      throw .databaseUnavailable("\(error)")
    }
    guard let opened = found else { throw .otherDatabase }
    self.producer = producer
    self.opened = opened
    guard open.lowestHeldSeq > 0, open.lowestHeldSeq <= opened.durable else {
      rejects = []
      return
    }
    // Nobody was further ahead of what was durable when it was sent.
    let span = min(opened.durable - open.lowestHeldSeq, ServerLimits.valuesAheadMax)
    do throws(StorageError) {
      rejects = try await context.storage.producers.rejects(
        tenant: tenant,
        producer: producer,
        in: (opened.durable - span)...opened.durable,
        deadline: deadline
      )
    } catch {
      throw .databaseUnavailable("\(error)")
    }
  }
}
