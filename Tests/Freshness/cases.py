"""The faults: what happens while clients write and read."""

import os
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Callable

from database import frozen
from processes import run, wait_until


@dataclass
class Fault:
    """One fault; `ruins`: the world cannot be mended behind it."""

    inject: Callable
    seconds: float
    ruins: bool = False

    @property
    def name(self):
        return self.inject.__name__


FAULTS = {}


def fault(seconds, ruins=False):
    """Registers a function that gets the world and the dice, injects and mends.

    `seconds`: about how long it takes, for the progress that is shown.
    """

    def register(function):
        FAULTS[function.__name__] = Fault(function, seconds, ruins)
        return function

    return register


def some_replicas(dice):
    return dice.choice([(1,), (2,), (1, 2)])


@fault(seconds=2)
def calm(world, dice):
    """Nothing happens: every source answers, or the other cases would prove nothing."""
    world.pause(2)


@fault(seconds=4)
def replay_paused(world, dice):
    """Replicas receive the log and do not replay it."""
    for members in (some_replicas(dice), some_replicas(dice)):
        for member in members:
            world.sql("SELECT pg_wal_replay_pause()", member)
        try:
            world.pause(dice.uniform(1, 2))
        finally:
            for member in members:
                world.sql("SELECT pg_wal_replay_resume()", member)
        world.pause(0.5)


@fault(seconds=4)
def replay_stutters(world, dice):
    """Replay stops for moments, here and there: replicas stand closely behind one another."""
    startups = [world.database.process(member, "startup") for member in (1, 2)]
    end = time.monotonic() + 4
    while time.monotonic() < end:
        with frozen(dice.sample(startups, dice.randint(1, 2))):
            world.pause(dice.uniform(0.01, 0.1))
        world.pause(dice.uniform(0, 0.05))


@fault(seconds=4)
def walreceiver_stopped(world, dice):
    """Replicas think they have replayed all there is, and receive nothing."""
    for members in (some_replicas(dice), some_replicas(dice)):
        with frozen([world.database.process(member, "walreceiver") for member in members]):
            world.pause(dice.uniform(1, 2))
        world.pause(0.3)


@fault(seconds=5)
def replica_killed(world, dice):
    """kill -9 of a replica; it comes back and catches up while it is read."""
    database = world.database
    database.kill(dice.choice((1, 2)))
    world.pause(dice.uniform(0.5, 1.5))
    database.up()
    world.pause(1)


@fault(seconds=6)
def redis_killed(world, dice):
    """Redis is emptied, sleeps, and dies; gateways must not believe what it had."""
    database = world.database
    redis = ["redis-cli", "-s", database.environment["SLUICE_STACK_REDIS_SOCKET"]]
    run(*redis, "FLUSHALL")
    world.pause(dice.uniform(0.5, 1))
    run(*redis, "DEBUG", "SLEEP", str(round(dice.uniform(0.2, 1), 2)))
    world.pause(0.5)
    with frozen(database.processes("redis")):
        world.pause(dice.uniform(0.5, 1))
    database.kill("redis")
    world.pause(dice.uniform(0.3, 1))
    database.up()
    world.pause(1)


@fault(seconds=5)
def primary_stalled(world, dice):
    """No process of the primary runs for a while; replicas go on answering."""
    for seconds in (dice.uniform(0.3, 0.8), dice.uniform(1.2, 2)):
        with world.database.stalled(0):
            world.pause(seconds)
        world.pause(0.7)


@fault(seconds=3)
def gateway_stalled(world, dice):
    """A gateway sleeps in the middle of its reads, with answers in its sockets."""
    for _ in range(4):
        gateway = dice.choice(world.gateways)
        gateway.signal(signal.SIGSTOP)
        try:
            world.pause(dice.uniform(0.1, 0.8))
        finally:
            gateway.signal(signal.SIGCONT)
        world.pause(0.3)


TABLES_READ = ("heartbeat", "entities", "entity_values", "entity_jsonb")


@fault(seconds=8)
def warehouse_in_first_sync(world, dice):
    """The warehouse begins anew; one table stands in its first copy while the others have theirs
    and follow, and then the next."""
    database = world.database
    options = database.sql(
        "SELECT subconninfo, array_to_string(subpublications, ',') FROM pg_subscription",
        "warehouse")
    connection, publications = options.split("|")
    for statement in (
            "ALTER SUBSCRIPTION sluice_warehouse DISABLE",
            "ALTER SUBSCRIPTION sluice_warehouse SET (slot_name = NONE)",
            "DROP SUBSCRIPTION sluice_warehouse"):
        database.sql(statement, "warehouse")
    world.pause(0.5)
    wait_until(lambda: not database.sql(
        "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'sluice_warehouse' AND active"),
        20, "the feed of the warehouse ends")
    database.sql("SELECT pg_drop_replication_slot('sluice_warehouse')")
    tables = database.sql(
        "SELECT c.relname FROM pg_class c WHERE relnamespace = 'sluice'::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relispartition AND relpersistence = 'p'", "warehouse")
    # No TRUNCATE: a snapshot of before would see an empty table. References are not looked at.
    database.sql(
        "SET session_replication_role = replica;"
        + "".join(f"DELETE FROM sluice.{table};" for table in tables.split()), "warehouse")
    with ExitStack() as locks:
        held = dice.sample(TABLES_READ, 2)
        first = locks.enter_context(ExitStack())
        locks.enter_context(database.sharing(held[0], "warehouse"))
        first.enter_context(database.sharing(held[1], "warehouse"))
        database.sql(
            f"CREATE SUBSCRIPTION sluice_warehouse CONNECTION '{connection}'"
            f" PUBLICATION {publications}", "warehouse")
        world.pause(dice.uniform(1, 1.5))
        first.close()
        world.pause(dice.uniform(1, 1.5))
    wait_until(lambda: not database.sql(
        "SELECT 1 FROM pg_subscription_rel WHERE srsubstate <> 'r'", "warehouse"),
        60, "the warehouse has copied every table")
    world.note(f"stood in the copies of {held[1]}, {held[0]}")
    world.pause(1)


@fault(seconds=8, ruins=True)
def replica_promoted(world, dice):
    """The primary dies, a replica takes over that lacks some commits, and the other one, which may
    have them, stays on the old timeline."""
    database = world.database
    receiver = database.process(1, "walreceiver")
    with frozen([receiver]):
        world.pause(dice.uniform(0.2, 0.8))
        database.kill(0)
        # It ends before it reads what is in its socket by now.
        os.kill(receiver, signal.SIGTERM)
    world.pause(dice.uniform(0, 0.5))
    database.promote(1)
    wait_until(lambda: database.sql("SELECT pg_is_in_recovery()") == "f", 20, "it is a primary")
    history = database.sql("SELECT pg_read_file('pg_wal/00000002.history')").split()
    high, low = history[1].split("/")
    world.failover = (2, int(high, 16) << 32 | int(low, 16))
    acked = len(world.tokens)
    wait_until(lambda: len(world.tokens) > acked + 20, 30, "writes go on")
    world.pause(2)
