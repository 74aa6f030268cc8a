"""How long an ack takes: small batches, many producers, and under rising load."""

import statistics

from measure import Goal, both_charts, compare, interleave, percentile, percentile_chart

BARE_COMMIT = "INSERT INTO bench_commit DEFAULT VALUES;\n"


def p95(sample):
    return percentile(sample, 95)


def small_batches(world, plan):
    """10,000 values/s from 100 sessions of 10-value batches: ack p95 beside a bare commit."""
    world.start_gateway()

    def offered(lane):
        return lambda: world.bench(
            "offered", sessions=100, batch=10, rate=10_000, lane=lane, base=plan.base,
            warmup=plan.warmup, seconds=plan.seconds)

    arms = {"DURABLE": offered("durable"), "STAGED": offered("staged"),
            "bare commit": lambda: world.pgbench(BARE_COMMIT, 1, plan.seconds)}
    found = interleave(plan, arms, world.empty)
    goals = {
        "DURABLE": Goal("at most 2x the p95 of a bare commit + 1 ms",
                        lambda mine, peer, ratio: mine <= 2 * peer + 1),
        "STAGED": Goal("at most the p95 of a bare commit + 1 ms",
                       lambda mine, peer, ratio: mine <= peer + 1),
    }
    results = [
        compare(f"ack-{lane.lower()}", f"ack p95 at 10,000 values/s, {lane}", "ms", found[lane],
                found["bare commit"], p95, goal, "bare commit, pgbench, 1 client",
                settings={"sessions": 100, "batch": 10, "rate": 10_000})
        for lane, goal in goals.items()
    ]
    return results, both_charts("Ack at 10,000 values/s, 100 sessions of 10", found)


def insert_script(count, largest):
    """A multi-row INSERT of as many values, each with an entity of its own draw."""
    draws = "".join(f"\\set e{i} random(1, {largest})\n" for i in range(count))
    values = ", ".join(f"(:e{i}, now(), 1, 1, {i} * 0.5)" for i in range(count))
    return (draws + "INSERT INTO sluice.entity_values"
            f" (entity_id, observed_at, tenant_id, attribute_id, number) VALUES {values};\n")


def producers(world, plan):
    """1,000 producers with one 10-value batch each under way, beside multi-row INSERTs."""
    world.start_gateway()

    def lockstep():
        return world.bench("lockstep", sessions=1000, batch=10, base=plan.base, window=1 << 16,
                           warmup=plan.warmup, seconds=plan.seconds)

    def insert():
        best = world.best_pgbench(insert_script(10, 1000), plan, sampling=0.2)
        return {**best, "rate": best["rate"] * 10}

    found = interleave(plan, {"1,000 producers": lockstep, "INSERT": insert}, world.empty)
    results = [compare(
        "producers-1000", "1,000 producers of 10-value batches", "values/s",
        found["1,000 producers"], found["INSERT"],
        peer_name="pgbench multi-row INSERT, prepared, best of 8 to 64 clients",
        settings={"sessions": 1000, "batch": 10,
                  "peer_clients": [one["clients"] for one in found["INSERT"]]})]
    return results, both_charts("Ack of 1,000 producers, each with one batch under way", found)


def load(world, plan):
    """Ack p95 against offered load up to saturation, 8 sessions of 1,000-value batches."""
    world.start_gateway()
    shares = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1)
    rows = plan.rows(2_000_000)
    plan.progress("what saturates")
    most = []
    for _ in range(3):
        world.empty()
        most.append(world.bench("flatout", rows=rows, sessions=8, batch=1000,
                                base=plan.base)["rate"])
    saturation = statistics.median(most)

    def offered(share):
        return lambda: world.bench(
            "offered", sessions=8, batch=1000, rate=int(saturation * share), base=plan.base,
            warmup=plan.warmup, seconds=plan.seconds, grace=10)

    arms = {f"{share:.0%} of saturation": offered(share) for share in shares}
    alone = "COPYs at 50% of saturation"
    batch = world.rows_file("batch.rows", rows=1000, base=plan.base)
    arms[alone] = lambda: world.copies(batch, saturation / 2 / 1000, plan.seconds)
    found = interleave(plan, arms, world.empty)
    steps = []
    for share, samples in zip(shares, found.values()):
        steps.append({
            "share": share, "offered": int(saturation * share),
            "confirmed": statistics.median(one["rate"] for one in samples),
            "p50_ms": statistics.median(percentile(one, 50) for one in samples),
            "p95_ms": statistics.median(p95(one) for one in samples),
            "unanswered": max(one["unanswered"] for one in samples),
        })
    name_knee(steps)
    knee = next((step for step in steps if step.get("knee")), None)
    result = compare(
        "ack-half-load", "ack p95 at half of saturation", "ms", found["50% of saturation"],
        found[alone], figure=p95,
        goal=Goal("at most 10 ms", lambda mine, peer, ratio: mine <= 10),
        peer_name="COPYs of a batch by pgbench, 8 clients, as many a second; it begins them at"
                  " random times, ours are due evenly",
        settings={"sessions": 8, "batch": 1000, "saturation": round(saturation)}, steps=steps,
        knee=knee and knee["offered"])
    points = [[step["offered"], step["p95_ms"]] for step in steps]
    chart = {"kind": "points", "title": "Ack p95 by offered load", "x": "values/s offered",
             "y": "ms", "x_log": False, "y_log": True, "series": [["p95", points]],
             "mark": knee and [knee["offered"], knee["p95_ms"], "knee"]}
    curves = percentile_chart("Ack by share of saturation",
                              {name: found[name] for name in list(arms)[1:5]})
    return [result], [chart, curves]


def name_knee(steps):
    """The knee: the highest load before p95 is three times that of the step below, or acks fall
    behind what is offered by more than 5 %; none when no load was too high."""
    for past, step in zip(steps, steps[1:]):
        if step["p95_ms"] > 3 * past["p95_ms"] or step["confirmed"] < 0.95 * step["offered"]:
            past["knee"] = True
            return
