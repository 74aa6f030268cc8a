"""What the faults happen to: PostgreSQL, two gateways, producers, and the truth about them."""

import signal
import time
from pathlib import Path

from checker import check
from database import Database
from link import Link
from processes import Gateway, run, wait_until
from producers import Producer

PRODUCERS = 4


class Skipped(Exception):
    """A case cannot be run on this machine; that is no success."""


# Once a fault is over everything must be durable within this time.
SETTLED_SECONDS = 10


class World:
    """One database with its schema, two gateways, and the producers of the present case."""

    def __init__(self, folder, binaries, gateway_binary=None, replicas=False, prepare=None):
        self.folder = folder
        self.binaries = Path(binaries)
        self.gateway_binary = gateway_binary or self.binaries / "sluice"
        self.folder.mkdir(exist_ok=True)
        self.database = Database(folder / "stack", replicas)
        self.disk = prepare(self) if prepare else None
        run(self.gateway_binary, "migrate", "--dsn", self.database.dsn)
        self.attribute = int(self.sql(
            "SELECT attribute_id FROM sluice.resolve_attributes("
            "1, '{fault}', '{1}'::smallint[], '{1}', '{false}')"))
        self.gateways = [Gateway(self, 0), Gateway(self, 1)]
        self.extra_gateways = []
        self.gateways_made = len(self.gateways)
        self.producers = []
        self.witnesses = []
        self.link = None
        self.notes = []
        self.mended_at = None

    # ---- The course of a case ----

    def begin(self, make_producers, lane, uses_link):
        for gateway in self.gateways:
            if not gateway.runs:
                gateway.start()
            gateway.forget_peak()
        self.witnesses = []
        self.notes = []
        self.mended_at = None
        self.link = Link(("127.0.0.1", self.gateways[0].port)) if uses_link else None
        self.producers = make_producers(self, lane)
        for producer in self.producers:
            # With a link everybody uses it, so that its faults hit.
            producer.start(self.gateways[:1] if uses_link else None)
        wait_until(self._all_going, 40, "every producer gets going")

    def _all_going(self):
        for producer in self.producers:
            if not producer.runs:
                raise AssertionError(f"a producer ended: {producer.log_text()[-500:]}")
        return all(producer.is_going for producer in self.producers)

    def mended(self):
        """The fault is over now, and not only when its function returns."""
        self.mended_at = time.monotonic()

    def settle(self):
        """Stops the producers in order: everything they sent must become durable in time.

        Returns whether it did, and how long that took from the end of the fault."""
        began = self.mended_at or time.monotonic()
        deadline = began + SETTLED_SECONDS
        while not all(producer.is_acknowledged for producer in self.producers):
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        for producer in self.producers:
            producer.signal(signal.SIGTERM)
        ended = [producer.finish(deadline - time.monotonic()) for producer in self.producers]
        for producer in self.producers:
            if producer.runs:
                producer.kill()
        return all(ended), time.monotonic() - began

    def check(self):
        """Compares what was promised with what is there."""
        promises = [promise for each in self.producers for promise in each.promises()]
        return check(self, promises + self.witnesses)

    def peak_bytes(self):
        return max(each.peak_bytes() for each in self.gateways + self.extra_gateways)

    def end(self):
        for producer in self.producers:
            if producer.runs:
                producer.kill()
        for gateway in self.extra_gateways:
            if gateway.runs:
                gateway.stop(12)
        self.extra_gateways = []
        if self.link:
            self.link.close()
            self.link = None

    def close(self):
        self.end()
        for gateway in self.gateways:
            if gateway.runs:
                gateway.stop(12)
        if self.disk:
            self.disk.remove()
        self.database.destroy()

    # ---- Tools ----

    @property
    def dsn(self):
        return self.database.dsn

    def sql(self, text):
        return self.database.sql(text)

    def pause(self, seconds):
        time.sleep(seconds)

    def note(self, text):
        """Something a reader of the table may want to know."""
        self.notes.append(text)

    def port(self, gateway):
        return self.link.port if self.link else gateway.port

    def add_gateway(self, *options, descriptors=None):
        """A gateway with settings of its own, for this case."""
        gateway = Gateway(self, self.gateways_made, *options, descriptors=descriptors)
        self.gateways_made += 1
        gateway.start()
        self.extra_gateways.append(gateway)
        return gateway

    def entity(self, key):
        return int(self.sql(f"SELECT entity_id FROM sluice.resolve_entities(1, ARRAY['{key}'])"))

    def gateway_logs(self):
        return "".join(gateway.log_text() for gateway in self.gateways + self.extra_gateways)

    def last_words(self):
        """What may explain a failure."""
        words = "".join(
            f"producer {producer.id}: exit {producer.child and producer.child.poll()},"
            f" {producer.lines('error')} {producer.log_text()[-300:]}\n"
            for producer in self.producers)
        words += f"sessions of PostgreSQL:\n{self.database.activity()}\n"
        return f"{words}end of the gateways' logs:\n{self.gateway_logs()[-1500:]}"

    def logged(self, *texts):
        """Lines of the gateways' logs with one of these texts, in the order of the gateways."""
        lines = self.gateway_logs().splitlines()
        return [line for line in lines if any(text in line for text in texts)]

    def wait_logged(self, text, seconds):
        wait_until(lambda: self.logged(text), seconds, f"a gateway's log says '{text}'")


def four_producers(world, lane):
    """The usual producers: they send all the time, but not as fast as they can."""
    return [Producer(world, lane) for _ in range(PRODUCERS)]
