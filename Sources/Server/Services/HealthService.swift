internal import Wire

// grpc.health.v1.Health

/// Whether the gateway takes calls. Proto/grpc/health/v1/health.proto
enum HealthService {
  /// The empty name is the whole gateway.
  ///
  /// - Throws: NOT_FOUND for a service the gateway does not have.
  static func check(
    _ message: HealthCheckRequest,
    _ call: Call
  ) throws(Status) -> HealthCheckResponse {
    guard let status = status(of: message.service, call.context) else {
      throw Status(.notFound, "there is no such service", reason: "SERVICE_NOT_FOUND")
    }
    return HealthCheckResponse(status: status)
  }

  static func list(
    _ message: HealthListRequest,
    _ call: Call
  ) throws(Status) -> HealthListResponse {
    HealthListResponse(
      statuses: Method.serviceNames.map { name in
        HealthListResponse.Entry(
          service: name,
          status: status(of: name, call.context) ?? .serviceUnknown
        )
      }
    )
  }

  /// The status of a service now; nil when there is no such service.
  static func status(of service: String, _ context: WorkerContext) -> ServingStatus? {
    guard Method.serviceNames.contains(service) else { return nil }
    return context.isDraining ? .notServing : .serving
  }
}
