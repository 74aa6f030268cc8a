"""Reads that lie about their freshness are found out: every answer is checked against every write.

Many clients write and read at random over two gateways, both replicas, the cache and the warehouse
while faults run. Every operation is written down on one clock. Afterwards no answer may be staler
than it claimed; STRONG sees every acknowledged write; AT_LEAST holds its token; sessions that hand
on their tokens never go back; nothing comes from the future or from a lost timeline.
"""

import argparse
import random
import sys

from cases import FAULTS
from matrix import run_matrix
from mutants import run_mutants
from report import Report

# What shows a router that believes the gauges, in little time.
MUTANT_FAULTS = ("replay_paused", "walreceiver_stopped", "replica_killed")


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/freshness", description=__doc__.split("\n\n", maxsplit=1)[0],
        epilog=__doc__.split("\n\n", maxsplit=1)[1])
    parser.add_argument("--seed", type=int, default=None, help="replays the plan of a run")
    parser.add_argument("--minutes", type=float, default=0, help="go on with new seeds for so long")
    parser.add_argument("--short", action="store_true",
                        help="every fault once, which is also what is done without --minutes")
    parser.add_argument("--fault", action="append", help="only this fault; may be repeated")
    parser.add_argument("--list", action="store_true", help="name the faults")
    parser.add_argument("--json", action="store_true", help="a line of JSON for every case")
    parser.add_argument("--mutants", action="store_true",
                        help="build a gateway that routes on reported lag; it must be caught")
    arguments = parser.parse_args()
    for name in arguments.fault or []:
        if name not in FAULTS:
            parser.error(f"there is no fault {name}; --list names them")
    return arguments


def main():
    arguments = parse_arguments()
    if arguments.list:
        for fault in FAULTS.values():
            print(f"{fault.name:<26}{' '.join(fault.inject.__doc__.split())}")
        return 0
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**9)
    if arguments.mutants:
        names = arguments.fault or MUTANT_FAULTS
        return 0 if run_mutants([FAULTS[name] for name in names], seed) else 1
    report = Report(arguments.json)
    report.begin(seed)
    faults = [FAULTS[name] for name in arguments.fault or FAULTS]
    run_matrix(faults, seed, report, 0 if arguments.short else arguments.minutes)
    return 0 if report.end() else 1


if __name__ == "__main__":
    sys.exit(main())
