"""The checker is tested too: gateways that are wrong on purpose must fail the matrix."""

import subprocess
import sys

from database import ROOT
from matrix import run_matrix
from report import Report

# Compilation conditions in Sources/Storage/Ingest, off in every normal build, and what each does.
MUTANTS = {
    "SLUICE_FAULT_SKIP_GUARD": "advances producers without asking for their epoch and place",
    "SLUICE_FAULT_EARLY_ACK": "acknowledges before it commits",
}


def build(condition):
    """A gateway with the condition, in a scratch folder of its own."""
    folder = ROOT / ".build" / condition.removeprefix("SLUICE_").lower().replace("_", "-")
    command = ["swift", "build", "--package-path", ROOT, "--product", "sluice",
               "--scratch-path", folder, "-Xswiftc", f"-D{condition}"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    shown = subprocess.run(
        [*command, "--show-bin-path"], check=True, capture_output=True, text=True)
    return f"{shown.stdout.strip()}/sluice"


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
