"""Runs scenarios one after another and writes what they found. Started by scripts/bench."""

import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import processes
import report
import scenarios_ack
import scenarios_entities
import scenarios_ingest
import scenarios_read
from world import BenchError, World

# Most important first.
SCENARIOS = {
    "durable": scenarios_ingest.durable,
    "staged": scenarios_ingest.staged,
    "small-batches": scenarios_ack.small_batches,
    "producers": scenarios_ack.producers,
    "guard": scenarios_ingest.guard,
    "batch-sizes": scenarios_ingest.batch_sizes,
    "get-entity": scenarios_entities.point_reads,
    "upserts": scenarios_entities.upserts,
    "read-after-write": scenarios_entities.read_after_write,
    "cache": scenarios_entities.cache,
    "read-mix": scenarios_entities.read_mix,
    "pooler": scenarios_entities.pooler,
    "unary": scenarios_read.unary,
    "idle": scenarios_read.idle,
    "load": scenarios_ack.load,
    "history": scenarios_read.history,
    "stored": scenarios_ingest.stored,
}

# Only when they are named.
ON_REQUEST = {"stored-100m": scenarios_ingest.stored_more}


class Plan:
    """How long and how often; and where progress is shown."""

    def __init__(self, rounds, is_quick):
        self.rounds = rounds
        self.is_quick = is_quick
        self.seconds = 2 if is_quick else 4
        self.warmup = 0.3 if is_quick else 1
        # The day that is stored ends an hour ago: nothing is observed in the future.
        self.base = (int(time.time()) - 90_000) * 1_000_000
        self.scenario = ""
        self.label = ""
        self.started = time.monotonic()

    def rows(self, count):
        return max(1000, count // 20) if self.is_quick else count

    def progress(self, text):
        passed = int(time.monotonic() - self.started)
        where = f"{self.scenario} {self.label}".strip()
        print(f"bench: {passed // 60:3}:{passed % 60:02}  {where}: {text}", file=sys.stderr)


def text_of(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          stdin=subprocess.DEVNULL, check=False)
    return done.stdout.strip()


def line_of(path, key):
    with open(path, encoding="utf-8") as file:
        return next((line.partition(":")[2].strip() for line in file if line.startswith(key)), "")


def description(world, repository):
    """Machine, commit and settings: what a figure means nothing without."""
    git = ("git", "-C", repository)
    changed = text_of(*git, "status", "--porcelain", "--", "Sources", "Proto", "Package.swift",
                      "scripts", "bench/Sources", "bench/harness", "bench/peers")
    settings = world.sql("SELECT name || '=' || current_setting(name) FROM pg_settings"
                         " WHERE source IN ('configuration file', 'command line')"
                         " AND name !~ 'director|socket|port|file|cluster_name' ORDER BY name")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": text_of(*git, "rev-parse", "--short=12", "HEAD"),
        "has_changes": bool(changed),
        "machine": {
            "processor": line_of("/proc/cpuinfo", "model name"),
            "processors": os.cpu_count(),
            "memory": line_of("/proc/meminfo", "MemTotal"),
            "kernel": platform.release(),
        },
        "versions": {
            "swift": text_of("swift", "--version").splitlines()[:1],
            "postgresql": world.sql("SHOW server_version"),
            "go": text_of("go", "version"),
        },
        "postgresql_settings": settings.splitlines(),
    }


def brief(result):
    """One line for people."""
    def number(value):
        return "-" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    holds = {True: "holds", False: "MISSED", None: ""}[result["holds"]]
    ratio = "-" if result["ratio"] is None else f"{result['ratio']:.2f}"
    spread = result["spread"]
    return (f"{result['name']:<18} {number(result['ours']):>12} {number(result['peer']):>12}"
            f" {ratio:>6}  {number(spread['min']):>9} .. {number(spread['max']):<9}"
            f" {result['unit']:<9} {holds:<7} {result['goal']}")


HEAD = (f"{'name':<18} {'ours':>12} {'peer':>12} {'ratio':>6}  {'spread of ratio or ours':<22}"
        f" {'unit':<9} {'':<7} goal")


