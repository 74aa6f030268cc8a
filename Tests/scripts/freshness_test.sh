#!/usr/bin/env bash
# Tests the rules by which scripts/freshness judges answers: each must find what breaks it.
set -euo pipefail

repository=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
cd "$repository/Tests/Freshness"
PYTHONDONTWRITEBYTECODE=1 python3 - <<'PYTHON'
import struct
from types import SimpleNamespace

from journal import *
from verifier import Verifier

MS = 1_000_000

def token(lsn, timeline=1):
    return struct.pack(">BQIQQI", 1, 7, timeline, lsn, lsn, 0)

def case(*reads, stored=None, failover=None, refused=""):
    """Writes 1, 2, 3, acknowledged at 100, 200 and 300 ms with the positions 10, 20 and 30."""
    entity = Entity(b"e", 0)
    for number in (1, 2, 3):
        entity.writes.append(Write(
            number, number * 100 * MS - 10 * MS, number * 100 * MS, token=token(number * 10)))
    if refused:
        entity.writes.append(Write(4, 390 * MS, refused=refused))
    journal = Journal()
    for read in reads:
        for seen in read.seen:
            seen.entity = entity
        journal.reads.append(read)
    world = SimpleNamespace(journal=journal, entities=[entity], failover=failover,
                            stored=lambda: {b"e": {1, 2, 3} if stored is None else stored})
    return sorted({violation.rule for violation in Verifier(world).run()})

def answer(number, at=350, level=EVENTUAL, bound=1000, claimed=None, source=REPLICA, lsn=None,
           timeline=1, numbers=None, **more):
    fields = {name: more.pop(name) for name in ("degraded", "session") if name in more}
    asked = Asked(level, bound if level in (EVENTUAL, ANALYTICS) else 0, **more)
    seen = Seen(None, number, number, numbers)
    as_of = token(number * 10 if lsn is None else lsn, timeline)
    claimed = {1: 250, 2: 150, 3: 50}.get(number, 400) if claimed is None else claimed
    return Read("r", 0, "get_entity", asked, at * MS, (at + 1) * MS, [seen], source, "node",
                as_of, claimed, **fields)

def absent(**more):
    """What is not there is an answer like any other."""
    return answer(0, **{"claimed": 260, **more})

def finds(rules, *reads, **more):
    found = case(*reads, **more)
    assert found == sorted(rules), f"found {found}, expected {sorted(rules)}"

STRONG_MISS, FUTURE = "STRONG misses a write", "from the future"
finds([], answer(3), answer(2), answer(1), answer(3, level=STRONG, source=PRIMARY, claimed=0))
# Bounds: what was acknowledged before the read began less the bound is owed, and not a moment more.
finds([], answer(2, claimed=50, lsn=25))
finds(["staler than claimed"], answer(2, claimed=49, lsn=25))
finds(["EVENTUAL is older than asked for", "older than asked for, by its own claim"],
      answer(1, bound=100))
finds(["older than asked for, by its own claim"], answer(3, bound=10))
finds([], answer(1, bound=100, may_degrade=True, degraded=True))
finds(["staler than claimed"], answer(1, claimed=10, may_degrade=True, degraded=True))
finds(["degraded without leave"], answer(1, degraded=True))
finds(["ANALYTICS is older than asked for", "older than asked for, by its own claim"],
      answer(1, level=ANALYTICS, bound=100, source=WAREHOUSE))
# Levels and sources.
finds([STRONG_MISS, "staler than claimed"], answer(2, level=STRONG, source=PRIMARY, claimed=0))
finds(["a source that the level does not allow"], answer(3, level=STRONG))
finds(["a source that the level does not allow"], answer(3, level=ANALYTICS))
finds(["a source that the level does not allow"], answer(3, source=WAREHOUSE))
finds([STRONG_MISS, "staler than claimed"], absent(level=STRONG, source=PRIMARY, claimed=0))
finds([], absent(bound=260))
finds(["staler than claimed"], absent(claimed=240))
finds(["EVENTUAL is older than asked for", "older than asked for, by its own claim"],
      absent(bound=240))
# Tokens.
MISSING, HELD = "a token's writes are missing", "a token that the answer does not hold"
finds(["not as of its token"], answer(2, lsn=30))
finds(["not as of its token"], answer(2, lsn=30, source=CACHE))
finds([], answer(2, at=295, lsn=30, source=CACHE))
finds(["not as of its token"], answer(2, at=295, lsn=30))
finds([], answer(2, lsn=29, level=AT_LEAST, token=token(20)))
finds([MISSING, HELD], answer(2, level=AT_LEAST, token=token(30)))
finds([MISSING, HELD], answer(2, floors=(token(30),)))
finds([MISSING, HELD], answer(2, written=token(30)))
finds([HELD, MISSING], absent(level=AT_LEAST, token=token(10)))
# The future, sessions, whole histories.
finds([FUTURE], answer(3, at=250, claimed=0, lsn=30), answer(4, lsn=30))
finds([FUTURE], answer(9, claimed=0, lsn=30))
finds([], answer(3, session=0), answer(2, session=1), answer(2))
finds(["a session goes back"], answer(3, session=0), answer(2, session=0))
finds([], answer(3, claimed=40, numbers=frozenset({1, 2, 3})))
finds(["a hole in history"], answer(3, claimed=40, numbers=frozenset({1, 3})))
# Writes, and what a failover at 25 makes of them: 3 is lost, and only there.
GONE = "an acknowledged write is gone"
finds([GONE], stored={1, 2})
finds(["a refused write is stored"], stored={1, 2, 3, 4}, refused="NOT_PRIMARY")
finds([], stored={1, 2}, failover=(2, 25))
finds([GONE], stored={1, 2}, failover=(2, 35))
over = {"stored": {1, 2}, "failover": (2, 25)}
finds([], answer(2, claimed=0, lsn=40, timeline=2), answer(3), **over)
finds(["not as of its token", "staler than claimed"],
      answer(1, claimed=0, lsn=40, timeline=2), **over)
finds(["a lost write on a timeline without it"], answer(3, lsn=40, timeline=2), **over)
finds(["staler than claimed"], answer(2, claimed=0, lsn=25), **over)
PYTHON
printf 'the rules find what breaks them\n'
