"""The checker is tested too: gateways that are wrong on purpose must fail the matrix."""

from builds import build
from matrix import run_matrix
from report import Report

# Compilation conditions in Sources/Storage/Ingest, off in every normal build, and what each does.
MUTANTS = {
    "SLUICE_FAULT_SKIP_GUARD": "advances producers without asking for their epoch and place",
    "SLUICE_FAULT_EARLY_ACK": "acknowledges before it commits",
}


def run_mutants(pairs, seed):
    """Whether the matrix catches every mutant; prints which case did."""
    caught = 0
    for condition, meaning in MUTANTS.items():
        print(f"{condition}: {meaning}", flush=True)
        gateway_binary = build(condition)
        report = Report(as_json=False)
        report.begin(seed)
        run_matrix(pairs, seed, report, gateway_binary=gateway_binary)
        # A gateway that does not even start would prove nothing about the checker.
        catching = [each for each in report.failed if each.lost or each.doubled or each.wrong]
        for verdict in catching:
            print(f"{condition} is caught by {verdict.fault}, {verdict.lane}:"
                  f" {verdict.lost} lost, {verdict.doubled} doubled, {verdict.wrong} wrong")
        if not catching:
            print(f"{condition} IS NOT CAUGHT")
        caught += bool(catching)
    print(f"{caught} passed, {len(MUTANTS) - caught} failed")
    return caught == len(MUTANTS)
