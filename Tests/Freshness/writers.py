"""Who writes: clients that upsert, and producers of both lanes."""

import time
import uuid

from callers import Client, Lost
from framing import ConnectionClosed, Silence
from journal import now
from protocol import (
    DEADLINE_EXCEEDED, INTEGER, CallError, Session, SessionEnded, columns_of, entity_pb2)

SESSION_SECONDS = 3


class Writer(Client):
    """Upserts the next number into one of its entities, or into one that all writers share."""

    def __init__(self, world, name, dice, pause_ms=12):
        super().__init__(world, name, dice, pause_ms)
        self.own = [world.take_unborn() for _ in range(2)]

    def step(self):
        if self.dice.random() < 0.01:
            self.own.append(self.world.take_unborn())
        pool = self.own[-4:] if self.dice.random() < 0.8 else self.world.shared
        entity = self.dice.choice(pool)
        if upsert(self, self.dice.choice(self.callers), entity):
            return True
        if entity in self.own and entity.writes[-1].acked is None:
            # Whether it is there yet nobody knows: nothing may be written behind it without a time.
            self.own.remove(entity)
            self.own.append(self.world.take_unborn())
        return False


def upsert(client, caller, entity):
    """Writes the next number; whether it was acknowledged."""
    write = entity.begin()
    request = entity_pb2.UpsertEntityRequest()
    if entity.id is not None and client.dice.random() < 0.5:
        request.entity_id = entity.id
    else:
        request.external_key = entity.key
    value = request.values.add(attribute_id=client.world.attribute)
    value.value.integer = write.number
    if entity.is_shared:
        request.observed_at_unix_us = entity.observed_at(write.number)
    elif client.dice.random() < 0.5:
        request.observed_at_unix_us = max(time.time_ns() // 1000, entity.observed_us + 1)
    try:
        answer = caller.call(
            "EntityService", "UpsertEntity", request, entity_pb2.UpsertEntityResponse)
    except Lost as error:
        client.note(error)
        return False
    except CallError as error:
        client.note(error)
        # Everything but these says that it was not written.
        if error.code != DEADLINE_EXCEEDED and error.reason != "OUTCOME_UNKNOWN":
            write.refused = error.reason
        return False
    caller.written = answer.token
    entity.id = answer.entity_id
    entity.observed_us = max(entity.observed_us, answer.observed_at_unix_us[0])
    write.token = answer.token
    write.acked = now()
    client.world.note_token(answer.token)
    return True


class Hammer(Client):
    """Upserts into what all share, as fast as it is answered."""

    def __init__(self, world, name, dice):
        super().__init__(world, name, dice, pause_ms=0)

    def step(self):
        return upsert(self, self.dice.choice(self.callers), self.dice.choice(self.world.shared))


class Producer(Client):
    """Sends batches of a few values, one at a time, and sends again what was not acknowledged."""

    def __init__(self, world, name, dice, is_staged, pause_ms=20):
        super().__init__(world, name, dice, pause_ms)
        self.is_staged = is_staged
        self.id = uuid.UUID(int=dice.getrandbits(128)).bytes
        self.own = [world.take_unborn() for _ in range(4)]
        self.session = None
        self.next_seq = 1
        self.batch = None       # first, values, writes: what is not acknowledged yet

    def step(self):
        try:
            if self.session is None:
                self._open()
            if self.batch is None:
                self._make()
                self._send()
            self._wait()
            return True
        except (CallError, OSError, Silence, ConnectionClosed, SessionEnded, Lost) as error:
            if isinstance(error, CallError):
                self.note(error)
            else:
                self.note(Lost(type(error).__name__))
            self.session = None
            for caller in self.callers:
                caller.close()
            return False

    def _open(self):
        caller = self.dice.choice(self.callers)
        connection = caller.connected()
        if self.own[0].id is None:
            ids = connection.resolve_entities([entity.key for entity in self.own])
            for entity, number in zip(self.own, ids):
                entity.id = number
        session = Session(connection)
        session.open(producer=self.id, staged=self.is_staged,
                     lowest_held=self.batch[0] if self.batch else self.next_seq)
        self.session = session
        if self.batch is None:
            return
        if session.opened.durable_seq >= self._last:
            self._acknowledge(b"")
        else:
            self._send()

    @property
    def _last(self):
        return self.next_seq - 1

    def _make(self):
        values, writes = [], []
        for entity in self.dice.sample(self.own, self.dice.randint(1, len(self.own))):
            write = entity.begin()
            writes.append(write)
            values.append((INTEGER, entity.id, self.world.attribute,
                           entity.observed_at(write.number), write.number))
        self.batch = (self.next_seq, values, writes)
        self.next_seq += len(values)

    def _send(self):
        first, values, _ = self.batch
        # Sent again it may have been trimmed, so the same bytes go out each time.
        columns = columns_of(values).SerializeToString()
        if self.session.granted_bytes < self.session.sent_bytes + len(columns):
            self.session.want(len(columns))
        self.session.batch(first, columns=columns, count=len(values))

    def _wait(self):
        if self.batch is None:
            return
        if self.is_staged:
            self.session.wait(lambda ack: ack.staged_seq >= self._last, SESSION_SECONDS)
            for write in self.batch[2]:
                write.staged = write.staged or now()
        ack = self.session.wait(lambda ack: ack.durable_seq >= self._last, SESSION_SECONDS)
        if self.session.rejects:
            raise AssertionError(f"good values were rejected: {self.session.rejects}")
        self._acknowledge(ack.token)

    def _acknowledge(self, token):
        for write in self.batch[2]:
            write.token = token
            write.acked = now()
        if token:
            self.world.note_token(token)
        self.batch = None
