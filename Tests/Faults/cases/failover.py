"""The primary is lost with commits that its asynchronous replica never got."""

import os
import signal
import time

from processes import wait_until
from registry import fault, own_world


def commits(producers):
    return sum(producer.position() for producer in producers)


@fault(world=own_world(replicas=True))
def replica_promoted_without_commits(world, dice):
    """Half of the producers still hold what is missing and send it again; the others do not, and
    must be told exactly which values are lost."""
    database = world.database
    world.pause(dice.uniform(0.3, 0.6))
    receivers = [database.process(member, "walreceiver") for member in (1, 2)]
    for pid in receivers:
        os.kill(pid, signal.SIGSTOP)
    before = commits(world.producers)
    wait_until(lambda: commits(world.producers) > before + 100_000, 20,
               "commits that no replica has are acknowledged")
    world.pause(dice.uniform(0.1, 0.5))
    holders = world.producers[::2]
    for producer in holders:  # they can compute what they sent, like one that kept it on disk
        producer.kill()
    database.stop_immediately(0)
    for pid in receivers:
        os.kill(pid, signal.SIGCONT)
    database.promote(1)
    world.mended()
    promised = [producer.position() for producer in holders]
    for producer in holders:
        producer.start()
    forgetful = world.producers[1::2]
    wait_until(lambda: all(producer.lines("lost") for producer in forgetful), 20,
               "producers are told what was lost")
    world.note(f"told after {time.monotonic() - world.mended_at:.1f} s")
    wait_until(
        lambda: all(each.position() > before for each, before in zip(holders, promised)), 20,
        "producers that hold their values have sent them again")
    for producer in holders:
        if producer.lines("lost"):
            raise AssertionError("a producer that holds its values is told that they are lost")
