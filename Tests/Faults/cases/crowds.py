"""More producers than PostgreSQL can take: the gateway's memory must not follow."""

from producers import Producer
from registry import fault

CROWD = 1_000
STALL_SECONDS = 30
INGEST_MEMORY_BYTES = 128 << 20


def a_crowd(world, lane):
    """A thousand producers at full speed, on a gateway with a small memory for values."""
    world.crowded = world.add_gateway("--ingest-memory", f"{INGEST_MEMORY_BYTES >> 20}MiB")
    world.idle_bytes = world.crowded.memory_bytes()
    # What all of them hold together must fit into ten seconds of writing once they stop.
    options = {"batch": 20, "pause-ms": 0, "window": 8 << 10}
    return [Producer(world, lane, [world.crowded], count=CROWD, **options)]


@fault(producers=a_crowd)
def postgres_stalls_under_a_crowd(world, dice):
    """Every process of PostgreSQL sleeps for 30 s while a thousand producers send."""
    world.pause(dice.uniform(1, 2))
    with world.database.stalled():
        world.pause(STALL_SECONDS)
        grown = world.crowded.peak_bytes() - world.idle_bytes
        if not world.producers[0].runs:
            raise AssertionError(f"the producers gave up: {world.producers[0].lines('error')}")
    world.note(f"gateway grew by {grown >> 20} MiB of {INGEST_MEMORY_BYTES >> 20} MiB")
    if grown > INGEST_MEMORY_BYTES:
        raise AssertionError(
            f"the gateway grew by {grown >> 20} MiB, its memory for values is"
            f" {INGEST_MEMORY_BYTES >> 20} MiB")
