"""Unary calls and health, as a client of any language sees them."""

import struct
import time
import uuid

from checks import at_least, equal, test
from framing import DATA, REMOTE_CLOSED, Frame, frame
from gateway import Fixture, connect, session, sql, sql_value
from protocol import (
    DOCUMENT,
    FAILED_PRECONDITION,
    INVALID_ARGUMENT,
    LABEL,
    NOT_FOUND,
    NUMBER,
    UNIMPLEMENTED,
    CallError,
    admin_pb2,
    catalog_pb2,
    columns_pb2,
    entity_pb2,
    error_of,
    health_pb2,
    history_pb2,
    read_pb2,
)

CATALOG = "sluice.v1.CatalogService"
SERVICES = ["CatalogService", "IngestService", "EntityService", "HistoryService", "AdminService"]


def refuse(code, reason, function, *arguments, field=None, **options):
    """The call must fail so."""
    try:
        answer = function(*arguments, **options)
    except CallError as error:
        return error.check(code, reason, field)
    raise AssertionError(f"an error was expected, not {answer}")


def unique():
    return f"call-{uuid.uuid4()}".encode()


@test("an unknown service is UNIMPLEMENTED")
def _():
    with connect() as connection:
        stream = connection.request("sluice.v1.NoSuchService", "Check")
        error_of(connection.receive(), UNIMPLEMENTED, stream=stream)
        stream = connection.request("/grpc.health.v1.Health", "Check")
        error_of(connection.receive(), UNIMPLEMENTED, stream=stream)
        connection.check_alive()


@test("an unknown method is UNIMPLEMENTED")
def _():
    with connect() as connection:
        for method in ("check", "Checks", "Chec", "Check\0"):
            stream = connection.request("grpc.health.v1.Health", method)
            error_of(connection.receive(), UNIMPLEMENTED, stream=stream)
        connection.check_alive()


def check(connection, service):
    return connection.call(
        "grpc.health.v1.Health",
        "Check",
        health_pb2.HealthCheckRequest(service=service),
        health_pb2.HealthCheckResponse,
    ).status


@test("health: Check says SERVING for the gateway and for every service")
def _():
    with connect() as connection:
        equal(check(connection, ""), health_pb2.HealthCheckResponse.SERVING)
        for service in SERVICES:
            status = check(connection, f"sluice.v1.{service}")
            equal(status, health_pb2.HealthCheckResponse.SERVING, service)


@test("health: Check of an unknown service is NOT_FOUND")
def _():
    with connect() as connection:
        refuse(NOT_FOUND, None, check, connection, "no.such.Service")


@test("health: List names every service")
def _():
    with connect() as connection:
        answer = connection.call(
            "grpc.health.v1.Health",
            "List",
            health_pb2.HealthListRequest(),
            health_pb2.HealthListResponse,
        )
        for service in SERVICES:
            status = answer.statuses[f"sluice.v1.{service}"].status
            equal(status, health_pb2.HealthCheckResponse.SERVING, service)


@test("health: Watch tells the status at once and stays open")
def _():
    with connect() as connection:
        for flags in (0, REMOTE_CLOSED):
            stream = connection.request(
                "grpc.health.v1.Health",
                "Watch",
                health_pb2.HealthCheckRequest(service="sluice.v1.IngestService"),
                flags=flags,
            )
            equal(connection.receive(), Frame(stream, DATA, 0, b"\x08\x01"))
        connection.expect_silence()


@test("health: Watch without a service watches the gateway")
def _():
    with connect() as connection:
        stream = connection.request("grpc.health.v1.Health", "Watch", flags=REMOTE_CLOSED)
        equal(connection.receive(), Frame(stream, DATA, 0, b"\x08\x01"))
        connection.expect_silence()


@test("health: Watch of an unknown service says SERVICE_UNKNOWN and stays open")
def _():
    with connect() as connection:
        stream = connection.request(
            "grpc.health.v1.Health", "Watch", health_pb2.HealthCheckRequest(service="no.such")
        )
        equal(connection.receive(), Frame(stream, DATA, 0, b"\x08\x03"))
        connection.expect_silence()


