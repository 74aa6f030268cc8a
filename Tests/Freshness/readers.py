"""Who reads: at random, as sessions that never go back, and behind writes of their own."""

import math

from callers import Client, Lost
from journal import ANALYTICS, AT_LEAST, EVENTUAL, STRONG, Asked, Read, Seen, now
from protocol import CallError, entity_pb2, history_pb2, read_pb2
from writers import upsert

RANGE_BEFORE_US = 3_600_000_000
RANGE_AFTER_US = 3_500_000_000


def between(dice, low, high):
    """A number whose magnitude is as likely as any other."""
    return round(math.exp(dice.uniform(math.log(low), math.log(high))))


def options(asked):
    return read_pb2.ReadOptions(
        level=asked.level, token=asked.token, max_staleness_ms=asked.bound_ms,
        allow_degraded=asked.may_degrade, include_staged=asked.with_staged,
        floor_tokens=asked.floors, is_monotonic=asked.is_monotonic)


def proof_in(error):
    """The proof of an answer that something is not there."""
    said = error.info.metadata
    return read_pb2.Freshness(
        source=read_pb2.Source.Value(f"SOURCE_{said['source'].upper()}"), node=said["node"],
        as_of_token=bytes.fromhex(said["as_of_token"]),
        staleness_bound_ms=int(said["staleness_bound_ms"]),
        degraded=said["degraded"] == "true", waited_ms=int(said["waited_ms"]),
        cache=read_pb2.CacheUse.Value(f"CACHE_USE_{said['cache'].upper()}"),
        estimated=said["estimated"] == "true")


# ---- The methods; each returns the proof and what was seen ----


def name(request, entity, dice):
    if entity.id is not None and dice.random() < 0.5:
        request.entity_id = entity.id
    else:
        request.external_key = entity.key


def number_of(reader, found):
    for value in found.values:
        if value.attribute_id == reader.world.attribute:
            return value.value.integer
    return 0


def exactly(entity, number):
    return Seen(entity, number, number)


def get_entity(reader, caller, read, entities):
    request = entity_pb2.GetEntityRequest(read=read)
    name(request, entities[0], reader.dice)
    answer = caller.call("EntityService", "GetEntity", request, entity_pb2.GetEntityResponse)
    return answer.freshness, [exactly(entities[0], number_of(reader, answer.entity))]


def batch_get_entities(reader, caller, read, entities):
    request = entity_pb2.BatchGetEntitiesRequest(read=read)
    for entity in entities:
        name(request.entities.add(), entity, reader.dice)
    answer = caller.call(
        "EntityService", "BatchGetEntities", request, entity_pb2.BatchGetEntitiesResponse)
    found = {each.external_key.encode(): number_of(reader, each) for each in answer.entities}
    return answer.freshness, [
        exactly(entity, found.get(entity.key, 0)) for entity in entities[:answer.answered]]


def list_entities(reader, caller, read, entities):
    """All entities of the case: who is not listed is not there, or below what was asked for."""
    known = list(reader.world.entities)
    request = entity_pb2.ListEntitiesRequest(
        read=read, page_size=10_000, external_key_prefix=reader.world.prefix)
    least = 0
    if reader.dice.random() < 0.5:
        least = max(1, len(entities[0].writes) - reader.dice.randint(0, 20))
        step = request.filter.steps.add().comparison
        step.attribute_id = reader.world.attribute
        step.relation = entity_pb2.RELATION_GREATER_OR_EQUAL
        step.value.integer = least
    if reader.dice.random() < 0.5:
        request.order_by_attribute_id = reader.world.attribute
        request.descending = reader.dice.random() < 0.5
    answer = caller.call(
        "EntityService", "ListEntities", request, entity_pb2.ListEntitiesResponse)
    found = {each.external_key.encode(): number_of(reader, each) for each in answer.entities}
    if any(number < least for number in found.values()):
        raise AssertionError(f"a list of numbers from {least} on has {min(found.values())}")
    below = 0 if answer.next_page_token else max(0, least - 1)
    return answer.freshness, [
        exactly(entity, found[entity.key]) if entity.key in found else Seen(entity, 0, below)
        for entity in known if entity.key in found or not answer.next_page_token]


def query_history(reader, caller, read, entities):
    """The newest value, or all of them."""
    entity = entities[0]
    wants_all = reader.dice.random() < 0.2
    start, end = time_range(entity)
    request = history_pb2.QueryHistoryRequest(
        read=read, entity_id=[entity.id], attribute_id=[reader.world.attribute],
        start_unix_us=start, end_unix_us=end, order=history_pb2.ORDER_DESCENDING,
        page_size=50_000 if wants_all else 1)
    answer = caller.call(
        "HistoryService", "QueryHistory", request, history_pb2.QueryHistoryResponse)
    numbers = answer.columns.integers.value
    seen = exactly(entity, numbers[0] if numbers else 0)
    if wants_all and not answer.next_page_token:
        seen.numbers = frozenset(numbers)
    return answer.freshness, [seen]


def aggregate_history(reader, caller, read, entities):
    named = {entity.id: entity for entity in entities}
    start, end = time_range(entities[0])
    request = history_pb2.AggregateHistoryRequest(
        read=read, entity_id=list(named), attribute_id=[reader.world.attribute],
        start_unix_us=start, end_unix_us=end, bucket_width_us=end - start)
    answer = caller.call(
        "HistoryService", "AggregateHistory", request, history_pb2.AggregateHistoryResponse)
    highest = dict.fromkeys(named, 0)
    for entity, number in zip(answer.entity_id, answer.max):
        highest[entity] = max(highest[entity], int(number))
    return answer.freshness, [exactly(named[id], number) for id, number in highest.items()]


