internal import EventLoop
internal import Wire

// grpc.health.v1.Health, Watch: the status now, and again after every change.

/// One watcher.
///
/// It is told SERVICE_UNKNOWN, not an error, for a service that does not exist (health.proto).
final class HealthWatch: StreamHandler {
  private let stream: ServerStream
  private let context: WorkerContext
  /// nil until the request has come.
  private var service: String?
  private var told: ServingStatus?

  init(_ stream: ServerStream, _ context: WorkerContext) {
    self.stream = stream
    self.context = context
    // A request for the whole gateway has no bytes, so nothing may be received.
    stream.wantsToWrite()
  }

  func receive(_ body: RawSpan) {
    guard service == nil else {
      return stream.end(.invalid("request", "came twice", reason: "TOO_MANY_REQUESTS"))
    }
    do throws(MessageError) {
      service = try HealthCheckRequest(decoding: body, arena: context.arena).service
    } catch {
      return stream.end(error.status)
    }
    tell()
  }

  func writePending() {
    guard service == nil else { return }
    service = ""
    tell()
  }

  /// A watcher has nothing more to say after its request; it goes on watching.
  func halfClose() { writePending() }

  /// The last change that the gateway has: then the stream ends, so that the connection can close.
  func drain() {
    tell()
    stream.end()
  }

  func connectionClosed() { service = nil }

  private func tell() {
    let status = HealthService.status(of: service ?? "", context) ?? .serviceUnknown
    guard status != told else { return }
    told = status
    stream.send(HealthCheckResponse(status: status))
  }
}
