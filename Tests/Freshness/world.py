"""What the faults happen to: PostgreSQL in all its roles, Redis, two gateways, and clients."""

import random
import time

from callers import Caller
from database import Database
from journal import Entity, Journal
from processes import Gateway, run, wait_until
from protocol import INTEGER
from readers import MonotonicReader, Reader, WritingReader
from writers import Hammer, Producer, Writer

UNBORN = 6
SHARED = 2


class World:
    """One stack with all its members, two gateways, and the clients of the present case."""

    def __init__(self, folder, gateway_binary, progress):
        self.folder = folder
        self.gateway_binary = gateway_binary
        self.progress = progress
        folder.mkdir()
        self.database = Database(folder / "stack", replicas=True, warehouse=True, redis=True)
        run(gateway_binary, "migrate", "--dsn", self.database.dsn)
        self.database.subscribe()
        self.gateways = [Gateway(self, index, *self._options()) for index in range(2)]
        for gateway in self.gateways:
            gateway.start()
        caller = Caller(self.gateways[0])
        spec = (b"counter", INTEGER, b"", True)
        self.attribute = caller.connected().resolve_attributes([spec])[0].attribute_id
        caller.close()
        self.cases = 0
        self.clients = []

    def _options(self):
        given = self.database.environment
        return ["--replica-dsns", given["SLUICE_REPLICA_DSNS"],
                "--warehouse-dsn", given["SLUICE_WAREHOUSE_DSN"],
                "--redis", given["SLUICE_REDIS"]]

    @property
    def dsn(self):
        return self.database.dsn

    def sql(self, text, member=None):
        return self.database.sql(text, member)

    # ---- The course of a case ----

    def begin(self, seed):
        """New entities, and clients that find their rhythm."""
        self.cases += 1
        self.prefix = f"case-{self.cases}-".encode()
        self.base_us = time.time_ns() // 1000 - 10_000_000
        self.journal = Journal()
        self.entities, self.lasting, self.unborn, self.tokens = [], [], [], []
        self.notes = []
        self.failover = None    # the new timeline, and where it left the old one
        self.shared = [self._entity(is_shared=True) for _ in range(SHARED)]
        self.lasting = list(self.shared)
        self.unborn = [self._entity() for _ in range(UNBORN)]
        self.clients = self._clients(seed)
        for client in self.clients:
            client.start()
        wait_until(self._all_going, 30, "every client has had an answer")

    def _clients(self, seed):
        def dice(name):
            return random.Random(f"{seed}/{name}")

        clients = []
        for lane in ("durable", "staged"):
            clients.append(Producer(self, lane, dice(lane), lane == "staged"))
            self.lasting += clients[-1].own
        kinds = ((Hammer, 1), (Writer, 2), (Reader, 4), (MonotonicReader, 3), (WritingReader, 2))
        for kind, count in kinds:
            for i in range(count):
                name = f"{kind.__name__} {i}"
                clients.append(kind(self, name, dice(name)))
        return clients

    def _all_going(self):
        self.check_clients()
        return all(client.successes for client in self.clients)

    def check_clients(self):
        for client in self.clients:
            if client.failure:
                raise AssertionError(f"{client.name} failed") from client.failure

    def finish(self):
        for client in self.clients:
            client.stopping.set()
        for client in self.clients:
            client.join(20)
            if client.is_alive():
                raise AssertionError(f"{client.name} does not stop")
        self.check_clients()

    def close(self):
        for client in self.clients:
            client.stopping.set()
        for gateway in self.gateways:
            if gateway.runs:
                gateway.stop(12)
        self.database.destroy()

    def last_words(self):
        logs = "".join(gateway.log_text()[-2000:] for gateway in self.gateways)
        return f"end of the gateways' logs:\n{logs}"

    # ---- What clients share ----

    def _entity(self, **options):
        key = self.prefix + f"{len(self.entities):04}".encode()
        entity = Entity(key, self.base_us, **options)
        self.entities.append(entity)
        return entity

    def take_unborn(self):
        """An entity that readers have asked for and that is not there yet."""
        entity = self.unborn.pop(0)
        self.unborn.append(self._entity())
        return entity

    def note_token(self, token):
        self.tokens.append(token)

    def some_token(self, dice):
        """Of one of the last writes, mostly; or none when there are none."""
        recent = self.tokens[-40:] if dice.random() < 0.8 else self.tokens
        return dice.choice(recent) if recent else b""

    # ---- Tools of the faults ----

    def pause(self, seconds):
        """Lets everything run for a while, and shows how it goes."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.progress.show(self.journal)
            time.sleep(min(0.1, left))
        self.check_clients()

    def note(self, text):
        self.notes.append(text)

    def stored(self):
        """The numbers that history holds in the end, by entity."""
        rows = self.sql(
            "SELECT e.external_key, string_agg(v.integer::text, ' ')"
            " FROM sluice.entity_values v JOIN sluice.entities e USING (tenant_id, entity_id)"
            f" WHERE e.external_key LIKE '{self.prefix.decode()}%' GROUP BY 1")
        lines = (row.split("|") for row in rows.splitlines())
        return {key.encode(): {int(word) for word in words.split()} for key, words in lines}
