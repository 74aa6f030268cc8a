"""Entities: point reads, upserts, both in turn, and what the cache answers."""

import contextlib
import re
import statistics
import time

import processes
from measure import Goal, at_least, both_charts, compare, interleave, percentile
from pooler import Pooler
from scenarios_ack import BARE_COMMIT
from world import BenchError, curve, run

ENTITIES = 10_000
SELECT = (
    "\\set entity random(:first, :last)\n"
    "SELECT hot_attrs, hot_times, version FROM sluice.entity_jsonb"
    " WHERE tenant_id = 1 AND entity_id = :entity;\n"
)


def prepare_entities(world, plan):
    """10,000 entities with ten hot values each; their ids follow each other."""
    plan.progress("10,000 entities with ten hot values")
    world.bench("flatout", rows=ENTITIES * 10, entities=ENTITIES, hot=100, batch=1000,
                base=plan.base, warm=10, timeout=300)
    world.sql("VACUUM ANALYZE sluice.entity_jsonb", "VACUUM ANALYZE sluice.entities")
    found = world.sql("SELECT min(entity_id), max(entity_id), count(*) FROM sluice.entity_jsonb")
    first, last, count = map(int, found.split("|"))
    if count < ENTITIES or last - first + 1 != count:
        raise BenchError(f"the entities' ids have gaps: {found}")
    return {"first": first, "last": last}


def calls(world, plan, method, **settings):
    """Calls of one method, one after another from each of 64 callers on one connection."""
    return world.bench("calls", **{"method": method, "callers": 64, "entities": ENTITIES,
                                   "warmup": plan.warmup, "seconds": plan.seconds, **settings})


def point_reads(world, plan):
    """STRONG GetEntity by id from 64 callers on one connection."""
    world.start_gateway()
    ids = prepare_entities(world, plan)
    arms = {
        "GetEntity": lambda: calls(world, plan, "get"),
        "pgbench": lambda: world.best_pgbench(SELECT, plan, sampling=0.05, **ids),
    }
    found = interleave(plan, arms, world.checkpoint)
    result = compare(
        "get-entity", "STRONG point reads, 64 callers", "reads/s", found["GetEntity"],
        found["pgbench"], goal=at_least(1.5),
        peer_name="pgbench prepared SELECT, best of 8 to 64 clients",
        settings={"callers": 64, "entities": ENTITIES,
                  "peer_clients": [one["clients"] for one in found["pgbench"]]})
    return [result], both_charts("One point read", found, "reads/s")


def pooler(world, plan):
    """STRONG GetEntity through PgBouncer in transaction mode, beside pgbench through the same."""
    servers = 8
    with Pooler(world, servers) as between:
        world.start_gateway("--pooled-dsn", between.dsn)
        ids = prepare_entities(world, plan)
        world.parties["pgbouncer"] = lambda: processes.processor_seconds(between.pid)
        try:
            # A session there belongs to everyone: nothing can be prepared.
            arms = {
                "GetEntity": lambda: calls(world, plan, "get"),
                "pgbench": lambda: world.best_pgbench(
                    SELECT, plan, sampling=0.05, dsn=between.dsn, protocol="extended", **ids),
            }
            found = interleave(plan, arms, world.checkpoint)
        finally:
            del world.parties["pgbouncer"]
            world.stop_gateway()
    result = compare(
        "pooler", "STRONG point reads through PgBouncer, 64 callers", "reads/s",
        found["GetEntity"], found["pgbench"],
        peer_name="pgbench extended SELECT through PgBouncer, best of 8 to 64 clients",
        settings={"callers": 64, "entities": ENTITIES, "server_connections": servers,
                  "peer_clients": [one["clients"] for one in found["pgbench"]]})
    return [result], both_charts("One point read through PgBouncer", found, "reads/s")


# What a service without us would send: the document merged, the time remembered.
UPSERT = (
    "\\set entity random(:first, :last)\n\\set attribute random(:attribute0, :attribute0 + 9)\n"
    "\\set value random(0, 1000000)\n"
    "INSERT INTO sluice.entity_jsonb AS j (tenant_id, entity_id, version, hot_attrs, hot_times)"
    " VALUES (1, :entity, 1, jsonb_build_object(:attribute::text, :value::float8 / 2),"
    " jsonb_build_object(:attribute::text, (extract(epoch FROM clock_timestamp()) * 1e6)::bigint))"
    " ON CONFLICT (tenant_id, entity_id) DO UPDATE SET version = j.version + 1,"
    " hot_attrs = j.hot_attrs || excluded.hot_attrs,"
    " hot_times = j.hot_times || excluded.hot_times;\n"
)


def first_hot_attribute(world):
    return int(world.sql("SELECT attribute_id FROM sluice.attributes WHERE name = 'bench.hot.0'"))


def upserts(world, plan):
    """UpsertEntity from 64 callers on one connection: history row and projection, durable."""
    world.start_gateway()
    ids = prepare_entities(world, plan)
    ids["attribute0"] = first_hot_attribute(world)
    arms = {
        "UpsertEntity": lambda: calls(world, plan, "upsert"),
        "pgbench": lambda: world.best_pgbench(UPSERT, plan, sampling=0.2, **ids),
    }
    found = interleave(plan, arms, world.checkpoint)
    result = compare(
        "upserts", "grouped upserts, 64 callers", "upserts/s", found["UpsertEntity"],
        found["pgbench"], goal=at_least(3),
        peer_name="pgbench prepared single-row upsert without history, best of 8 to 64 clients",
        settings={"callers": 64, "entities": ENTITIES,
                  "peer_clients": [one["clients"] for one in found["pgbench"]]})
    return [result], both_charts("One upsert", found, "upserts/s")


