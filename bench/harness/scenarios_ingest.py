"""Ingest against psql's COPY BINARY: the same rows into the same partitioned table."""

from measure import Goal, at_least, compare, interleave, percentile_chart, time_chart

SESSIONS = 8


def copy_arms(world, rows, base):
    """COPY of the rows on two connections and on one."""
    half = rows // 2
    first = world.rows_file("first.rows", rows=half, base=base)
    second = world.rows_file("second.rows", rows=rows - half, base=base, **{"from": half})

    def arm(files, count):
        def copy():
            sample = world.copy(files)
            return {**sample, "rate": count / sample["seconds"], "values": count}
        return copy

    # One connection gets half of the rows: it is a rate that is compared.
    return {"COPY on 2 connections": arm([first, second], rows),
            "COPY on 1 connection": arm([first], half)}


def flat_out(world, rows, base, **settings):
    def ingest():
        options = {"rows": rows, "base": base, "sessions": SESSIONS, "batch": 1000, **settings}
        return world.bench("flatout", **options)
    return ingest


def gateway_cost(name, lane, samples, settings):
    """What a value costs the gateway, from the socket to COPY."""
    return compare(
        name, f"processor time of the gateway, kernel counted, {lane}", "us/value", samples,
        figure=lambda s: s["cpu_seconds"]["gateway"] / s["values"] * 1e6, settings=settings,
        goal=Goal("at most 0.15 us", lambda mine, peer, ratio: mine <= 0.15))


def durable(world, plan):
    """DURABLE ingest, 1,000-value batches, 8 sessions, with 0, 1 and 10 % hot values."""
    world.start_gateway()
    rows, base = plan.rows(2_000_000), plan.base
    arms = {
        "DURABLE": flat_out(world, rows, base),
        "DURABLE, 1 % hot": flat_out(world, rows, base, hot=1),
        "DURABLE, 10 % hot": flat_out(world, rows, base, hot=10),
        **copy_arms(world, rows, base),
    }
    # An arm lasts little more than a second.
    found = interleave(plan, arms, world.empty, times=2)
    ours, two = found["DURABLE"], found["COPY on 2 connections"]
    settings = {"rows": rows, "sessions": SESSIONS, "batch": 1000}
    results = [
        compare("durable", "DURABLE ingest", "values/s", ours, two, goal=at_least(0.9),
                peer_name="psql COPY BINARY, 2 connections", settings=settings),
        compare("durable-copy-1", "DURABLE ingest against one connection", "values/s", ours,
                found["COPY on 1 connection"], peer_name="psql COPY BINARY, 1 connection",
                settings=settings),
    ]
    for percent in (1, 10):
        results.append(compare(
            f"durable-hot-{percent}", f"DURABLE ingest, {percent} % hot values", "values/s",
            found[f"DURABLE, {percent} % hot"], two, settings={**settings, "hot_percent": percent},
            peer_name="psql COPY BINARY, 2 connections, without any fold"))
    results.append(gateway_cost("gateway-cpu", "DURABLE", ours, settings))
    return results, [time_chart("DURABLE ingest: values a second over time",
                                {name: found[name] for name in list(arms)[:3]})]


def staged(world, plan):
    """STAGED ingest until durable, 1,000-value batches, 8 sessions."""
    world.start_gateway()
    rows, base = plan.rows(2_000_000), plan.base
    copies = copy_arms(world, rows, base)
    arms = {"STAGED": flat_out(world, rows, base, lane="staged"),
            "COPY on 2 connections": copies["COPY on 2 connections"]}
    found = interleave(plan, arms, world.empty)
    settings = {"rows": rows, "sessions": SESSIONS, "batch": 1000}
    results = [
        compare("staged", "STAGED ingest until durable", "values/s", found["STAGED"],
                found["COPY on 2 connections"], goal=at_least(0.55),
                peer_name="psql COPY BINARY, 2 connections", settings=settings),
        gateway_cost("gateway-cpu-staged", "STAGED, until durable", found["STAGED"], settings),
    ]
    chart = time_chart("STAGED ingest: durable values a second over time",
                       {"STAGED": found["STAGED"]})
    return results, [chart]


GUARD = "sluice.commit_group"


