// What a staging transaction costs is mostly its guard: it is not planned anew every time.

extension Migration {
  static let stagingPlan = Migration(
    version: 11,
    name: "staging_plan",
    sql: #"""
      -- Left to itself the planner takes plans for just these few batches to be worth making: 155 us
      -- a call instead of 50. Sequential scans are off for a plan that was made while a table was
      -- small; staging_meta has no index, and the cost that this puts on it would call for compiled
      -- code (10 ms a call).
      ALTER FUNCTION sluice.stage_group(text, integer[], uuid[], bigint[], bigint[], bigint[],
        bigint[], integer[], bigint[], smallint[])
        SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off;
      """#
  )
}
