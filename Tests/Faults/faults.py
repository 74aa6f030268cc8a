"""The fault matrix: real processes, real faults, and a checker that knows what was promised.

For every case and lane: start two gateways and some producers, inject the fault while they send,
let everything settle, stop the producers in order, and compare. What a producer was acknowledged
must be in PostgreSQL once; nothing may be there twice; a number must be the one that was sent. What
a failover lost must be told, exactly. After the faults stop, everything must be durable within 10
seconds.
"""

import argparse
import random
import sys

import cases  # noqa: F401, registers the faults
from matrix import run_matrix
from mutants import run_mutants
from registry import FAULTS, LANES
from report import Report


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__.split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=None, help="replays the plan of a run")
    parser.add_argument("--minutes", type=float, default=0, help="go on with new seeds for so long")
    parser.add_argument("--short", action="store_true", help="only the cases of scripts/test --all")
    parser.add_argument("--case", action="append", help="only this fault; may be repeated")
    parser.add_argument("--lane", choices=LANES, help="only this lane")
    parser.add_argument("--list", action="store_true", help="name the faults")
    parser.add_argument("--json", action="store_true", help="a line of JSON for every case")
    parser.add_argument("--mutants", action="store_true",
                        help="build gateways that are wrong on purpose; each must fail the matrix")
    arguments = parser.parse_args()
    for name in arguments.case or []:
        if name not in FAULTS:
            parser.error(f"there is no fault {name}; --list names them")
    return arguments


def chosen(arguments):
    faults = [FAULTS[name] for name in arguments.case] if arguments.case else [
        fault for fault in FAULTS.values() if fault.short or not arguments.short]
    return [
        (fault, lane) for fault in faults for lane in fault.lanes
        if arguments.lane in (None, lane)]


def main():
    arguments = parse_arguments()
    if arguments.list:
        print("\n".join(FAULTS))
        return 0
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**9)
    if arguments.mutants:
        return 0 if run_mutants(chosen(arguments), seed) else 1
    report = Report(arguments.json)
    report.begin(seed)
    run_matrix(chosen(arguments), seed, report, arguments.minutes)
    return 0 if report.end() else 1


if __name__ == "__main__":
    sys.exit(main())
