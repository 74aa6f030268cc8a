"""Unary calls, history and aggregates, and connections that do nothing."""

import json
import os
import statistics
import subprocess
import sys
import time

import processes
from measure import (
    NO_GOAL, Goal, at_least, both_charts, compare, interleave, percentile, time_chart,
)
from scenarios_ingest import flat_out
from world import SERIES, BenchError, lines, run


def unary(world, plan):
    """Health checks, 64 in flight on one connection, beside a stock Go ttrpc pair."""
    world.start_gateway()
    program = world.path("ttrpcpair")
    source = os.path.join(world.repository, "bench", "peers", "ttrpc")
    go = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "CGO_ENABLED": "0",
          "GOPROXY": "off", "GOCACHE": world.path("go-cache")}
    run(["go", "build", "-o", program, "."], 300, cwd=source, env={**os.environ, **go})
    server = world.spawn([program, "server"], stdout=subprocess.PIPE, text=True,
                         stdin=subprocess.DEVNULL)
    address = next(lines(server, 20)).strip()

    def pair():
        meter = world.meter(client=processes.children_seconds,
                            server=lambda: processes.processor_seconds(server.pid))
        meter.start()
        output = run([program, "client", address, "64", str(plan.warmup), str(plan.seconds)],
                     timeout=plan.seconds + 60)
        return {**json.loads(output), "cpu_seconds": meter.stop(),
                "peak_rss_bytes": {"server": processes.memory(server.pid)}}

    def ours():
        return world.bench("calls", method="health", callers=64, warmup=plan.warmup,
                           seconds=plan.seconds)

    try:
        found = interleave(plan, {"Sluice": ours, "Go ttrpc": pair})
    finally:
        server.kill()
        server.wait()
    result = compare("unary", "unary call, 64 in flight, one connection", "calls/s",
                     found["Sluice"], found["Go ttrpc"], goal=at_least(2),
                     peer_name="stock Go ttrpc client and server", settings={"callers": 64})
    return [result], both_charts("One unary call, 64 in flight", found, "calls/s")


# ---- Stored history ----

STEP, DAY = 10, 86_400
RANGES = {"1m": 60, "1h": 3_600, "6h": 21_600, "1d": 86_400}
WHERE = (
    " FROM sluice.entity_values WHERE tenant_id = 1 AND entity_id = :entity AND attribute_id ="
    " :attribute AND observed_at >= to_timestamp(:start) AND observed_at < to_timestamp(:start)"
    " + :length * interval '1 second'"
)
RAW = "SELECT observed_at, number" + WHERE + " ORDER BY observed_at;\n"
BUCKETS = (
    "SELECT date_bin('300 s', observed_at, '2000-01-01'), count(number), min(number), max(number),"
    " avg(number), sum(number)" + WHERE + " GROUP BY 1 ORDER BY 1;\n"
)
DRAW = (
    "\\set entity random(:first, :last)\n\\set attribute random(:attribute0, :attribute0 + 9)\n"
    "\\set start :base + random(0, greatest(1, 86400 - :length))\n"
)


def store_day(world, plan):
    """A day of 1,000 series (100 entities, 10 attributes), a value every 10 s, as it comes in."""
    plan.progress("storing a day: 8,640,000 values" if not plan.is_quick else "storing a day")
    world.empty()
    # Makes the names, with ids that the gateway knows.
    world.bench("flatout", rows=1000, entities=SERIES, batch=100, base=plan.base, warm=10)
    world.empty()
    first, last = map(int, world.sql(
        "SELECT min(entity_id), max(entity_id) FROM sluice.entities"
        f" WHERE external_key IN (SELECT 'bench-' || i FROM generate_series(0, {SERIES - 1}) i)"
    ).split("|"))
    if last - first + 1 != SERIES:
        raise BenchError(f"the ids of {SERIES} entities are {first} to {last}")
    attribute = int(world.sql(
        "SELECT attribute_id FROM sluice.attributes WHERE name = 'bench.cold.0'"))
    step = STEP * 30 if plan.is_quick else STEP
    base = plan.base // 1_000_000
    world.sql(
        "INSERT INTO sluice.entity_values"
        " (entity_id, observed_at, tenant_id, attribute_id, number)"
        f" SELECT e, to_timestamp({base} + t), 1, {attribute} + a, t * 0.5 + e"
        f" FROM generate_series(0, {DAY - 1}, {step}) t, generate_series({first}, {last}) e,"
        " generate_series(0, 9) a", timeout=1800)
    world.sql("VACUUM ANALYZE sluice.entity_values", timeout=600)
    world.checkpoint()
    return {"first": first, "last": last, "attribute0": attribute, "base": base}