@test("ResolveEntities creates an entity once and answers in order")
def _():
    with connect() as connection, connect() as other:
        keys = [unique() for _ in range(200)]
        ids = connection.resolve_entities(keys)
        equal(len(set(ids)), 200, "different ids")
        equal(other.resolve_entities(keys[::-1]), ids[::-1], "ids in the other order")
        equal(connection.resolve_entities([keys[3]] * 3), [ids[3]] * 3, "repeated keys")
        stored = sql_value(
            f"SELECT entity_id FROM sluice.entities WHERE external_key = '{keys[7].decode()}'"
        )
        equal(int(stored), ids[7], "the id in the table")


@test("ResolveEntities creates nothing when only existing ones are meant")
def _():
    with connect() as connection:
        key = unique()
        refuse(NOT_FOUND, None, connection.resolve_entities, [key], existing_only=True)
        created = connection.resolve_entities([key])
        equal(connection.resolve_entities([key], existing_only=True), created)


@test("ResolveEntities takes any UTF-8 of 1 to 512 bytes")
def _():
    with connect() as connection:
        tail = unique()
        keys = [
            tail,
            "ключ-🜁-".encode() + tail,
            b"' \"\\;--\n\t" + tail,
            tail.ljust(512, b"x"),
            "\U0010ffff\ue000\x01".encode() + tail,
        ]
        ids = connection.resolve_entities(keys)
        equal(len(set(ids)), len(keys), "different ids")
        for key, entity in zip(keys, ids):
            stored = sql_value(
                "SELECT encode(convert_to(external_key, 'UTF8'), 'hex') FROM sluice.entities"
                f" WHERE entity_id = {entity}"
            )
            equal(bytes.fromhex(stored), key, "the key in the table")


