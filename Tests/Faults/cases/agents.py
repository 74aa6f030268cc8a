"""Producers that die, move, or live in another time."""

import shutil
import signal
import subprocess
from pathlib import Path

from producers import Producer
from registry import fault
from world import PRODUCERS, Skipped

SHIM = Path(__file__).resolve().parents[1] / "clock.c"
DAY_SECONDS = 86_400


def kill_some(world, dice, times):
    for _ in range(times):
        world.pause(dice.uniform(0.2, 0.6))
        producer = dice.choice(world.producers)
        producer.kill()
        producer.start()


@fault(short=True)
def agent_killed(world, dice):
    kill_some(world, dice, 3)


@fault()
def agent_sleeps(world, dice):
    """A producer sleeps for 5 s, as its machine may, and goes on."""
    world.pause(dice.uniform(0.5, 1))
    producer = dice.choice(world.producers)
    producer.signal(signal.SIGSTOP)
    world.pause(5)
    producer.signal(signal.SIGCONT)


def spooling_producers(world, lane):
    folder = world.folder / f"spools-{lane}"
    if folder.exists():
        shutil.rmtree(folder)
    return [Producer(world, lane, spool=folder / str(index)) for index in range(PRODUCERS)]


@fault(short=True, producers=spooling_producers)
def spooling_agent_killed(world, dice):
    """What was in the spool and not yet durable is sent by the next life, and only once."""
    kill_some(world, dice, 5)


def producers_with_a_clock(world, lane):
    compiler = shutil.which("cc") or shutil.which("clang")
    if not compiler:
        raise Skipped("no C compiler to build the clock that jumps")
    library = world.folder / "clock.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, SHIM, "-ldl"], check=True,
        capture_output=True)
    clock = {"LD_PRELOAD": str(library), "FAULT_CLOCK": str(world.folder / "clock")}
    set_clock(world, 0)
    return [Producer(world, lane, environment=clock) for _ in range(PRODUCERS)]


def set_clock(world, seconds):
    (world.folder / "clock").write_text(f"{seconds}\n")


@fault(producers=producers_with_a_clock)
def client_clock_jumps(world, dice):
    """The wall clock of the clients is set by days, forth and back, while they send."""
    for _ in range(6):
        set_clock(world, dice.randrange(-400, 400) * DAY_SECONDS)
        world.pause(dice.uniform(0.2, 0.5))
    producer = dice.choice(world.producers)
    producer.kill()
    producer.start()
    set_clock(world, 0)
