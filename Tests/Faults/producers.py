"""Who makes values in a case, and what each was promised."""

import signal
import subprocess
import uuid
from dataclasses import dataclass, field

from processes import Process, environment

BASE_MICROSECONDS = 1_600_000_000_000_000
# Between the first values of two producers of one process; see ProducerArguments.swift.
SPACING_MICROSECONDS = 1_000_000_000
BATCH = 100
PAUSE_MILLISECONDS = 5


@dataclass
class Promise:
    """What one producer was told about its values."""

    entity: int
    index: int = 0
    producer: str = ""
    durable: int = 0
    staged: int = 0
    finished: bool = False
    lost: list = field(default_factory=list)


class Producer(Process):
    """One process of `faultproducer`, with one producer or a crowd of them."""

    def __init__(self, world, lane, gateways=None, count=1, spool=None, environment=None, **more):
        self.id = uuid.uuid4().hex
        super().__init__(world.folder / f"producer-{self.id}.out")
        self.world = world
        self.lane = lane
        self.entity = world.entity(f"fault-{self.id}")
        self.acks = world.folder / f"producer-{self.id}.acks"
        self.gateways = gateways
        self.count = count
        self.spool = spool
        self.environment = environment or {}
        self.options = {"batch": BATCH, "pause-ms": PAUSE_MILLISECONDS, **more}
        self.mark = 0

    def start(self, gateways=None):
        self.gateways = gateways or self.gateways or self.world.gateways
        self.mark = self.acks_bytes
        addresses = [f"127.0.0.1:{self.world.port(gateway)}" for gateway in self.gateways]
        words = {
            "gateways": ",".join(addresses), "producer": self.id, "entity": self.entity,
            "attribute": self.world.attribute, "base": BASE_MICROSECONDS, "lane": self.lane,
            "count": self.count, "log": self.acks, **self.options}
        if self.spool:
            words["spool"] = self.spool
        self.launch(
            [self.world.binaries / "faultproducer"]
            + [word for name, value in words.items() for word in (f"--{name}", value)],
            env=environment(**self.environment))

    def finish(self, seconds):
        """Has everything made durable; whether that went well in time."""
        self.signal(signal.SIGTERM)
        try:
            return self.child.wait(timeout=max(0.01, seconds)) == 0
        except subprocess.TimeoutExpired:
            return False

    @property
    def acks_bytes(self):
        return self.acks.stat().st_size if self.acks.exists() else 0

    @property
    def is_acknowledged(self):
        """Whether it was promised something since it was started."""
        return self.acks_bytes > self.mark

    @property
    def is_going(self):
        """Whether every one of its producers was promised something."""
        return all(promise.durable for promise in self.promises())

    def position(self):
        """What its first producer was last promised; after a restart it may be lower again."""
        lines = self.lines("durable")
        return int(lines[-1][1]) if lines else 0

    def lines(self, word):
        """What it wrote down under a word, each as a list of the words behind it."""
        text = self.acks.read_text() if self.acks.exists() else ""
        return [line.split()[1:] for line in text.splitlines() if line.split()[0] == word]

    def promises(self):
        """The highest positions that each of its producers was acknowledged."""
        promises = [
            Promise(self.entity, index, self._producer(index)) for index in range(self.count)]
        for word in ("durable", "staged", "finished"):
            for index, position in self.lines(word):
                promise = promises[int(index)]
                if word == "staged":
                    promise.staged = max(promise.staged, int(position))
                else:
                    promise.durable = max(promise.durable, int(position))
                promise.finished = promise.finished or word == "finished"
        for index, first, last in self.lines("lost"):
            promises[int(index)].lost.append((int(first), int(last)))
        return promises

    def _producer(self, index):
        return self.id if index == 0 else f"{self.id[:24]}{index:08x}"
