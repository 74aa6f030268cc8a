"""What clients write down: every write and every answer, on one clock.

All times are CLOCK_MONOTONIC in nanoseconds, taken before something is sent or after its answer is
there. So an interval always covers what happened in it, and a check that takes its sound side is
exact.
"""

import struct
import threading
import time
from dataclasses import dataclass, field
from typing import NamedTuple

now = time.monotonic_ns

STRONG, AT_LEAST, EVENTUAL, ANALYTICS = range(1, 5)
PRIMARY, REPLICA, CACHE, WAREHOUSE = range(1, 5)
SOURCES = {PRIMARY: "primary", REPLICA: "replica", CACHE: "cache", WAREHOUSE: "analytics"}
LEVELS = {STRONG: "STRONG", AT_LEAST: "AT_LEAST", EVENTUAL: "EVENTUAL", ANALYTICS: "ANALYTICS"}


class Token(NamedTuple):
    """A position of one timeline of one cluster. Clients must not look inside; a checker may."""

    cluster: int
    timeline: int
    lsn: int

    @property
    def identity(self):
        return self[:2]

    @classmethod
    def of(cls, data):
        """Source: Sources/Storage/Reads/Clock/FreshnessToken.swift."""
        if len(data) != 33 or data[0] not in (1, 2):
            raise AssertionError(f"no token: {data.hex()}")
        return cls(*struct.unpack(">QIQ", data[1:21]))

    def __str__(self):
        return f"{self.timeline}:{self.lsn >> 32:X}/{self.lsn & 0xFFFFFFFF:X}"


@dataclass(slots=True)
class Write:
    """One number on its way into one entity."""

    number: int
    began: int
    acked: int | None = None    # durable, as the writer was told
    staged: int | None = None   # the same of STAGED
    token: bytes = b""          # what the ack came with
    refused: str = ""           # an error that says it was not written


@dataclass
class Entity:
    """Something with one number that only grows: the answer tells which writes are in it."""

    key: bytes
    base_us: int
    is_shared: bool = False
    id: int | None = None
    writes: list = field(default_factory=list)
    observed_us: int = 0        # of the newest acknowledged write
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self):
        """The next write; it is known before it is sent."""
        with self.lock:
            write = Write(len(self.writes) + 1, now())
            self.writes.append(write)
            return write

    def observed_at(self, number):
        """A time that orders writes by their number, whichever is committed last."""
        return self.base_us + number


@dataclass(slots=True)
class Asked:
    """What a read asked for."""

    level: int
    bound_ms: int = 0
    token: bytes = b""
    floors: tuple = ()
    written: bytes = b""        # what the same connection wrote last
    may_degrade: bool = False
    with_staged: bool = False
    is_monotonic: bool = False


@dataclass(slots=True)
class Seen:
    """What an answer says of one entity: the number lies between these."""

    entity: Entity
    low: int
    high: int
    numbers: frozenset | None = None    # all that history holds, where it was asked for


@dataclass(slots=True)
class Read:
    """One answer."""

    reader: str
    gateway: int
    method: str
    asked: Asked
    began: int
    ended: int
    seen: list
    # The proof.
    source: int = 0
    node: str = ""
    as_of: bytes = b""
    bound_ms: int = 0
    degraded: bool = False
    cache: int = 0
    # A reader that never goes back: which of its sessions.
    session: int | None = None


class Journal:
    """All that was written down in one case; appending is atomic."""

    def __init__(self):
        self.reads = []
        self.errors = []        # (reader, reason)
        self.unexpected = []    # what no gateway should say

    def count_errors(self):
        counts = {}
        for _, reason in self.errors:
            counts[reason] = counts.get(reason, 0) + 1
        return counts
