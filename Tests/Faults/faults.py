"""The fault matrix: real processes, real faults, and a checker that knows what was promised.

For every case and lane: start two gateways and some producers, inject the fault while they send, let
everything settle, stop the producers in order, and compare. What a producer was acknowledged must be
in PostgreSQL once; nothing may be there twice; a number must be the one that was sent. After the
faults stop, everything must be durable within 10 seconds.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from link import Link
from world import World

LIVENESS_SECONDS = 10.0


# ---- Cases: each gets the world and the dice; it injects faults and mends what it broke ----


def agent_killed(world, dice):
    for _ in range(3):
        world.pause(dice.uniform(0.2, 0.6))
        producer = dice.choice(world.producers)
        producer.kill()
        producer.start()


def gateway_killed(world, dice):
    for _ in range(3):
        world.pause(dice.uniform(0.2, 0.6))
        gateway = dice.choice(world.gateways)
        gateway.kill()
        world.pause(dice.uniform(0, 0.3))
        gateway.start()


def gateway_stopped_for_5_s(world, dice):
    gateway = world.gateways[0]
    world.pause(dice.uniform(0.2, 0.6))
    gateway.signal(signal.SIGSTOP)
    world.pause(5)
    gateway.signal(signal.SIGCONT)


def zombie_gateway(world, dice):
    """A gateway sleeps inside its work; its producers go on over the other, then it wakes."""
    world.pause(dice.uniform(0.2, 0.6))
    gateway = world.gateways[0]
    gateway.signal(signal.SIGSTOP)
    for producer in world.producers:
        producer.kill()
        producer.start(world.gateways[1:])
    world.pause(2)
    gateway.signal(signal.SIGCONT)
    world.pause(1)


def handover(world, dice):
    """Producers move from one gateway to the other in the middle of their batches."""
    for turn in range(4):
        world.pause(dice.uniform(0.2, 0.5))
        for producer in world.producers:
            producer.kill()
            producer.start([world.gateways[turn % 2]])


def gateway_drained(world, dice):
    for gateway in world.gateways:
        world.pause(dice.uniform(0.3, 0.6))
        status = gateway.drain()
        if status != 0:
            raise AssertionError(f"a drained gateway exits with 0, not {status}")
        gateway.start()


def backend_killed(world, dice):
    """kill -9 of one backend: PostgreSQL throws every session out and recovers."""
    for _ in range(2):
        world.pause(dice.uniform(0.3, 0.8))
        world.kill_backend(dice, "write", "stage", "promote")


def backend_terminated(world, dice):
    for _ in range(5):
        world.pause(dice.uniform(0.1, 0.4))
        world.terminate_backend(dice, "write", "stage", "promote")


def backend_stopped_for_5_s(world, dice):
    world.pause(dice.uniform(0.2, 0.5))
    world.stop_backend(dice, 5)


def postgres_killed(world, dice):
    """Immediate stop of the whole server, then a start with crash recovery."""
    for _ in range(2):
        world.pause(dice.uniform(0.3, 0.8))
        world.restart_postgres()


def link_cut(world, dice):
    for _ in range(4):
        world.pause(dice.uniform(0.1, 0.5))
        world.link.cut()


def link_reset(world, dice):
    for _ in range(4):
        world.pause(dice.uniform(0.1, 0.5))
        world.link.reset()


def link_half_open(world, dice):
    """Nothing comes through any more and nobody is told; later the way is free for new connections."""
    world.pause(dice.uniform(0.2, 0.5))
    world.link.freeze()
    world.pause(1)
    world.link.thaw_new()
    # A client finds out by a Ping without Pong: five seconds of silence and five of waiting.
    world.pause(11)


def link_slow(world, dice):
    world.link.delay = 0.05
    world.pause(2)
    world.link.delay = 0


def link_one_byte(world, dice):
    world.link.piece = 1
    world.pause(2)
    world.link.piece = None


def slow_frames_and_nonsense(world, dice):
    """Others misbehave beside the producers: slowloris, garbage, oversized frames."""
    world.misbehave(dice)


def connection_storm(world, dice):
    world.storm(2000)


CASES = [
    agent_killed, gateway_killed, gateway_stopped_for_5_s, zombie_gateway, handover, gateway_drained,
    backend_killed, backend_terminated, backend_stopped_for_5_s, postgres_killed,
    link_cut, link_reset, link_half_open, link_slow, link_one_byte,
    slow_frames_and_nonsense, connection_storm,
]
SHORT = [
    agent_killed, gateway_killed, zombie_gateway, gateway_drained, backend_killed,
    backend_terminated, postgres_killed, link_cut, link_reset,
]


# ---- Running ----


def run_case(world, case, lane, seed):
    dice = random.Random(f"{seed}/{case.__name__}/{lane}")
    world.begin(lane, dice, uses_link=case.__name__.startswith("link_"))
    case(world, dice)
    began = time.monotonic()
    settled = world.settle(LIVENESS_SECONDS)
    recovery = time.monotonic() - began
    verdict = world.check()
    verdict.update(
        fault=case.__name__, lane=lane, seed=seed, recovery_seconds=round(recovery, 2),
        settled=settled)
    world.end()
    return verdict


def row(verdict):
    good = not (verdict["lost"] or verdict["doubled"] or verdict["wrong"]) and verdict["settled"]
    return "  ".join([
        f"{verdict['fault']:<26}", f"{verdict['lane']:<8}", f"{verdict['acked']:>10,}",
        f"{verdict['lost']:>6}", f"{verdict['doubled']:>8}", f"{verdict['wrong']:>6}",
        f"{verdict['recovery_seconds']:>8.2f} s", "ok" if good else "FAILED",
    ]), good


def main():
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__.split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=None, help="replays the plan of a run")
    parser.add_argument("--minutes", type=float, default=0, help="go on with new seeds for so long")
    parser.add_argument("--short", action="store_true", help="only the cases of scripts/test --all")
    parser.add_argument("--case", action="append", help="only this fault; may be repeated")
    parser.add_argument("--lane", choices=["durable", "staged"], help="only this lane")
    parser.add_argument("--list", action="store_true", help="name the faults")
    parser.add_argument("--json", action="store_true", help="a line of JSON for every case")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(case.__name__ for case in CASES))
        return 0
    cases = SHORT if arguments.short else CASES
    if arguments.case:
        names = {case.__name__: case for case in CASES}
        unknown = [name for name in arguments.case if name not in names]
        if unknown:
            parser.error(f"there is no fault {unknown[0]}; --list names them")
        cases = [names[name] for name in arguments.case]
    lanes = [arguments.lane] if arguments.lane else ["durable", "staged"]
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**9)
    deadline = time.monotonic() + arguments.minutes * 60
    failed = passed = 0
    acked = faults = 0
    worst = 0.0
    print(f"seed {seed}; the same seed replays the same plan", flush=True)
    if not arguments.json:
        print(f"{'fault':<26}  {'lane':<8}  {'acked':>10}  {'lost':>6}  {'doubled':>8}  {'wrong':>6}  "
              f"{'recovery':>10}", flush=True)
    with tempfile.TemporaryDirectory(prefix="sluice-faults-") as folder:
        os.chmod(folder, 0o755)
        world = World(Path(folder), os.environ["SLUICE_TEST_BINARIES"])
        try:
            while True:
                for case in cases:
                    for lane in lanes:
                        verdict = run_case(world, case, lane, seed)
                        text, good = row(verdict)
                        print(json.dumps(verdict) if arguments.json else text, flush=True)
                        passed += good
                        failed += not good
                        acked += verdict["acked"]
                        faults += 1
                        worst = max(worst, verdict["recovery_seconds"])
                        if not good:
                            print(verdict["detail"], flush=True)
                            raise SystemExit
                seed += 1
                if time.monotonic() >= deadline:
                    break
        except SystemExit:
            pass
        finally:
            world.close()
    print(f"{faults} faults, {acked:,} values acknowledged, worst recovery {worst:.2f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
