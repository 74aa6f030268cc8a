internal import EventLoop
internal import Wire

// sluice.v1.AdminService

/// For operators. Proto/sluice/v1/admin.proto
enum AdminService {
  static func getStatus(
    _ message: GetStatusRequest,
    _ call: Call
  ) async throws(Status) -> GetStatusResponse {
    let status = await call.context.statusSource()
    let figures = Figure.allCases.map { figure in
      Wire.Figure(
        name: figure.name,
        value: Double(status.figures[figure]),
        unit: figure.unit,
        description: figure.help
      )
    }
    return GetStatusResponse(
      version: status.version,
      state: status.state,
      uptimeMilliseconds: status.uptime.wholeMilliseconds,
      figures: figures
    )
  }
}
