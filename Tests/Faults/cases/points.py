"""A gateway that dies, or sleeps, at a chosen point of its transaction.

The points are reached from outside: PostgreSQL is made to wait for a lock, or for a standby, and
pg_stat_activity says when the gateway's transaction stands there.
"""

import signal
import time
from contextlib import contextmanager

from processes import wait_until
from registry import fault

# The longest time a producer may wait for another gateway while the first one sleeps.
OPENING_SECONDS = 3.0


def is_staged(world):
    return world.producers[0].lane == "staged"


@contextmanager
def before_copy(world):
    """The COPY was sent and waits for its table; no row has been asked for."""
    tables, role = ["entity_values"], "write"
    if is_staged(world):
        tables, role = tables + world.database.segments(), "stage"
    with world.database.locked(*tables):
        world.database.wait_standing(role, "Lock", "BEGIN;COPY%")
        yield role


@contextmanager
def inside_copy(world):
    """The first row has arrived and waits for its partition."""
    role = "promote" if is_staged(world) else "write"
    with world.database.locked(*world.database.partitions()):
        world.database.wait_standing(role, "Lock", "BEGIN;COPY%")
        yield role


@contextmanager
def inside_guard(world):
    """All rows are there; the guard waits for the table of producers."""
    role = "promote" if is_staged(world) else "write"
    with world.database.locked("producer_state"):
        world.database.wait_standing(role, "Lock", "BEGIN;COPY%")
        yield role


@contextmanager
def after_commit(world):
    """COMMIT was sent and carried out; its answer does not come."""
    role = "promote" if is_staged(world) else "write"
    with world.database.commits_held():
        world.database.wait_standing(role, "SyncRep", "BEGIN;COPY%")
        yield role


def kill_at(world, dice, point):
    gateway = world.gateways[0]  # where all producers are
    world.pause(dice.uniform(0.1, 0.4))
    with point(world):
        world.pause(dice.uniform(0, 0.2))
        gateway.kill()
        # The producers come to the other gateway while the transaction of the dead one stands.
        world.pause(dice.uniform(0.3, 0.6))
    gateway.start()


@fault()
def gateway_killed_before_copy(world, dice):
    kill_at(world, dice, before_copy)


@fault()
def gateway_killed_inside_copy(world, dice):
    kill_at(world, dice, inside_copy)


@fault()
def gateway_killed_inside_guard(world, dice):
    kill_at(world, dice, inside_guard)


@fault(short=True)
def gateway_killed_after_commit(world, dice):
    kill_at(world, dice, after_commit)


@fault()
def connection_lost_after_commit(world, dice):
    """The gateway lives, but never learns how its COMMIT ended: it must look, not guess."""
    for _ in range(3):
        world.pause(dice.uniform(0.1, 0.3))
        with after_commit(world) as role:
            for pid in world.database.backends(role):
                world.sql(f"SELECT pg_terminate_backend({pid})")
            world.pause(0.3)


@fault(short=True)
def gateway_stopped_inside_copy(world, dice):
    """A sleeping gateway holds a COPY open; its producers go on over the other at once.

    The sleeper wakes up later and finds that what it holds is somebody else's by now.
    """
    gateway = world.gateways[0]
    world.pause(dice.uniform(0.1, 0.4))
    with before_copy(world) as role:
        gateway.signal(signal.SIGSTOP)
    world.database.wait_standing(role, "ClientRead", "BEGIN;COPY%")
    for producer in world.producers:
        producer.kill()
        producer.start(world.gateways[1:])
    began = time.monotonic()
    wait_until(
        lambda: all(producer.is_acknowledged for producer in world.producers), OPENING_SECONDS,
        "producers of a sleeping gateway are acknowledged by another one")
    world.note(f"acknowledged elsewhere after {time.monotonic() - began:.2f} s")
    world.database.wait_standing(role, "ClientRead", "BEGIN;COPY%")
    gateway.signal(signal.SIGCONT)
    world.pause(1)