def history(world, plan):
    """Raw points and buckets of one series by length of the range, out of a stored day."""
    world.start_gateway()
    known = store_day(world, plan)
    results, charts = [], []
    for kind, script in (("history", RAW), ("aggregate", BUCKETS)):
        found = {}
        for label, length in RANGES.items():
            arms = {
                "ours": lambda length=length: world.bench(
                    "reads", kind=kind, range=length, entities=SERIES, base=plan.base,
                    stored=DAY, warmup=0.2, seconds=plan.seconds),
                "SQL": lambda length=length: world.pgbench(
                    DRAW + script, 1, plan.seconds, length=length, **known),
            }
            plan.label = f"{kind} {label}"
            found[label] = interleave(plan, arms)
            plan.label = ""
        for label in RANGES:
            results.append(compare(
                f"{kind}-{label}", f"{kind} of one series over {label}, median", "ms",
                found[label]["ours"], found[label]["SQL"], lambda s: percentile(s, 50),
                goal=Goal("printed honestly: rows are scanned until sealing comes",
                          lambda mine, peer, ratio: None) if label == "1h" else NO_GOAL,
                peer_name="the same in SQL, pgbench, 1 client",
                settings={"series": SERIES * 10, "step_seconds": STEP, "callers": 1}))
        charts.append({
            "kind": "points", "title": f"{kind} by length of the range", "x": "seconds",
            "y": "ms", "x_log": True, "y_log": True,
            "series": [[arm, [[RANGES[label], statistics.median(
                percentile(s, 50) for s in found[label][arm])] for label in RANGES]]
                for arm in ("ours", "SQL")]})
    return results, charts


# ---- Idle connections ----

IDLE = 10_000


def idle(world, plan):
    """10,000 connections that do nothing, beside full load."""
    world.start_gateway()
    rows, count = plan.rows(2_000_000), IDLE
    load = flat_out(world, rows, plan.base)
    each = []

    def beside():
        before = processes.memory(world.gateway.pid, "VmRSS")
        holder = world.spawn(
            [sys.executable, os.path.join(os.path.dirname(__file__), "idle.py"), world.address,
             str(count)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        try:
            next(lines(holder, 120))
            time.sleep(0.5)
            each.append((processes.memory(world.gateway.pid, "VmRSS") - before) / count)
            sample = load()
            holder.stdin.write("\n")
            holder.stdin.flush()
            alive = int(next(lines(holder, 120)))
            if alive != count:
                raise BenchError(f"of {count} idle connections {alive} answer after the load")
            return sample
        finally:
            holder.kill()
            holder.wait()
            time.sleep(0.5)

    found = interleave(plan, {"with": beside, "without": load}, world.empty)
    # The first time counts: later ones find memory that the allocator kept.
    bytes_each = each[0]
    result = compare(
        "idle", f"DURABLE ingest beside {count:,} idle connections", "values/s", found["with"],
        found["without"], peer_name="the same without them",
        goal=Goal("at most 4 KiB a connection in the gateway",
                  lambda mine, peer, ratio: bytes_each <= 4096),
        settings={"connections": count, "rows": rows},
        bytes_a_connection=round(bytes_each), bytes_a_connection_all=[round(b) for b in each])
    return [result], [time_chart("DURABLE ingest beside 10,000 idle connections", {
        f"{name} them": samples for name, samples in found.items()})]