def exists_in_range(reader, caller, read, entities):
    """Whether there is anything from some of the newest writes on: who has nothing is below."""
    entity = entities[0]
    least = max(1, len(entity.writes) - reader.dice.randint(0, 20))
    request = history_pb2.ExistsInRangeRequest(
        read=read, entity_id=[entity.id], attribute_id=[reader.world.attribute],
        start_unix_us=entity.observed_at(least), end_unix_us=time_range(entity)[1])
    answer = caller.call(
        "HistoryService", "ExistsInRange", request, history_pb2.ExistsInRangeResponse)
    # Which of them is there, it does not say.
    highest = math.inf if entity.id in answer.entity_id else least - 1
    return answer.freshness, [Seen(entity, 0, highest)]


def time_range(entity):
    return entity.base_us - RANGE_BEFORE_US, entity.base_us + RANGE_AFTER_US


class Reader(Client):
    """Reads anything at any level."""

    METHODS = (
        (get_entity, batch_get_entities, list_entities, query_history, aggregate_history,
         exists_in_range),
        (45, 25, 8, 10, 6, 6))
    METHODS_STAGED = ((get_entity, query_history, exists_in_range), (70, 20, 10))
    # STRONG, AT_LEAST, EVENTUAL, ANALYTICS
    LEVELS = (20, 30, 35, 15)

    def __init__(self, world, name, dice, pause_ms=8):
        super().__init__(world, name, dice, pause_ms)
        self.session = None

    def step(self):
        index = self.dice.randrange(len(self.callers))
        caller = self.callers[index]
        asked = self.ask()
        asked.written = caller.written if asked.level != ANALYTICS else b""
        methods, weights = self.METHODS_STAGED if asked.with_staged else self.METHODS
        method = self.dice.choices(methods, weights)[0]
        entities = self.subjects()
        if method in (query_history, aggregate_history, exists_in_range):
            entities = [entity for entity in entities if entity.id is not None] or entities
            method = method if entities[0].id is not None else get_entity
        began = now()
        try:
            freshness, seen = method(self, caller, options(asked), entities)
        except Lost as error:
            self.note(error)
            return False
        except CallError as error:
            if error.reason == "ENTITY_NOT_FOUND" and method is get_entity:
                freshness, seen = proof_in(error), [Seen(entities[0], 0, 0)]
            else:
                self.note(error)
                self.fail(error)
                return False
        read = Read(self.name, index, method.__name__, asked, began, now(), seen)
        read.source, read.node = freshness.source, freshness.node
        read.as_of, read.bound_ms = freshness.as_of_token, freshness.staleness_bound_ms
        read.degraded, read.cache = freshness.degraded, freshness.cache
        read.session = self.session
        self.world.journal.reads.append(read)
        self.conclude(read)
        return True

    def ask(self):
        """A level with what goes with it."""
        dice = self.dice
        level = dice.choices((STRONG, AT_LEAST, EVENTUAL, ANALYTICS), self.LEVELS)[0]
        asked = Asked(level, may_degrade=dice.random() < 0.25)
        if level == AT_LEAST:
            asked.token = self.world.some_token(dice)
        elif level == EVENTUAL:
            asked.bound_ms = between(dice, 250, 10_000)
        elif level == ANALYTICS:
            asked.bound_ms = between(dice, 1_000, 60_000)
        if level == AT_LEAST and not asked.token:
            asked.level = STRONG
        if dice.random() < 0.15 and level != ANALYTICS:
            tokens = (self.world.some_token(dice) for _ in range(dice.randint(1, 3)))
            asked.floors = tuple({token for token in tokens if token})
        if dice.random() < 0.05 and level != ANALYTICS:
            asked.with_staged = True
        return asked

    def subjects(self):
        """Entities, those that are written among them and some that are not there yet."""
        return self.dice.sample(self.world.lasting + self.world.entities[-16:], 8)

    def conclude(self, read):
        """What follows from an answer."""

    def fail(self, error):
        """What follows from an error."""


class MonotonicReader(Reader):
    """A session over both gateways that hands every answer's token to the next read.

    It reads what is written most, and again at once: or going back could not be seen.
    """

    METHODS = (Reader.METHODS[0], (45, 15, 5, 15, 10, 10))
    LEVELS = (35, 10, 50, 5)

    def __init__(self, world, name, dice):
        super().__init__(world, name, dice, pause_ms=1)
        self.tokens = ()
        self.session = 0

    def ask(self):
        asked = super().ask()
        asked.with_staged = False
        asked.may_degrade = False
        asked.floors = self.tokens
        asked.is_monotonic = True
        return asked

    def subjects(self):
        shared = self.world.shared
        return self.dice.sample(shared, len(shared))

    def conclude(self, read):
        if not read.degraded:
            self.tokens = (read.as_of,)

    def fail(self, error):
        if error.reason in ("TOKEN_OF_OTHER_TIMELINE", "TOKEN_AHEAD"):
            # A failover: what was seen may be gone, so another session begins.
            self.tokens = ()
            self.session += 1


class WritingReader(Reader):
    """Reads what it has just written on the same connection, without a word about it."""

    def __init__(self, world, name, dice):
        super().__init__(world, name, dice, pause_ms=10)
        self.own = world.take_unborn()

    def step(self):
        if self.dice.random() < 0.4:
            caller = self.dice.choice(self.callers)
            if not upsert(self, caller, self.own):
                self.own = self.world.take_unborn()
                return False
        return super().step()

    def subjects(self):
        return [self.own, *super().subjects()[:3]]