@test("ResolveEntities refuses empty, long, NUL and bad UTF-8 keys, and more than 10,000")
def _():
    with connect() as connection:
        for key in (b"", b"x" * 513, b"a\0b", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"):
            refuse(
                INVALID_ARGUMENT,
                None,
                connection.resolve_entities,
                [b"good", key],
                field="external_key",
            )
        refuse(INVALID_ARGUMENT, None, connection.resolve_entities, [b"k"] * 10_001)
        connection.check_alive()


@test("ResolveEntities resolves 10,000 keys in a call")
def _():
    with connect() as connection:
        prefix = unique()
        keys = [prefix + b"-%d" % number for number in range(10_000)]
        ids = connection.resolve_entities(keys)
        equal(len(set(ids)), 10_000, "different ids")


@test("two clients that create the same names at once get the same ids")
def _():
    with connect() as left, connect() as right:
        prefix = unique()
        for number in range(20):
            request = catalog_pb2.ResolveEntitiesRequest(
                external_key=[prefix + b"-%d-%d" % (number, index) for index in range(10)]
            )
            left.request(CATALOG, "ResolveEntities", request)
            right.request(CATALOG, "ResolveEntities", request)
            equal(left.receive().body, right.receive().body, "answers")


@test("ResolveAttributes creates an attribute once, with type, unit and heat")
def _():
    with connect() as connection:
        name = unique()
        created = connection.resolve_attributes([(name, NUMBER, b"Cel", True)])[0]
        equal(created.name.encode(), name)
        equal((created.value_type, created.unit, created.is_hot), (NUMBER, "Cel", True))
        again = connection.resolve_attributes([(name, NUMBER), (name, 0)])
        equal([found.attribute_id for found in again], [created.attribute_id] * 2)
        equal(again[1].value_type, NUMBER, "type of the existing attribute")


@test("ResolveAttributes: another type is FAILED_PRECONDITION, none is NOT_FOUND")
def _():
    with connect() as connection:
        name = unique()
        refuse(NOT_FOUND, None, connection.resolve_attributes, [(name, 0)])
        connection.resolve_attributes([(name, NUMBER)])
        refuse(
            FAILED_PRECONDITION,
            "ATTRIBUTE_TYPE_MISMATCH",
            connection.resolve_attributes,
            [(name, LABEL)],
        )


@test("ResolveAttributes refuses bad names, types and units")
def _():
    with connect() as connection:
        resolve = connection.resolve_attributes
        for name in (b"", b"x" * 257, b"a\0b", b"\xff"):
            refuse(INVALID_ARGUMENT, None, resolve, [(name, NUMBER)], field="name")
        refuse(INVALID_ARGUMENT, None, resolve, [(unique(), NUMBER, b"u" * 65, False)])
        refuse(INVALID_ARGUMENT, None, resolve, [(unique(), NUMBER, b"\xff", False)])
        refuse(INVALID_ARGUMENT, None, resolve, [(b"k", NUMBER)] * 1_001)
        for value_type in (6, 99, -1, 2**31 - 1):
            request = b"\x0a\x04\x0a\x02tt" + b""
            spec = catalog_pb2.AttributeSpec(name=unique())
            spec.value_type = value_type
            refuse(
                INVALID_ARGUMENT,
                None,
                connection.call,
                CATALOG,
                "ResolveAttributes",
                catalog_pb2.ResolveAttributesRequest(attributes=[spec]),
                catalog_pb2.ResolveAttributesResponse,
            )


def list_attributes(connection, **fields):
    return connection.call(
        CATALOG,
        "ListAttributes",
        catalog_pb2.ListAttributesRequest(**fields),
        catalog_pb2.ListAttributesResponse,
    )


@test("ListAttributes pages through a prefix and ends with an empty token")
def _():
    with connect() as connection:
        prefix = unique()
        names = [prefix + b".%02d" % number for number in range(25)]
        connection.resolve_attributes([(name, NUMBER) for name in names])
        found, token, pages = [], b"", 0
        while True:
            answer = list_attributes(
                connection, name_prefix=prefix, page_size=10, page_token=token
            )
            found += [attribute.name.encode() for attribute in answer.attributes]
            pages += 1
            token = answer.next_page_token
            if not token:
                break
        equal(sorted(found), names, "names")
        equal(pages, 3, "pages")


@test("ListAttributes: a negative page size and a foreign or altered token are INVALID_ARGUMENT")
def _():
    with connect() as connection:
        prefix = unique()
        connection.resolve_attributes([(prefix + b".%d" % n, NUMBER) for n in range(5)])
        refuse(
            INVALID_ARGUMENT, None, list_attributes, connection, page_size=-1, field="page_size"
        )
        token = list_attributes(connection, name_prefix=prefix, page_size=2).next_page_token
        assert token, "no token although there is more"
        refuse(
            INVALID_ARGUMENT,
            None,
            list_attributes,
            connection,
            name_prefix=prefix[:-1],
            page_size=2,
            page_token=token,
        )
        for bad in (b"x", token[:-1], bytes([token[0] ^ 1]) + token[1:], token + b"\0" * 3000):
            refuse(
                INVALID_ARGUMENT,
                None,
                list_attributes,
                connection,
                name_prefix=prefix,
                page_size=2,
                page_token=bad,
            )


@test("UpdateAttribute changes heat and unit; NOT_FOUND for what does not exist")
def _():
    with connect() as connection:
        name = unique()
        connection.resolve_attributes([(name, NUMBER)])
        update = catalog_pb2.UpdateAttributeRequest(name=name, is_hot=True, unit=b"m")
        answer = connection.call(CATALOG, "UpdateAttribute", update, catalog_pb2.Attribute)
        equal((answer.name.encode(), answer.is_hot, answer.unit), (name, True, "m"))
        update.name = unique()
        refuse(
            NOT_FOUND,
            None,
            connection.call,
            CATALOG,
            "UpdateAttribute",
            update,
            catalog_pb2.Attribute,
        )


def get_entity(connection, **fields):
    request = entity_pb2.GetEntityRequest(
        read=read_pb2.ReadOptions(level=read_pb2.READ_LEVEL_STRONG), **fields
    )
    return connection.call(
        "sluice.v1.EntityService", "GetEntity", request, entity_pb2.GetEntityResponse
    )


@test("GetEntity: an unknown entity is NOT_FOUND, ENTITY_NOT_FOUND")
def _():
    with connect() as connection:
        refuse(
            NOT_FOUND, "ENTITY_NOT_FOUND", get_entity, connection, external_key=unique()
        )
        error = refuse(NOT_FOUND, "ENTITY_NOT_FOUND", get_entity, connection, entity_id=2**62)
        proof = error.info.metadata
        equal((proof["source"], proof["node"], proof["staleness_bound_ms"], proof["degraded"]),
              ("primary", "primary", "0", "false"), "how old that answer is")
        # What it proves is a token like any other.
        options = read_pb2.ReadOptions(level=read_pb2.READ_LEVEL_AT_LEAST,
                                       token=bytes.fromhex(proof["as_of_token"]))
        again = entity_pb2.GetEntityRequest(entity_id=2**62, read=options)
        refuse(NOT_FOUND, "ENTITY_NOT_FOUND", connection.call, "sluice.v1.EntityService",
               "GetEntity", again, entity_pb2.GetEntityResponse)


@test("GetEntity without a choice of key is INVALID_ARGUMENT")
def _():
    with connect() as connection:
        refuse(INVALID_ARGUMENT, None, get_entity, connection)


@test("GetEntity: a STRONG read sees every hot value acknowledged before it, by both keys")
def _():
    with session() as (opened, _):
        fixture = Fixture(opened.connection, hot=True)
        values = [
            fixture.value(1, 5, -0.0),
            fixture.value(2, 5, -(2**63)),
            fixture.value(3, 5, True),
            fixture.value(4, 5, "naïve \U0001f600"),
            fixture.value(5, 5, '{"a": [1, null, "é"]}'),
        ]
        opened.batch(1, values)
        opened.wait_durable(5)
        with connect() as reader:
            for key in ({"entity_id": fixture.entity}, {"external_key": fixture.key.encode()}):
                answer = get_entity(reader, **key)
                equal(answer.entity.entity_id, fixture.entity)
                equal(answer.entity.external_key, fixture.key)
                equal(answer.freshness.source, read_pb2.SOURCE_PRIMARY)
                assert answer.freshness.as_of_token, "no token"
                found = {value.attribute_id: value for value in answer.entity.values}
                equal(len(found), 5, "hot values")
                number = found[fixture.attribute[1]].value.number
                equal(str(number), "-0.0", "number")
                equal(found[fixture.attribute[2]].value.integer, -(2**63))
                equal(found[fixture.attribute[3]].value.flag, True)
                equal(found[fixture.attribute[4]].value.label.decode(), "naïve \U0001f600")
                import json

                document = json.loads(found[fixture.attribute[5]].value.document)
                equal(document, {"a": [1, None, "é"]})
                equal(found[fixture.attribute[1]].observed_at_unix_us, 5)


@test("GetEntity: the newest observed time wins, not the last write")
def _():
    with session() as (opened, _):
        fixture = Fixture(opened.connection, hot=True)
        opened.batch(1, [fixture.value(1, 100, 1.0), fixture.value(1, 50, 2.0)])
        opened.batch(3, [fixture.value(1, 80, 3.0)])
        opened.wait_durable(3)
        answer = get_entity(opened.connection, entity_id=fixture.entity)
        equal([value.value.number for value in answer.entity.values], [1.0])


def forged(token, cluster=0, timeline=0, lsn=0):
    """A token of another history or of the future."""
    parts = struct.unpack(">BQIQQ", token[:-4])
    version, own_cluster, own_timeline, position, seen = parts
    own = (own_cluster ^ cluster, own_timeline + timeline, position + lsn, seen + lsn)
    body = struct.pack(">BQIQQ", version, *own)
    value = 0xCBF29CE484222325  # FNV-1a
    for byte in body:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return body + struct.pack(">I", (value ^ value >> 32) & 0xFFFFFFFF)


@test("a token that cannot be used is named: that of the level, or the floor by its place")
def _():
    with connect() as connection:
        fixture = Fixture(connection)
        token = get_entity(connection, entity_id=fixture.entity).freshness.as_of_token
        equal(forged(token), token, "a token made here")

        def read(level, token, floors=()):
            options = read_pb2.ReadOptions(level=level, token=token, floor_tokens=floors)
            return connection.call(
                "sluice.v1.EntityService",
                "GetEntity",
                entity_pb2.GetEntityRequest(entity_id=fixture.entity, read=options),
                entity_pb2.GetEntityResponse,
            )

        at_least_token, strong = read_pb2.READ_LEVEL_AT_LEAST, read_pb2.READ_LEVEL_STRONG
        for reason, other in (
            ("TOKEN_OF_OTHER_CLUSTER", forged(token, cluster=1)),
            ("TOKEN_OF_OTHER_TIMELINE", forged(token, timeline=1)),
            ("TOKEN_AHEAD", forged(token, lsn=2**40)),
        ):
            for field, *arguments in (
                ("read.token", at_least_token, other, [token]),
                ("read.floor_tokens[1]", at_least_token, token, [token, other]),
                ("read.floor_tokens[0]", strong, b"", [other, token]),
            ):
                error = refuse(FAILED_PRECONDITION, reason, read, *arguments)
                equal(error.info.metadata["field"], field, reason)
        for level in (strong, read_pb2.READ_LEVEL_UNSPECIFIED, read_pb2.READ_LEVEL_EVENTUAL,
                      read_pb2.READ_LEVEL_ANALYTICS):
            refuse(INVALID_ARGUMENT, "BAD_REQUEST", read, level, token, field="read.token")
        bad = (INVALID_ARGUMENT, "BAD_TOKEN", read)
        refuse(*bad, at_least_token, b"x", field="read.token")
        refuse(*bad, strong, b"", [token] * 3 + [token[:-1]], field="read.floor_tokens[3]")


def upsert(connection, attribute, value=None, **fields):
    written = entity_pb2.AttributeValue(attribute_id=attribute, value=value)
    return connection.call(
        "sluice.v1.EntityService",
        "UpsertEntity",
        entity_pb2.UpsertEntityRequest(values=[written], **fields),
        entity_pb2.UpsertEntityResponse,
    )


@test("UpsertEntity: taking an attribute away in the far future or past is refused")
def _():
    with connect() as connection:
        fixture = Fixture(connection, hot=True)
        for attribute in fixture.attribute.values():
            for reason, time_us in (
                ("TIME_IN_FUTURE", 4_070_908_800_000_000),
                ("TIME_IN_FUTURE", 2**63 - 1),
                ("TIME_OUT_OF_RANGE", -(2**63)),
            ):
                refuse(
                    INVALID_ARGUMENT,
                    reason,
                    upsert,
                    connection,
                    attribute,
                    entity_id=fixture.entity,
                    observed_at_unix_us=time_us,
                    field="observed_at_unix_us",
                )
        number = columns_pb2.Value(number=1.0)
        upsert(connection, fixture.attribute[NUMBER], number, entity_id=fixture.entity)
        found = get_entity(connection, entity_id=fixture.entity).entity.values
        equal([value.value.number for value in found], [1.0])


def list_entities(connection, **fields):
    request = entity_pb2.ListEntitiesRequest(
        read=read_pb2.ReadOptions(level=read_pb2.READ_LEVEL_STRONG), **fields
    )
    return connection.call(
        "sluice.v1.EntityService", "ListEntities", request, entity_pb2.ListEntitiesResponse
    )


@test("ListEntities: a document that cannot be stored is BAD_FILTER, with its step")
def _():
    with connect() as connection:
        fixture = Fixture(connection, hot=True)

        def equals(document):
            comparison = entity_pb2.Comparison(
                attribute_id=fixture.attribute[DOCUMENT],
                relation=entity_pb2.RELATION_EQUAL,
                value=columns_pb2.Value(document=document),
            )
            return entity_pb2.FilterStep(comparison=comparison)

        def find(*steps):
            step_filter = entity_pb2.EntityFilter(steps=steps)
            return list_entities(
                connection, external_key_prefix=fixture.key.encode(), filter=step_filter
            )

        one, both = equals(b"{}"), entity_pb2.FilterStep(all=2)
        for document in (b"", b"{", b'"\\u0000"', b"[" * 1_000 + b"]" * 1_000, b"1e999999999"):
            steps = (one, equals(document), both)
            refuse(INVALID_ARGUMENT, "BAD_FILTER", find, *steps, field="filter.steps[1]")
        equal(len(find(one).entities), 0)


@test("ListEntities by the longest labels: a page fits into a frame together with its token")
def _():
    with connect() as connection:
        fixture = Fixture(connection, hot=True)
        prefix, attribute = fixture.key.encode() + b".", fixture.attribute[LABEL]
        keys = [prefix + b"%02d" % number for number in range(70)]
        for number, key in enumerate(keys):
            label = columns_pb2.Value(label=(b"%02d" % number).ljust(65_536, b"x"))
            upsert(connection, attribute, label, external_key=key)
        found, token = [], b""
        while True:
            page = list_entities(
                connection,
                external_key_prefix=prefix,
                order_by_attribute_id=attribute,
                descending=True,
                page_token=token,
            )
            found += [entity.external_key.encode() for entity in page.entities]
            token = page.next_page_token
            if not token:
                break
        equal(found, keys[::-1], "keys")


@test("AdminService tells version, state and figures with units")
def _():
    with connect() as connection:
        answer = connection.call(
            "sluice.v1.AdminService",
            "GetStatus",
            admin_pb2.GetStatusRequest(),
            admin_pb2.GetStatusResponse,
        )
        equal(answer.state, "SERVING")
        assert answer.version and answer.uptime_ms >= 0
        at_least(len(answer.figures), 5, "figures")
        for figure in answer.figures:
            assert figure.name and figure.unit and figure.description, figure


@test("QueryHistory refuses no entity, no attribute and a range turned around")
def _():
    with connect() as connection:
        fixture = Fixture(connection)
        query = connection.history
        attribute = fixture.attribute[1]
        refuse(INVALID_ARGUMENT, None, query, [], [attribute], 0, 10)
        refuse(INVALID_ARGUMENT, None, query, [fixture.entity], [], 0, 10)
        refuse(INVALID_ARGUMENT, None, query, [fixture.entity], [attribute], 10, 0)
        refuse(
            INVALID_ARGUMENT, None, query, [fixture.entity], [attribute], 0, 10, page_size=-1
        )


@test("QueryHistory: start is inclusive, end exclusive, both orders, pages without gap")
def _():
    with session() as (opened, fixture):
        opened.batch(1, fixture.numbers(1, 100))
        opened.wait_durable(100)
        read = opened.connection.history
        where = ([fixture.entity], [fixture.attribute[1]])

        def numbers(start, end, **fields):
            return [v for page in read(*where, start, end, **fields) for v in page.numbers.value]

        first, last = 1_000_001, 1_000_100
        equal(numbers(first, last + 1), [float(n) for n in range(1, 101)])
        equal(numbers(first, last), [float(n) for n in range(1, 100)])
        equal(numbers(first + 1, first + 2), [2.0])
        equal(numbers(first, last + 1, page_size=7), [float(n) for n in range(1, 101)])
        descending = history_pb2.ORDER_DESCENDING
        equal(
            numbers(first, last + 1, page_size=9, order=descending),
            [float(n) for n in range(100, 0, -1)],
        )


@test("AggregateHistory: count, extremes, sum and edges of buckets")
def _():
    with session() as (opened, fixture):
        opened.batch(1, [fixture.value(1, 1_000 * n, float(n * n % 17)) for n in range(100)])
        opened.wait_durable(100)
        request = history_pb2.AggregateHistoryRequest(
            entity_id=[fixture.entity],
            attribute_id=[fixture.attribute[1]],
            start_unix_us=0,
            end_unix_us=100_000,
            bucket_width_us=10_000,
            read=read_pb2.ReadOptions(level=read_pb2.READ_LEVEL_STRONG),
        )
        answer = opened.connection.call(
            "sluice.v1.HistoryService",
            "AggregateHistory",
            request,
            history_pb2.AggregateHistoryResponse,
        )
        buckets = [[float(n * n % 17) for n in range(b * 10, b * 10 + 10)] for b in range(10)]
        equal(list(answer.bucket_start_unix_us), [b * 10_000 for b in range(10)])
        equal(list(answer.count), [10] * 10)
        equal(list(answer.min), [min(values) for values in buckets])
        equal(list(answer.max), [max(values) for values in buckets])
        equal(list(answer.sum), [sum(values) for values in buckets])
        equal(list(answer.average), [sum(values) / 10 for values in buckets])
        equal(list(answer.first), [values[0] for values in buckets])
        equal(list(answer.last), [values[-1] for values in buckets])


def hours_of_day(fixture):
    """A value each hour of 2024-10-27 in Berlin, which has 25 of them."""
    day = 1_729_980_000_000_000
    hours = [day + n * 3_600_000_000 for n in range(25)]
    return hours, [fixture.value(1, hour, float(n)) for n, hour in enumerate(hours)]


def aggregate(connection, fixture, start, end, kind=1, **fields):
    return connection.call(
        "sluice.v1.HistoryService",
        "AggregateHistory",
        history_pb2.AggregateHistoryRequest(
            entity_id=[fixture.entity],
            attribute_id=[fixture.attribute[kind]],
            start_unix_us=start,
            end_unix_us=end,
            read=read_pb2.ReadOptions(level=read_pb2.READ_LEVEL_STRONG),
            **fields,
        ),
        history_pb2.AggregateHistoryResponse,
    )


@test("AggregateHistory: days of a zone, percentiles, deviation and filled gaps")
def _():
    with session() as (opened, fixture):
        hours, values = hours_of_day(fixture)
        opened.batch(1, values)
        opened.wait_durable(len(values))
        day = 86_400_000_000
        answer = aggregate(
            opened.connection,
            fixture,
            hours[0] - day,
            hours[-1] + day,
            bucket_unit=history_pb2.CALENDAR_UNIT_DAY,
            time_zone=b"Europe/Berlin",
            percentile=[0.5, 0.25],
            stddev=True,
            fill=history_pb2.FILL_PREVIOUS,
        )
        starts = [hours[0] - day, hours[0], hours[0] + 25 * 3_600_000_000]
        equal(list(answer.bucket_start_unix_us), starts)
        equal(list(answer.count), [0, 25, 0])
        equal(list(answer.sum), [0.0, 300.0, 0.0])
        equal(list(answer.last)[1:], [24.0, 24.0])
        equal(list(answer.percentile)[2:], [12.0, 6.0, 24.0, 24.0])
        assert answer.last[0] != answer.last[0], "nothing comes before the first value"
        assert abs(answer.stddev[1] - 7.359800721939872) < 1e-12, answer.stddev


@test("AggregateHistory: figures of integers are exact at both ends of 64 bits")
def _():
    with session() as (opened, fixture):
        largest = 2**63 - 1
        numbers = [largest, -largest - 1, 2**53 + 1]
        opened.batch(1, [fixture.value(2, 1_000 + n, number) for n, number in enumerate(numbers)])
        opened.wait_durable(len(numbers))
        answer = aggregate(
            opened.connection, fixture, 0, 2_000_000, kind=2, bucket_width_us=1_000_000,
            fill=history_pb2.FILL_PREVIOUS)
        equal(list(answer.count), [3, 0])
        equal(list(answer.integer_min), [-largest - 1, 2**53 + 1])
        equal(list(answer.integer_max), [largest, 2**53 + 1])
        equal(list(answer.integer_first), [largest, 2**53 + 1])
        equal(list(answer.integer_last), [2**53 + 1, 2**53 + 1])


@test("AggregateHistory names the field of a zone, a width and a percentile that cannot be")
def _():
    with connect() as connection:
        fixture = Fixture(connection)

        def wrong(field, reason=None, **fields):
            arguments = (connection, fixture, 0, 10)
            refuse(INVALID_ARGUMENT, reason, aggregate, *arguments, field=field, **fields)

        width = {"bucket_width_us": 1_000_000}
        for zone in (b"Europe/Atlantis", b"CEST", b"'; DROP TABLE sluice.entities; --"):
            wrong("time_zone", "UNKNOWN_TIME_ZONE", time_zone=zone, **width)
        wrong("bucket_width_us", bucket_unit=history_pb2.CALENDAR_UNIT_DAY, **width)
        wrong("bucket_width_us", time_zone=b"Europe/Berlin", bucket_width_us=86_400_000_001)
        wrong("bucket_width_us")
        wrong("percentile[1]", percentile=[0.5, 1.5], **width)
        wrong("fill", fill=9, **width)
        wrong("bucket_unit", bucket_unit=9)


@test("ExistsInRange: entities with values of some attributes or of any")
def _():
    with session() as (opened, fixture):
        hours, values = hours_of_day(fixture)
        opened.batch(1, values)
        opened.wait_durable(len(values))

        def exists(start, end, attributes):
            request = history_pb2.ExistsInRangeRequest(
                entity_id=[fixture.entity, fixture.entity + 1_000_000],
                attribute_id=attributes,
                start_unix_us=start,
                end_unix_us=end,
                read=read_pb2.ReadOptions(level=read_pb2.READ_LEVEL_STRONG),
            )
            answer = opened.connection.call(
                "sluice.v1.HistoryService",
                "ExistsInRange",
                request,
                history_pb2.ExistsInRangeResponse,
            )
            equal(answer.freshness.source, read_pb2.SOURCE_PRIMARY)
            return list(answer.entity_id)

        equal(exists(hours[0], hours[-1], []), [fixture.entity])
        equal(exists(hours[0], hours[0] + 1, [fixture.attribute[1]]), [fixture.entity])
        equal(exists(hours[0] - 10, hours[0], []), [])
        equal(exists(hours[0], hours[-1], [fixture.attribute[2]]), [])
        refuse(INVALID_ARGUMENT, None, exists, 10, 0, [])
        refuse(NOT_FOUND, "ATTRIBUTE_NOT_FOUND", exists, 0, 10, [fixture.attribute[1] + 100_000])
