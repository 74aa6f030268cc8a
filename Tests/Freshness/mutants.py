"""The checker is tested too: a gateway that believes a gauge of lag must be caught."""

from builds import build
from matrix import run_matrix
from report import Report

# Compilation conditions in Sources/Storage/Reads, off in every normal build, and what each does.
MUTANTS = {
    "SLUICE_FAULT_ROUTE_ON_LAG":
        "judges replicas by pg_stat_replication on the primary, not by the proof of their answers",
}


def run_mutants(faults, seed):
    """Whether the checker catches every mutant; prints which rules did, and in which case."""
    caught = 0
    for condition, meaning in MUTANTS.items():
        print(f"{condition}: {meaning}", flush=True)
        report = Report(as_json=False)
        report.begin(seed)
        run_matrix(faults, seed, report, gateway_binary=build(condition), stops=False)
        # A gateway that does not even start would prove nothing about the checker.
        catching = [verdict for verdict in report.verdicts if verdict.violations]
        for verdict in catching:
            print(f"{condition} is caught by {verdict.fault}, {verdict.violations} times:"
                  f" {'; '.join(verdict.rules)}")
        if not catching:
            print(f"{condition} IS NOT CAUGHT")
        caught += bool(catching)
    print(f"{caught} passed, {len(MUTANTS) - caught} failed")
    return caught == len(MUTANTS)
