"""Compares what producers were promised with what PostgreSQL holds."""

from dataclasses import dataclass

from producers import BASE_MICROSECONDS, SPACING_MICROSECONDS


# Of a crowd of producers, the first few that went wrong tell enough.
DETAIL_CHARACTERS = 1_000


@dataclass
class Sums:
    """What became of the values of a case."""

    acked: int = 0
    lost: int = 0       # promised, gone, and nobody was told
    told: int = 0       # gone with a failover, recorded, and the producer was told
    doubled: int = 0
    wrong: int = 0      # another number than was sent, or a loss declared that is none
    detail: str = ""


@dataclass
class Stored:
    """What the database has of one producer."""

    rows: int
    distinct: int
    covered: int        # distinct ones up to the promised position
    wrong: int


def check(world, promises):
    """Counts losses and doubles, and tells of producers that did not end in order."""
    sums = Sums()
    recorded = recorded_losses(world)
    by_entity = {}
    for promise in promises:
        by_entity.setdefault(promise.entity, []).append(promise)
    for entity, group in by_entity.items():
        stored = stored_values(world, entity, group)
        for promise in group:
            told = declared_losses(world, promise, recorded.get(promise.producer, set()))
            add(sums, promise, stored[promise.index], *told)
    return sums


def add(sums, promise, stored, told, misdeclared):
    lost = promise.durable - told - stored.covered
    sums.acked += promise.durable
    sums.lost += max(0, lost)
    sums.told += told
    sums.doubled += stored.rows - stored.distinct
    sums.wrong += stored.wrong + misdeclared
    is_good = lost == 0 and stored.rows == stored.distinct and not stored.wrong + misdeclared
    is_told = len(sums.detail) > DETAIL_CHARACTERS
    if not (is_good and promise.finished) and not is_told:
        sums.detail += f"{promise}: told of {told}, of these misdeclared {misdeclared}; {stored}\n"


def stored_values(world, entity, group):
    """What is stored, by index; value n of index i was observed at base + i * spacing + n."""
    promised = ",".join(f"({promise.index},{promise.durable})" for promise in group)
    rows = world.sql(
        "SELECT p.i, count(v.n), count(DISTINCT v.n),"
        " count(DISTINCT v.n) FILTER (WHERE v.n <= p.durable),"
        " count(v.n) FILTER (WHERE v.number IS DISTINCT FROM v.n * 0.5)"
        f" FROM (VALUES {promised}) AS p(i, durable) LEFT JOIN ("
        f"SELECT o / {SPACING_MICROSECONDS} AS i, o % {SPACING_MICROSECONDS} AS n, number FROM ("
        f"SELECT (extract(epoch FROM observed_at) * 1000000)::bigint - {BASE_MICROSECONDS} AS o,"
        f" number FROM sluice.entity_values WHERE entity_id = {entity}) AS w) AS v USING (i)"
        " GROUP BY p.i")
    fields = [[int(field) for field in row.split("|")] for row in rows.splitlines()]
    return {index: Stored(*rest) for index, *rest in fields}


def recorded_losses(world):
    """What the database itself counts as lost: ranges by producer."""
    rows = world.sql(
        "SELECT replace(producer_id::text, '-', ''), from_seq, to_seq FROM sluice.lost_ranges")
    recorded = {}
    for row in rows.splitlines():
        producer, first, last = row.split("|")
        recorded.setdefault(producer, set()).add((int(first), int(last)))
    return recorded


def declared_losses(world, promise, recorded):
    """Values the producer was told are lost, and how far that differs from the truth.

    Told is right when the database has recorded the same ranges and holds none of these values.
    """
    told = sum(last - first + 1 for first, last in promise.lost)
    misdeclared = sum(last - first + 1 for first, last in recorded ^ set(promise.lost))
    start = BASE_MICROSECONDS + promise.index * SPACING_MICROSECONDS
    for first, last in promise.lost:
        misdeclared += int(world.sql(
            f"SELECT count(*) FROM sluice.entity_values WHERE entity_id = {promise.entity} AND"
            f" (extract(epoch FROM observed_at) * 1000000)::bigint - {start}"
            f" BETWEEN {first} AND {last}"))
    return told, misdeclared