def run_all(names, world, plan, run_file, is_json):
    """Every scenario; one that fails does not take the others along."""
    for name in names:
        plan.scenario = name
        busy = processes.busy(1)
        if busy > 0.2:
            plan.progress(f"others are at work ({busy:.1f} processors): the figures will be worse")
        world.options_used.clear()
        try:
            results, charts = {**SCENARIOS, **ON_REQUEST}[name](world, plan)
        except Exception as error:  # whatever it is: the others shall not be lost with it
            reason = str(error) or type(error).__name__
            run_file["failed"].append({"name": name, "reason": reason[:500]})
            print(f"bench: {name} failed: {reason}", file=sys.stderr)
            if not isinstance(error, (BenchError, subprocess.TimeoutExpired)):
                traceback.print_exc()
            continue
        finally:
            world.stop_gateway()
        for number, chart in enumerate(charts):
            chart["file"] = f"{name}-{number + 1}.svg" if number else f"{name}.svg"
        for result in results:
            result["busy_before"] = round(busy, 2)
            result["gateway_options"] = sorted(world.options_used)
            print(json.dumps(result) if is_json else brief(result), flush=True)
        run_file["results"] += results
        run_file["charts"] += charts
    run_file["is_complete"] = True


def stopped(signal_number, _frame):
    print("bench: interrupted; what was started is stopped", file=sys.stderr)
    raise SystemExit(128 + signal_number)


def parse():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="default: all; see --list")
    parser.add_argument("--list", action="store_true", help="name the scenarios and end")
    parser.add_argument("--rounds", type=int, default=5, metavar="N",
                        help="interleaved rounds of each (default 5, the least that is honest)")
    parser.add_argument("--json", action="store_true", help="print results as lines of JSON")
    parser.add_argument("--quick", action="store_true",
                        help="a look whether all works: tiny loads, one round, nothing kept")
    parser.add_argument("--out", metavar="DIR", help="where results go, also those of some"
                        " scenarios or fewer rounds (default: bench, of whole runs only)")
    parser.add_argument("--parse-only", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--report", action="store_true",
                        help="only write RESULTS.md and the charts anew, from the newest results")
    options = parser.parse_args()
    unknown = set(options.scenarios) - set(SCENARIOS) - set(ON_REQUEST)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: no such scenario; see --list")
    if not 1 <= options.rounds <= 100:
        parser.error("--rounds wants 1 to 100")
    return options


def show_list():
    for name, function in {**SCENARIOS, **ON_REQUEST}.items():
        note = "" if name in SCENARIOS else " (on request)"
        print(f"{name:<18} {function.__doc__.splitlines()[0]}{note}")


def main():
    options = parse()
    if options.parse_only:
        return 0
    if options.list:
        return show_list()
    repository = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    target = options.out or os.path.join(repository, "bench")
    if options.report:
        return report.write(target)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stopped)
    folder = tempfile.mkdtemp(prefix="sluice-bench.")
    # As root, the servers run as another user, who has to get through.
    os.chmod(folder, 0o755)
    world = World(repository, os.environ["BENCH_BINARIES"], folder)
    plan = Plan(1 if options.quick else options.rounds, options.quick)
    run_file = {}
    try:
        world.open()
        run_file = {**description(world, repository), "rounds": plan.rounds,
                    "quick": plan.is_quick, "seconds": plan.seconds, "warmup": plan.warmup,
                    "is_complete": False, "results": [], "charts": [], "failed": []}
        if not options.json:
            print(HEAD, flush=True)
        names = options.scenarios or list(SCENARIOS)
        run_all(names, world, plan, run_file, options.json)
    finally:
        if run_file:
            keep(run_file, target, options)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        world.close()
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if run_file["failed"] else 0


def keep(run_file, target, options):
    """Writes the results; into the project only those of all scenarios in enough rounds."""
    if not run_file["results"]:
        return
    is_whole = not options.scenarios and not options.quick and options.rounds >= 5
    if not (is_whole and run_file["is_complete"]) and not options.out:
        if not options.quick:
            print("bench: kept are only runs of all scenarios in 5 rounds or more; --out DIR keeps"
                  " any", file=sys.stderr)
        return
    os.makedirs(os.path.join(target, "results"), exist_ok=True)
    day = run_file["date"][:10]
    path = os.path.join(target, "results", f"{day}-{run_file['commit']}.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(run_file, file, indent=1)
        file.write("\n")
    report.write(target)
    print(f"bench: results in {os.path.relpath(path)}, summary in RESULTS.md", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