def guard(world, plan):
    """What exactly-once costs: ingest beside a database whose guard does nothing."""
    world.start_gateway()
    rows, base = plan.rows(2_000_000), plan.base
    real = world.sql(f"SELECT pg_get_functiondef('{GUARD}'::regproc)")
    # The same signature, and neither producers nor their positions are looked at or kept.
    head = real[:real.index("AS $function$")]
    nothing = head + "AS $function$ BEGIN RETURN 0; END $function$"

    def under(definition, mode, **settings):
        def arm():
            world.sql(definition)
            return world.bench(mode, base=base, **settings)
        return arm

    large = {"rows": rows, "sessions": SESSIONS, "batch": 1000}
    small = {"sessions": 1000, "batch": 10, "window": 1 << 16, "warmup": plan.warmup,
             "seconds": plan.seconds}
    try:
        found = interleave(plan, {
            "1,000-value batches": under(real, "flatout", **large),
            "1,000-value batches, no guard": under(nothing, "flatout", **large),
            "1,000 producers": under(real, "lockstep", **small),
            "1,000 producers, no guard": under(nothing, "lockstep", **small),
        }, world.empty)
    finally:
        world.sql(real)
    results = [
        compare("guard", "DURABLE ingest, 1,000-value batches, with the guard", "values/s",
                found["1,000-value batches"], found["1,000-value batches, no guard"],
                goal=at_least(0.95), peer_name="the same without the guard", settings=large),
        compare("guard-producers", "1,000 producers of 10-value batches, with the guard",
                "values/s", found["1,000 producers"], found["1,000 producers, no guard"],
                peer_name="the same without the guard",
                settings={"sessions": 1000, "batch": 10}),
    ]
    large_arms = {name: samples for name, samples in found.items() if "batches" in name}
    small_arms = {name: samples for name, samples in found.items() if "producers" in name}
    return results, [time_chart("DURABLE ingest with and without the guard", large_arms),
                     percentile_chart("Ack of 1,000 producers with and without the guard",
                                      small_arms)]


def batch_sizes(world, plan):
    """DURABLE ingest with batches of 1 to 10,000 values."""
    world.start_gateway()
    rows, base = plan.rows(1_000_000), plan.base
    # Small batches are slower; each size shall take about as long.
    counts = {1: rows // 50, 10: rows // 5, 100: rows, 1000: rows, 10000: rows}
    arms = {f"batches of {size}": flat_out(world, count, base, batch=size)
            for size, count in counts.items()}
    arms["COPY on 2 connections"] = copy_arms(world, rows, base)["COPY on 2 connections"]
    found = interleave(plan, arms, world.empty)
    two = found["COPY on 2 connections"]
    results = [
        compare(f"batch-{size}", f"DURABLE ingest, batches of {size}", "values/s",
                found[f"batches of {size}"], two, peer_name="psql COPY BINARY, 2 connections",
                settings={"rows": count, "sessions": SESSIONS, "batch": size})
        for size, count in counts.items()
    ]
    chart = {"kind": "points", "title": "DURABLE ingest by batch size",
             "x": "values a batch", "y": "values/s", "x_log": True,
             "series": [["ours", [[size, result["ours"]] for size, result
                                  in zip(counts, results)]],
                        ["COPY on 2 connections",
                         [[size, results[0]["peer"]] for size in counts]]]}
    return results, [chart]


def stored(world, plan, sizes=(0, 1_000_000, 10_000_000), times=2):
    """DURABLE ingest beside rows that are stored already."""
    world.start_gateway()
    rows, base = plan.rows(1_000_000), plan.base
    sizes = [size if size <= 0 else plan.rows(size) for size in sizes]
    found = {size: [] for size in sizes}
    measure = flat_out(world, rows, base)
    plan.progress("warm-up")
    measure()
    # Rounds fill up step by step: the sizes of one round are neighbours in time. Arms last less
    # than a second, so there are `times` as many rounds.
    rounds = times * plan.rounds
    for number in range(rounds):
        world.empty()
        have = 0
        for size in sizes:
            plan.progress(f"round {number + 1} of {rounds}: {size:,} rows stored")
            if size > have:
                world.fill(size - have, base)
                have = size
            world.checkpoint()
            found[size].append(measure())
            have += rows
    empty = found[sizes[0]]
    results = [
        compare(f"stored-{size}", f"DURABLE ingest with {size:,} rows stored", "values/s",
                found[size], empty, peer_name="the same into an empty table",
                settings={"rows": rows, "stored": size},
                goal=Goal("within 10 % of an empty table", lambda mine, peer, ratio: ratio >= 0.9))
        for size in sizes[1:]
    ]
    chart = {"kind": "points", "title": "DURABLE ingest by rows stored", "x": "rows stored",
             "y": "values/s", "x_log": False,
             "series": [["ours", [[sizes[0], results[0]["peer"]]]
                         + [[size, one["ours"]] for size, one in zip(sizes[1:], results)]]]}
    return results, [chart]


def stored_more(world, plan):
    """The same with 100 M rows stored: some 10 GB of disk and several minutes a round."""
    return stored(world, plan, (0, 100_000_000), times=1)
