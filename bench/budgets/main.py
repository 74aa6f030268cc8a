"""Budgets: allocations, and in release builds instructions, that a piece of work may cost.

Nothing here depends on time, so that a busy machine does not decide. Started by scripts/budgets.
"""

import argparse
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(REPOSITORY, "bench", "harness"))

from world import BenchError, World, run  # noqa: E402

# Doubled must fail, and what differs between two runs must not: how many groups there are, and with
# them allocations, is a matter of time, how many instructions a value takes is not.
FACTORS = {"allocations": 1.6, "instructions": 1.25}
# Below this part of its budget a figure could double and still pass: the budget has to follow.
LEAST = 0.8

# Functions of the path of a value, with everything they call, as callgrind names them.
FUNCTIONS = {
    "unpack": r"protobuf_c_message_unpack$",
    "check": r"\$s7Storage10BatchCheckV3run_.*F$",
    "encode": r"\$s7Storage11CopyEncoderV6append_.*F$",
}


def allocations(world, folder):
    """Allocations of the gateway by piece of work, those of an idle one taken off."""
    library = os.path.join(folder, "malloc_counter.so")
    # Swift brings a clang of its own.
    compiler = shutil.which("cc") or "clang"
    run([compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library,
         os.path.join(HERE, "malloc_counter.c")])
    path = os.path.join(folder, "allocations")

    def count():
        with open(path, "rb") as file:
            return struct.unpack("=Q", file.read(8))[0]

    world.start_gateway(environment={"LD_PRELOAD": library, "ALLOCATION_COUNTER": path})
    world.counter = count
    # Names, connections and memory that stays are made before anything is counted.
    world.bench("flatout", rows=20_000, sessions=1, batch=1000)
    before, start = count(), time.monotonic()
    time.sleep(2)
    idle = (count() - before) / (time.monotonic() - start)

    def each(mode, size, **settings):
        sample = world.bench(mode, **settings)
        pieces = sample["values"] / size
        return (sample["counted"] - idle * sample["seconds"]) / pieces

    found = {
        "batch of 10, one at a time":
            each("pieces", 1, kind="batch", sessions=1, batch=10, count=300),
        "batch of 1000 in a stream":
            each("flatout", 1000, sessions=1, batch=1000, rows=200_000),
        "unary call": each("pieces", 1, kind="health", sessions=1, count=1000),
        "point read": each("pieces", 1, kind="get", sessions=1, count=300),
    }
    world.counter = None
    world.stop_gateway()
    return found


def instructions(world, folder):
    """Instructions a value of the gateway's functions, by callgrind."""
    # With its debug information valgrind 3.19 takes the program for a broken file.
    program = os.path.join(folder, "sluice")
    shutil.copy(world.gateway_program, program)
    run(["strip", "--strip-debug", program])
    world.gateway_program = program
    output = os.path.join(folder, "callgrind.out")
    rows, warm = 100_000, 1_000
    world.start_gateway("--workers", "1", under=(
        "valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={output}"))
    world.bench("flatout", rows=rows, sessions=1, batch=1000, warm=warm, timeout=300)
    world.stop_gateway()
    listing = run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", output])
    found = {}
    for line in listing.splitlines():
        match = re.match(r"\s*([\d,]+) \([^)]*\)\s+(?:\S*:)?(\S+) ?", line)
        for name, pattern in FUNCTIONS.items():
            if match and name not in found and re.search(pattern, match[2]):
                found[name] = int(match[1].replace(",", "")) / (rows + warm)
    missing = set(FUNCTIONS) - set(found)
    if missing:
        raise BenchError(f"callgrind does not name {', '.join(sorted(missing))}: was it renamed?")
    return found


def judge(kind, found, budgets):
    """Prints every figure beside its budget; returns how many are well and how many not."""
    good = bad = 0
    for name, figure in found.items():
        budget = budgets.get(name)
        is_good = False
        if budget is None:
            verdict = "has no budget"
        elif figure > FACTORS[kind] * budget:
            verdict = f"FAILED: more than {FACTORS[kind]} times the budget of {budget:g}"
        elif figure < LEAST * budget:
            verdict = f"FAILED: so far below the budget of {budget:g} that it may go: --update"
        else:
            verdict = f"budget {budget:g}"
            is_good = True
        good, bad = good + is_good, bad + (not is_good)
        print(f"{kind} {name}: {figure:.1f}, {verdict}", flush=True)
    return good, bad


def stopped(number, _frame):
    raise SystemExit(128 + number)


def main():
    parser = argparse.ArgumentParser(prog="scripts/budgets", description=__doc__)
    parser.add_argument("--release", action="store_true",
                        help="judge the release build, and count instructions as well")
    parser.add_argument("--update", action="store_true",
                        help="make what is measured the budget; say why in the commit")
    options = parser.parse_args()
    build = "release" if options.release else "debug"
    path = os.path.join(HERE, "budgets.json")
    with open(path, encoding="utf-8") as file:
        budgets = json.load(file)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stopped)
    folder = tempfile.mkdtemp(prefix="sluice-budgets.")
    os.chmod(folder, 0o755)
    world = World(REPOSITORY, os.environ["BENCH_BINARIES"], folder)
    try:
        world.open("--no-fsync")
        found = {"allocations": allocations(world, folder)}
        if options.release:
            found["instructions"] = instructions(world, folder)
    finally:
        world.close()
        shutil.rmtree(folder, ignore_errors=True)
    if options.update:
        for kind, figures in found.items():
            budgets[kind][build] = {name: round(figure, 1) for name, figure in figures.items()}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(budgets, file, indent=1)
            file.write("\n")
    sums = [judge(kind, figures, budgets[kind].get(build, {})) for kind, figures in found.items()]
    good, bad = (sum(column) for column in zip(*sums))
    print(f"{good} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BenchError, subprocess.TimeoutExpired) as error:
        print(f"error: {error}\n0 passed, 1 failed")
        sys.exit(1)