def read_after_write(world, plan):
    """An upsert and the STRONG read that sees it, by one caller, beside a bare commit."""
    world.start_gateway()
    prepare_entities(world, plan)
    arms = {
        "upsert, then get": lambda: calls(world, plan, "write-read", callers=1),
        "bare commit": lambda: world.pgbench(BARE_COMMIT, 1, plan.seconds),
    }
    found = interleave(plan, arms, world.checkpoint)
    result = compare(
        "read-after-write", "upsert, then STRONG get, p95 of both together", "ms",
        found["upsert, then get"], found["bare commit"], lambda s: percentile(s, 95),
        goal=Goal("at most 3x the p95 of a bare commit + 1 ms",
                  lambda mine, peer, ratio: mine <= 3 * peer + 1),
        peer_name="bare commit, pgbench, 1 client", settings={"callers": 1})
    return [result], both_charts("Upsert, then STRONG get", found, "pairs/s")


def redis_calls(world, kind, count):
    """What redis-benchmark says of so many calls, of values as long as an entity's."""
    host, port = world.environment["SLUICE_REDIS"].rsplit(":", 1)
    return run(["redis-benchmark", "-h", host, "-p", port, "-t", kind, "-c", "64", "-n",
                str(count), "-d", "400", "-r", str(ENTITIES), "-q", "--precision", "3"], 120)


def redis_benchmark(world, plan):
    """GET of values as long as an entity's, from 64 clients."""
    meter = world.meter(client=processes.children_seconds)
    begin = time.monotonic()
    meter.start()
    output = redis_calls(world, "get", plan.rows(400_000))
    used = meter.stop()
    found = re.search(r"GET: ([\d.]+) requests per second, p50=([\d.]+) msec", output)
    if not found:
        raise BenchError(f"redis-benchmark said: {output[-200:]}")
    middle = float(found[2]) * 1000
    return {"rate": float(found[1]), "seconds": time.monotonic() - begin, "cpu_seconds": used,
            "peak_rss_bytes": {}, "curve_us": curve([middle]), "latencies": 1}


@contextlib.contextmanager
def redis_counted(world):
    """Redis' processor time is told as well."""
    pid = world.redis()
    world.parties["redis"] = lambda: processes.processor_seconds(pid)
    try:
        yield
    finally:
        del world.parties["redis"]


def cache(world, plan):
    """Cached point reads beside STRONG ones through the same gateway, and redis-benchmark."""
    world.start_gateway("--redis", world.environment["SLUICE_REDIS"])
    prepare_entities(world, plan)
    # Nearly all keys that redis-benchmark asks for are there.
    redis_calls(world, "set", 5 * ENTITIES)
    # A cache joins its epoch with the second sign of life.
    time.sleep(3)
    arms = {
        "cached": lambda: calls(world, plan, "get", level="eventual"),
        "STRONG": lambda: calls(world, plan, "get", level="strong"),
        "redis-benchmark": lambda: redis_benchmark(world, plan),
    }
    with redis_counted(world):
        found = interleave(plan, arms)
    rates = [one["hits"] / max(1, one["values"]) for one in found["cached"]]
    load, strong = (statistics.median(one["cpu_seconds"]["postgres"] / one["values"]
                                      for one in found[name]) for name in ("cached", "STRONG"))
    results = [
        compare("cache", "cached point reads, 64 callers", "reads/s", found["cached"],
                found["STRONG"], peer_name="STRONG reads, same gateway",
                # The rest are misses, and the gateway's own looks at the primary's position.
                goal=Goal("at least 1x the peer, for a fifth of its load on PostgreSQL at most",
                          lambda mine, peer, ratio: ratio >= 1 and load <= strong / 5),
                settings={"callers": 64, "entities": ENTITIES}, hit_rates=rates,
                postgres_us_a_read=[round(load * 1e6, 2), round(strong * 1e6, 2)]),
        compare("cache-redis", "cached point reads, 64 callers", "reads/s", found["cached"],
                found["redis-benchmark"], peer_name="redis-benchmark GET, 64 clients",
                settings={"callers": 64, "entities": ENTITIES}, hit_rates=rates),
    ]
    return results, both_charts("One cached read", {
        name: found[name] for name in ("cached", "STRONG")}, "reads/s")


def read_mix(world, plan):
    """STRONG and EVENTUAL reads in turn, with a cache and without one."""
    ids = {}

    def mixed(*options):
        def arm():
            world.start_gateway(*options)
            ids.update(ids or prepare_entities(world, plan))
            time.sleep(3)
            return calls(world, plan, "mix")
        return arm

    with redis_counted(world):
        found = interleave(plan, {
            "with cache": mixed("--redis", world.environment["SLUICE_REDIS"]), "without": mixed()})
    rates = [one["hits"] / max(1, one["values"]) for one in found["with cache"]]
    result = compare(
        "read-mix", "STRONG and EVENTUAL reads in turn, 64 callers", "reads/s",
        found["with cache"], found["without"], peer_name="the same without a cache",
        settings={"callers": 64, "entities": ENTITIES}, hit_rates=rates)
    return [result], both_charts("One read of the mix", found, "reads/s")
