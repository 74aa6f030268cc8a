// Why a read or a catalog call cannot be answered.

/// Everything that reads and the catalog throw; Server turns it into a status.
public enum StorageError: Error, Equatable, Sendable {
  /// The database could not be asked, or answered with an error.
  case postgres(PostgresError)
  /// The server that should be the primary is a standby: a failover is under way.
  case notPrimary
  /// default_transaction_isolation is not read committed, so a snapshot could precede its proof.
  case unprovableSnapshot
  /// ANALYTICS was asked for and there is no warehouse.
  case noAnalyticsSource
  /// ANALYTICS was asked for with tokens, and the warehouse's feed keeps no order to prove them by.
  case floorsUnprovable
  /// ANALYTICS was asked for by a monotonic reader, and nothing tells how new at most the warehouse
  /// is.
  case noveltyUnknown
  /// The warehouse lacks the functions that take values out of a projection.
  case noListThere
  /// Nothing has been heard of the primary for a while: how old other nodes are cannot be proven.
  case primarySilent
  /// No replica qualifies, and the primary's part for other reads than STRONG is in use.
  case fallbackBudgetSpent
  /// The freshness token is of another cluster.
  case tokenOfOtherCluster(NamedToken)
  /// The freshness token is of another timeline: positions cannot be compared.
  case tokenOfOtherTimeline(NamedToken)
  /// The freshness token is ahead of the primary.
  case tokenAhead(NamedToken)
  /// The page token was altered or belongs to another request.
  case badPageToken
  /// There is no such entity; `index` is its place in a request for many.
  case entityNotFound(index: Int)
  /// The entity that a read asked for does not exist where and when the proof says.
  case absentEntity(ReadProof)
  /// There is no such attribute; `index` is its place in a request for many.
  case attributeNotFound(index: Int)
  /// The attribute exists with another type.
  case attributeTypeMismatch(index: Int, existing: ValueType)
  /// The tenant may not create names.
  case mayNotCreateNames
  /// The attribute's values cannot be aggregated; `index` is its place in the request.
  case notAggregable(index: Int)
  /// The answer has more buckets than allowed.
  case tooManyBuckets(max: Int)
  /// A sum, or with deviations one of squares, is beyond the range of a double.
  case sumOverflow
  /// The database knows no such time zone.
  case unknownTimeZone
  /// More rows than allowed lie in the range of a read that was not told to go on.
  case tooExpensive(ScanCost, rowsMax: Int64)
  /// One value alone does not fit into an answer.
  case valueTooLarge
  /// The condition of a list makes no sense at this step.
  case badFilter(step: Int, FilterProblem)
  /// What a list is ordered by has no order.
  case notOrderable
  /// What a list is ordered by does not exist.
  case orderNotFound
  /// What a list is ordered by, or what the step of its condition compares, is not hot.
  case attributeNotHot(step: Int?)
  /// Too many upserts wait to be written.
  case tooManyUpserts
  /// The newest values of the entity would need too much room.
  case projectionFull
  /// PostgreSQL refused the values although all checks passed.
  case valueRefused
  /// The connection was lost behind a COMMIT, or the caller's time was over before the answer to
  /// one: it may have been written or still be, or not.
  case outcomeUnknown
  /// What is stored does not look as it should; the text is ours.
  case unreadable(String)
}
