"""The write session: opening, batches, acks, rejects, repeats, fences, grants."""

import json
import random
import threading
import time
import uuid

from checks import at_least, at_most, equal, test
from framing import DATA, REMOTE_OPEN, ConnectionClosed, Silence, frame
from gateway import Fixture, Gateway, connect, locked, session, sql, sql_value, wait_until
from protocol import (
    ABORTED,
    DATA_LOSS,
    DOCUMENT,
    FAILED_PRECONDITION,
    FLAG,
    INTEGER,
    INVALID_ARGUMENT,
    LABEL,
    NUMBER,
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    CallError,
    Connection,
    Session,
    batch_of,
    bits,
    columns_of,
    columns_pb2,
    crc32c,
    ingest_pb2,
    now_us,
    values_of,
)

# Opening.


@test("Open is answered by Opened: an epoch, positions of 0, limits and a first grant")
def _():
    with session() as (opened, _):
        answer = opened.opened
        equal(answer.epoch, 1, "epoch of a new producer")
        equal((answer.durable_seq, answer.staged_seq), (0, 0), "positions")
        at_least(answer.granted_bytes, 4_096, "granted_bytes")
        at_most(answer.granted_bytes, 1 << 20, "granted_bytes before anything was sent")
        at_least(answer.granted_seq, 1_000, "granted_seq")
        at_least(answer.max_batch_bytes, 256 << 10, "max_batch_bytes")
        at_least(answer.max_batch_values, 1_000, "max_batch_values")
        equal((answer.lost_from_seq, answer.lost_to_seq), (0, 0), "lost")
        equal(opened.end(), [], "messages before the end")


def open_fails(code, reason, field=None, **fields):
    with connect() as connection:
        opened = Session(connection)
        try:
            answer = opened.open(**fields)
        except CallError as error:
            error.check(code, reason, field)
        else:
            raise AssertionError(f"an error was expected, not {answer}")
        connection.check_alive()


@test("Open with another protocol version is UNSUPPORTED_PROTOCOL_VERSION")
def _():
    for version in (0, 2, 2**32 - 1):
        open_fails(
            INVALID_ARGUMENT, "UNSUPPORTED_PROTOCOL_VERSION", protocol_version=version
        )


@test("Open with a bad producer_id, session_id or client_name is BAD_OPEN and names the field")
def _():
    for producer in (b"x", b"x" * 15, b"x" * 17):
        open_fails(INVALID_ARGUMENT, "BAD_OPEN", "producer_id", producer=producer)
    for session_id in (b"x", b"x" * 15, b"x" * 17):
        open_fails(INVALID_ARGUMENT, "BAD_OPEN", "session_id", session=session_id)
    open_fails(INVALID_ARGUMENT, "BAD_OPEN", "client_name", client_name=b"x" * 129)


@test("Open with a client_name that is not UTF-8 is BAD_OPEN")
def _():
    open_fails(INVALID_ARGUMENT, "BAD_OPEN", "client_name", client_name=b"\xff\xfe")


@test("a batch before Open is NOT_OPENED")
def _():
    with connect() as connection:
        fixture = Fixture(connection)
        early = Session(connection)
        early.batch(1, fixture.numbers(1, 1))
        early.expect_error(FAILED_PRECONDITION, "NOT_OPENED")
        connection.check_alive()


@test("a batch sent before Opened has come is NOT_OPENED, or written: never half")
def _():
    with connect() as connection:
        fixture = Fixture(connection)
        hasty = Session(connection)
        message = ingest_pb2.Open(
            protocol_version=1, producer_id=uuid.uuid4().bytes, session_id=uuid.uuid4().bytes
        )
        with locked("sluice.producer_state"):
            hasty.send(ingest_pb2.WriteRequest(open=message))
            hasty.batch(1, fixture.numbers(1, 3))
            hasty.expect_error(FAILED_PRECONDITION, "NOT_OPENED")
        time.sleep(0.2)
        connection.check_alive()
        equal(fixture.stored("count(*)")[0][0], "0", "rows")


@test("Open twice is ALREADY_OPENED")
def _():
    with session() as (opened, _):
        again = ingest_pb2.Open(
            protocol_version=1, producer_id=opened.producer, session_id=opened.session
        )
        opened.send(ingest_pb2.WriteRequest(open=again))
        opened.expect_error(FAILED_PRECONDITION, "ALREADY_OPENED")
        opened.connection.check_alive()


@test("a WriteRequest without a message, or not protobuf, is INVALID_ARGUMENT")
def _():
    for body in (b"", b"\x22\x00", b"\xff\xff", b"\x0a\x7f\x08", b"\x08\x01"):
        with session() as (opened, _):
            opened.send(body)
            opened.expect_error(INVALID_ARGUMENT)
            opened.connection.check_alive()


@test("some unknown fields are ignored, a flood of them is refused")
def _():
    with session() as (opened, fixture):
        batch = batch_of(1, fixture.numbers(1, 1))
        body = ingest_pb2.WriteRequest(batch=batch).SerializeToString()
        opened.send(body + b"\xf8\x06\x01")
        opened.wait_durable(1)
        batch = batch_of(2, fixture.numbers(2, 1))
        body = ingest_pb2.WriteRequest(batch=batch).SerializeToString()
        opened.send(body + b"\xf8\x06\x01" * 100)
        opened.expect_error(INVALID_ARGUMENT)


@test("the same session_id keeps the epoch, a new one raises it")
def _():
    with session() as (opened, fixture):
        opened.batch(1, fixture.numbers(1, 3))
        opened.wait_durable(3)
        with connect() as connection:
            again = Session(connection)
            answer = again.open(opened.producer, opened.session)
            equal((answer.epoch, answer.durable_seq), (opened.opened.epoch, 3))
            again.batch(4, fixture.numbers(4, 1))
            again.wait_durable(4)
            newer = Session(connection)
            answer = newer.open(opened.producer)
            equal((answer.epoch, answer.durable_seq), (opened.opened.epoch + 1, 4))
        fixture.check_stored_once(4)


@test("a second session fences the first, which writes nothing any more")
def _():
    with session() as (opened, fixture):
        opened.batch(1, fixture.numbers(1, 5))
        opened.wait_durable(5)
        with connect() as connection:
            newer = Session(connection)
            answer = newer.open(opened.producer)
            equal(answer.durable_seq, 5)
            opened.batch(6, fixture.numbers(6, 5, start=77_000_000))
            error = opened.expect_error(ABORTED, "FENCED")
            equal(error.info.metadata["epoch"], str(answer.epoch), "epoch in the metadata")
            newer.batch(6, fixture.numbers(6, 5))
            newer.wait_durable(10)
        fixture.check_stored_once(10)
        newest = sql_value(
            f"SELECT count(*) FROM sluice.entity_values WHERE entity_id = {fixture.entity}"
            " AND observed_at > to_timestamp(50)"
        )
        equal(newest, "0", "rows of the fenced session")


@test("what the client no longer holds is told as lost, recorded and skipped")
def _():
    with session() as (opened, fixture):
        opened.batch(1, fixture.numbers(1, 5))
        opened.wait_durable(5)
        with connect() as connection:
            later = Session(connection)
            answer = later.open(opened.producer, lowest_held=11)
            equal((answer.lost_from_seq, answer.lost_to_seq), (6, 10), "lost")
            equal(answer.durable_seq, 10)
            later.batch(11, fixture.numbers(11, 2))
            later.wait_durable(12)
            recorded = sql(
                "SELECT from_seq, to_seq FROM sluice.lost_ranges WHERE producer_id ="
                f" '{uuid.UUID(bytes=opened.producer)}'"
            )
            equal(recorded, [["6", "10"]])
        fixture.check_stored_once(7)


def check_one_goes_on(twins, fixture, last):
    """Of streams that send the same at least one comes to the end, and it is written once."""
    ends = []
    for one in twins:
        try:
            one.wait_durable(last)
            ends.append(None)
        except CallError as error:
            ends.append(error.check((14, ABORTED), ("DISPLACED", "FENCED")))
    assert None in ends, f"neither of them could finish: {ends}"
    fixture.check_stored_once(last)


@test("two streams of the same session_id that send the same write it once")
def _():
    with session() as (opened, fixture), connect() as connection:
        twin = Session(connection)
        equal(twin.open(opened.producer, opened.session).epoch, opened.opened.epoch, "epoch")
        for seq in range(1, 200, 10):
            for one in (opened, twin):
                one.batch(seq, fixture.numbers(seq, 10))
        check_one_goes_on((opened, twin), fixture, 200)


@test("of two streams that send the same one goes on, though both had more waiting behind the first")
def _():
    for _ in range(8):
        with session() as (opened, fixture), connect() as connection:
            twin = Session(connection)
            twin.open(opened.producer, opened.session)
            with locked("sluice.producer_state") as let_go:
                for one in (opened, twin):
                    one.batch(1, fixture.numbers(1, 10))
                # Both stand before the guard, and what comes now waits for the one or the other.
                time.sleep(0.05)
                for seq in range(11, 200, 10):
                    for one in (opened, twin):
                        one.batch(seq, fixture.numbers(seq, 10))
                time.sleep(0.05)
                let_go()
            check_one_goes_on((opened, twin), fixture, 200)


@test("several sessions share one connection without mixing")
def _():
    with connect() as connection:
        fixtures = [Fixture(connection) for _ in range(4)]
        sessions = []
        for _ in fixtures:
            opened = Session(connection)
            opened.open()
            sessions.append(opened)
        for first in range(1, 50, 10):
            for opened, fixture in zip(sessions, fixtures):
                opened.batch(first, fixture.numbers(first, 10))
        done = {}
        while len(done) < len(sessions):
            received = connection.receive()
            equal(received.kind, DATA, "kind")
            ack = ingest_pb2.WriteResponse.FromString(received.body).ack
            if ack.durable_seq == 50:
                done[received.stream] = ack
        equal(sorted(done), sorted(opened.stream for opened in sessions))
        for fixture in fixtures:
            fixture.check_stored_once(50)


# Values.

NUMBERS = [
    0.0,
    -0.0,
    1.5,
    float("nan"),
    float("inf"),
    float("-inf"),
    5e-324,
    -2.2250738585072014e-308,
    1.7976931348623157e308,
    0.1,
    1 / 3,
]
INTEGERS = [0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1, -(2**53) - 1]
FLAGS = [True, False]
LABELS = [
    "",
    " ",
    "plain",
    "Grüße, 世界 \U0001f30d",
    "e\u0301 is not \u00e9",
    "line\nbreak\ttab\r\x01\x7f",
    "\ufeffbom \u202e \U0010ffff",
    "\\N \\. \"quoted\" 'single' \\",
    "x" * 65_536,
]
DOCUMENTS = [
    "{}",
    "[]",
    "null",
    "true",
    '""',
    "0",
    "-0.5e-3",
    "123456789012345678901234567890.5",
    '{"b": [1, 2, {"c": null}], "a": "\\u00e9\\ud83d\\ude00\\n"}',
    ' [ 1 , "two" , { } ] ',
    '{"schlüssel": "wert ☃"}',
    "[" * 100 + "]" * 100,
]


def every_value(fixture, start):
    values = []
    for kind, contents in (
        (NUMBER, NUMBERS),
        (INTEGER, INTEGERS),
        (FLAG, FLAGS),
        (LABEL, LABELS),
        (DOCUMENT, DOCUMENTS),
    ):
        for content in contents:
            values.append(fixture.value(kind, start + len(values), content))
    return values


def comparable(values):
    """Values with numbers by their bits, NaN whatever its bits, and JSON by its meaning."""
    result = []
    for kind, entity, attribute, observed, content in values:
        if kind == NUMBER:
            content = "NaN" if content != content else bits(content)
        elif kind == LABEL:
            content = content if isinstance(content, bytes) else content.encode()
        elif kind == DOCUMENT:
            text = content if isinstance(content, str) else content.decode()
            content = json.loads(text, parse_float=str, parse_int=str)
            content = json.dumps(content, sort_keys=True) if text.strip()[0] in "{[" else content
            if isinstance(content, str) and content == "-0.5e-3":
                content = "-0.0005"
        result.append((kind, entity, attribute, observed, content))
    return result


@test("values of all five types come back exactly through QueryHistory")
def _():
    with session() as (opened, fixture):
        values = every_value(fixture, now_us() - 1_000_000)
        opened.want(200_000)
        opened.batch(1, values)
        opened.wait_durable(len(values))
        equal(opened.rejects, {}, "rejects")
        counts = opened.ack.counts
        equal(
            (counts.received, counts.written, counts.duplicate, counts.rejected),
            (len(values), len(values), 0, 0),
            "counts",
        )
        with connect() as reader:
            pages = reader.history(
                [fixture.entity], list(fixture.attribute.values()), 0, 2**53, page_size=10
            )
        found = [value for page in pages for value in values_of(page)]
        found.sort(key=lambda value: value[3])
        for one, other in zip(comparable(found), comparable(values)):
            equal(one, other)
        equal(len(found), len(values), "values")


@test("values of all five types stand exactly in the table")
def _():
    with session() as (opened, fixture):
        start = now_us() - 1_000_000
        values = every_value(fixture, start)
        opened.want(200_000)
        opened.batch(1, values)
        opened.wait_durable(len(values))
        rows = sql(
            "SELECT tenant_id, attribute_id, (extract(epoch FROM observed_at) * 1000000)::bigint,"
            " encode(float8send(number), 'hex'), integer, flag,"
            " encode(convert_to(label, 'UTF8'), 'hex'), document, num_nonnulls(number, integer,"
            " flag, label, document) FROM sluice.entity_values"
            f" WHERE entity_id = {fixture.entity} ORDER BY observed_at"
        )
        equal(len(rows), len(values), "rows")
        found = []
        for row in rows:
            tenant, attribute, observed, number, integer, flag, label, document, filled = row
            equal((tenant, filled), ("1", "1"), "tenant and number of filled columns")
            key = (fixture.entity, int(attribute), int(observed))
            if number:
                import struct

                found.append((NUMBER, *key, struct.unpack(">d", bytes.fromhex(number))[0]))
            elif integer:
                found.append((INTEGER, *key, int(integer)))
            elif flag:
                found.append((FLAG, *key, flag == "t"))
            elif document:
                found.append((DOCUMENT, *key, document))
            else:
                found.append((LABEL, *key, bytes.fromhex(label)))
        for one, other in zip(comparable(found), comparable(values)):
            equal(one, other)


@test("times from the year 1 to the future limit are kept to the microsecond")
def _():
    with session() as (opened, fixture):
        now = now_us()
        times = [-62_135_596_800_000_000, -1, 0, 1, 951_782_399_999_999, now, now + 3_500_000_000]
        opened.batch(1, [fixture.value(NUMBER, observed, 1.0) for observed in times])
        opened.wait_durable(len(times))
        equal(opened.rejects, {}, "rejects")
        pages = opened.connection.history(
            [fixture.entity],
            [fixture.attribute[NUMBER]],
            -62_135_596_800_000_000,
            now + 10_000_000_000,
        )
        found = [observed for page in pages for observed in page.numbers.observed_at_unix_us]
        equal(found, times)


@test("a batch of many values is written whole")
def _():
    with session() as (opened, fixture):
        count = min(10_000, opened.opened.max_batch_values)
        values = fixture.numbers(1, count)
        opened.want(columns_of(values).ByteSize())
        opened.batch(1, values)
        opened.wait_durable(count, 30)
        equal(opened.ack.counts.written, count)
        fixture.check_stored_once(count)


@test("batches sent without waiting are all acknowledged, with rising positions")
def _():
    with session() as (opened, fixture):
        for first in range(1, 1001, 10):
            opened.batch(first, fixture.numbers(first, 10))
        opened.wait_durable(1000)
        equal(opened.ack.counts.written, 1000)
        fixture.check_stored_once(1000)
        equal([reply for reply in opened.end() if reply.HasField("ack")], [], "acks at the end")


@test("acks of a client that does not read are merged into few")
def _():
    with session() as (opened, fixture):
        with locked("sluice.producer_state", "EXCLUSIVE") as let_go:
            for first in range(1, 201, 10):
                opened.batch(first, fixture.numbers(first, 10))
            opened.connection.expect_silence(0.3)
            let_go()
            opened.wait_durable(200)
        at_most(len(opened.acks), 5, "acks for 20 batches that were written together")


@test("an Ack's token makes an AT_LEAST read see the values")
def _():
    from protocol import history_pb2, read_pb2

    with session() as (opened, fixture):
        opened.batch(1, fixture.numbers(1, 1))
        token = opened.wait_durable(1).token
        assert token, "no token"
        request = history_pb2.QueryHistoryRequest(
            entity_id=[fixture.entity],
            attribute_id=[fixture.attribute[NUMBER]],
            start_unix_us=0,
            end_unix_us=2_000_000,
            read=read_pb2.ReadOptions(level=read_pb2.READ_LEVEL_AT_LEAST, token=token),
        )
        answer = opened.connection.call(
            "sluice.v1.HistoryService",
            "QueryHistory",
            request,
            history_pb2.QueryHistoryResponse,
        )
        equal(list(answer.columns.numbers.value), [1.0])


@test("the end waits for the acks of what was sent")
def _():
    with session() as (opened, fixture):
        for first in range(1, 501, 50):
            opened.batch(first, fixture.numbers(first, 50))
        opened.end()
        equal(opened.ack.durable_seq, 500)
        fixture.check_stored_once(500)


# Rejects.

Reason = ingest_pb2.RejectReason.Value


def expect_reject(values_for, *reasons):
    """The second of three values is bad: it is named, the others are written."""
    with session() as (opened, fixture):
        good = fixture.value(NUMBER, 10, 1.0)
        bad = values_for(fixture)
        values = sorted([good, bad, good[:3] + (20, 2.0)], key=lambda value: value[0])
        index = next(i for i, value in enumerate(values) if value is bad)
        columns = columns_of(values)
        if columns.ByteSize() > opened.granted_bytes:
            opened.want(columns.ByteSize())
        opened.batch(1, values)
        opened.wait_durable(3)
        allowed = [Reason("REJECT_REASON_" + reason) for reason in reasons]
        equal(list(opened.rejects), [1 + index], "rejected sequence numbers")
        assert opened.rejects[1 + index] in allowed, (
            f"{ingest_pb2.RejectReason.Name(opened.rejects[1 + index])}, expected {reasons}"
        )
        counts = opened.ack.counts
        equal((counts.received, counts.written, counts.rejected), (3, 2, 1), "counts")
        stored = fixture.stored("count(*)")[0][0]
        equal(stored, "2", "rows")
        recorded = sql(
            "SELECT seq, reason FROM sluice.rejected_values WHERE producer_id ="
            f" '{uuid.UUID(bytes=opened.producer)}'"
        )
        equal(recorded, [[str(1 + index), str(opened.rejects[1 + index])]], "rejected_values")


@test("reject: an unknown entity")
def _():
    for entity in (2**62, 2**63 - 1, 0, -1, -(2**63)):
        expect_reject(
            lambda f, entity=entity: (NUMBER, entity, f.attribute[NUMBER], 15, 9.0),
            "UNKNOWN_ENTITY",
        )


@test("reject: an unknown attribute")
def _():
    for attribute in (1_000_000_000, 0, 2**31 - 1, 2**31, 2**32 - 1):
        expect_reject(
            lambda f, attribute=attribute: (NUMBER, f.entity, attribute, 15, 9.0),
            "UNKNOWN_ATTRIBUTE",
        )


@test("reject: a value of another type than its attribute")
def _():
    contents = {NUMBER: 9.0, INTEGER: 9, FLAG: True, LABEL: "x", DOCUMENT: "{}"}
    for kind, content in contents.items():
        other = INTEGER if kind == NUMBER else NUMBER
        expect_reject(
            lambda f, kind=kind, other=other, content=content: (
                kind,
                f.entity,
                f.attribute[other],
                15,
                content,
            ),
            "WRONG_TYPE",
        )


@test("reject: a time in the far future")
def _():
    expect_reject(lambda f: f.value(NUMBER, now_us() + 7_200_000_000, 9.0), "TIME_IN_FUTURE")
    expect_reject(
        lambda f: f.value(NUMBER, 2**63 - 1, 9.0), "TIME_IN_FUTURE", "TIME_OUT_OF_RANGE"
    )


@test("reject: a time before the year 1")
def _():
    for observed in (-62_135_596_800_000_001, -(2**63)):
        expect_reject(
            lambda f, observed=observed: f.value(NUMBER, observed, 9.0), "TIME_OUT_OF_RANGE"
        )


BAD_UTF8 = [
    b"\xff",
    b"a\x80",
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xe0\x80\xaf",
    b"\xed\xa0\x80",
    b"\xf0\x80\x80\xaf",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"cut short \xe2\x82",
]


@test("reject: a label that is not UTF-8")
def _():
    for text in BAD_UTF8:
        expect_reject(lambda f, text=text: f.value(LABEL, 15, text), "TEXT_NOT_UTF8")


@test("reject: texts whose UTF-8 is only whole across their border")
def _():
    with session() as (opened, fixture):
        values = [
            fixture.value(LABEL, 1, b"ab\xe2\x82"),
            fixture.value(LABEL, 2, b"\xac"),
            fixture.value(LABEL, 3, b"good"),
        ]
        opened.batch(1, values)
        opened.wait_durable(3)
        equal(opened.rejects, {1: 6, 2: 6}, "rejects")


@test("reject: a label with a NUL")
def _():
    for text in (b"\0", b"a\0b", b"12345678901234567\0"):
        expect_reject(lambda f, text=text: f.value(LABEL, 15, text), "TEXT_HAS_NUL")


@test("reject: a label that is too long")
def _():
    expect_reject(lambda f: f.value(LABEL, 15, b"x" * 65_537), "TOO_LONG")


@test("reject: a document that is too long")
def _():
    expect_reject(
        lambda f: f.value(DOCUMENT, 15, b'"' + b"x" * (512 << 10) + b'"'), "TOO_LONG"
    )


@test("reject: a document that is not JSON")
def _():
    texts = [
        "",
        " ",
        "{",
        "[1,]",
        "{'a':1}",
        "{a:1}",
        "nul",
        "NaN",
        "Infinity",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "0x10",
        '"open',
        '"tab\there"',
        '"\\x41"',
        '"\\u12g4"',
        "1 2",
        "{} {}",
        '{"a" 1}',
        '{"a":1,}',
        "[1}",
        "\ufeff{}",
        "// comment\n1",
    ]
    for text in texts:
        expect_reject(lambda f, text=text: f.value(DOCUMENT, 15, text), "NOT_JSON")


@test("reject: a document that is JSON, but not for PostgreSQL")
def _():
    for text in ('"\\u0000"', '{"\\u0000": 1}', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83dx"'):
        expect_reject(
            lambda f, text=text: f.value(DOCUMENT, 15, text),
            "NOT_JSON",
            "TEXT_HAS_NUL",
            "TEXT_NOT_UTF8",
        )
    expect_reject(
        lambda f: f.value(DOCUMENT, 15, "1e131073"), "NOT_JSON", "TOO_LONG", "REFUSED_BY_DATABASE"
    )


@test("reject: a document that is not UTF-8, or has a NUL")
def _():
    expect_reject(lambda f: f.value(DOCUMENT, 15, b'"\xff"'), "TEXT_NOT_UTF8")
    expect_reject(lambda f: f.value(DOCUMENT, 15, b'"\0"'), "TEXT_HAS_NUL")


@test("reject: a document nested too deep")
def _():
    for depth in (129, 1_000, 20_000):
        for left, right in ((b"[", b"]"), (b'{"a":', b"}")):
            text = left * depth + b"1" + right * depth
            expect_reject(lambda f, text=text: f.value(DOCUMENT, 15, text), "JSON_TOO_DEEP")


@test("a batch of nothing but bad values is acknowledged, and every value is named")
def _():
    with session() as (opened, fixture):
        values = [(NUMBER, 2**61 + n, fixture.attribute[NUMBER], 1, 1.0) for n in range(500)]
        opened.batch(1, values)
        opened.batch(501, fixture.numbers(501, 1))
        opened.wait_durable(501)
        equal(sorted(opened.rejects), list(range(1, 501)))
        equal(set(opened.rejects.values()), {Reason("REJECT_REASON_UNKNOWN_ENTITY")})
        fixture.check_stored_once(1)


@test("an entity made after the session opened is known to it")
def _():
    with session() as (opened, _):
        with connect() as other:
            for seq in range(1, 6):
                fixture = Fixture(other)
                opened.batch(seq, fixture.numbers(seq, 1))
                opened.wait_durable(seq)
        equal(opened.rejects, {}, "rejects")


@test("a gateway that has met nobody yet asks for all ids of a batch before it rejects any")
def _():
    with Gateway() as gateway, connect() as other, Connection(gateway.address) as connection:
        keys = [f"met-{uuid.uuid4()}".encode() for _ in range(3_000)]
        entities = other.resolve_entities(keys)
        plain, hot = Fixture(other), Fixture(other, hot=True)
        values = []
        # Two attributes in turn, so that neither repeats the one before it.
        for number, entity in enumerate(entities):
            fixture = plain if number % 2 else hot
            values.append((NUMBER, entity, fixture.attribute[NUMBER], 1_000 + number, 1.0))
        values.append((INTEGER, plain.entity, plain.attribute[INTEGER], 5, 7))
        opened = Session(connection)
        opened.open()
        opened.want(200_000)
        opened.batch(1, values)
        opened.wait_durable(len(values), seconds=30)
        equal(opened.rejects, {}, "rejects")
        equal(plain.stored("integer"), [["7"]])


@test("batches behind one with unknown names keep their order")
def _():
    with session() as (opened, fixture):
        with connect() as other:
            newer = Fixture(other)
        for first in range(1, 100, 3):
            opened.batch(
                first,
                [
                    newer.value(NUMBER, 1_000_000 + first, 1.0),
                    fixture.value(NUMBER, 1_000_000 + first, 1.0),
                    (NUMBER, 2**60 + first, fixture.attribute[NUMBER], 5, 1.0),
                ],
            )
        opened.wait_durable(99)
        equal(sorted(opened.rejects), list(range(3, 100, 3)))
        fixture.check_stored_once(33)
        newer.check_stored_once(33)


# Malformed batches.


def expect_bad_batch(field=None, **options):
    with session() as (opened, fixture):
        values = options.pop("values", None) or fixture.numbers(1, 3)
        opened.batch(options.pop("first", 1), values, **options)
        opened.expect_error(INVALID_ARGUMENT, "BAD_BATCH", field)
        opened.connection.check_alive()
        equal(fixture.stored("count(*)")[0][0], "0", "rows")


@test("a batch with a wrong checksum is BAD_BATCH")
def _():
    expect_bad_batch(crc=0)
    expect_bad_batch(crc=12345)


@test("BAD_BATCH carries BadRequest.field_violations, as every INVALID_ARGUMENT")
def _():
    expect_bad_batch(field="crc32c", crc=1)


@test("a batch with another count than its columns is BAD_BATCH")
def _():
    for count in (0, 2, 4, 2**31, 2**32 - 1):
        expect_bad_batch(count=count)


@test("a batch whose columns are no Columns is BAD_BATCH")
def _():
    for columns in (b"\xff\xff\xff", b"\x0a\x05abc", b"not a message", b"\x0a\x03\x0a\x01x"):
        expect_bad_batch(columns=columns, count=1)


@test("an empty batch is BAD_BATCH")
def _():
    expect_bad_batch(columns=b"", count=0)
    expect_bad_batch(columns=b"", count=1)


@test("a batch with first_seq 0 is BAD_BATCH")
def _():
    expect_bad_batch(first=0)


@test("columns of different lengths are BAD_BATCH")
def _():
    columns = columns_pb2.Columns()
    columns.numbers.entity_id.extend([1, 2])
    columns.numbers.attribute_id.extend([1, 2])
    columns.numbers.observed_at_unix_us.extend([1, 2])
    columns.numbers.value.extend([1.0])
    for count in (1, 2):
        expect_bad_batch(columns=columns.SerializeToString(), count=count)


@test("end offsets that fall, run over or stop short are BAD_BATCH")
def _():
    for ends in ([3, 1], [1, 4], [1, 2], [0, 2**32 - 1], [2**32 - 1, 3]):
        columns = columns_pb2.Columns()
        columns.labels.entity_id.extend([1, 2])
        columns.labels.attribute_id.extend([1, 2])
        columns.labels.observed_at_unix_us.extend([1, 2])
        columns.labels.end_offset.extend(ends)
        columns.labels.text = b"abc"
        expect_bad_batch(columns=columns.SerializeToString(), count=2)


@test("columns that are not packed are understood")
def _():
    import struct

    with session() as (opened, fixture):
        section = b""
        for observed, content in ((1_000_001, 1.0), (1_000_002, 2.0)):
            section += b"\x09" + struct.pack("<q", fixture.entity)
            section += b"\x15" + struct.pack("<I", fixture.attribute[NUMBER])
            section += b"\x19" + struct.pack("<q", observed)
            section += b"\x21" + struct.pack("<d", content)
        columns = b"\x0a" + bytes([len(section)]) + section
        opened.batch(1, columns=columns, count=2)
        opened.wait_durable(2)
        equal(opened.rejects, {}, "rejects")
        fixture.check_stored_once(2)


@test("a batch at the end of all numbers ends the session, not the gateway")
def _():
    for first in (2**64 - 1, 2**63, 2**63 - 2, 2**64 - 3):
        with session() as (opened, fixture):
            opened.batch(first, fixture.numbers(1, 3))
            opened.expect_error((INVALID_ARGUMENT, RESOURCE_EXHAUSTED, FAILED_PRECONDITION))
            opened.connection.check_alive()


# Repeats, gaps, conflicts.


@test("a duplicate batch is acknowledged and not doubled")
def _():
    with session() as (opened, fixture):
        for _ in range(3):
            opened.batch(1, fixture.numbers(1, 10))
        opened.wait(lambda ack: ack.counts.duplicate >= 20)
        opened.wait_durable(10)
        counts = opened.ack.counts
        equal((counts.received, counts.written, counts.duplicate), (30, 10, 20), "counts")
        fixture.check_stored_once(10)


@test("a duplicate of a batch that is not durable yet is not doubled")
def _():
    with session() as (opened, fixture):
        with locked("sluice.producer_state", "EXCLUSIVE") as let_go:
            for _ in range(3):
                opened.batch(1, fixture.numbers(1, 10))
            time.sleep(0.2)
            let_go()
            opened.wait_durable(10)
        opened.end()
        equal(opened.ack.counts.duplicate, 20)
        fixture.check_stored_once(10)


@test("a duplicate in a later session is acknowledged and not doubled")
def _():
    with session() as (opened, fixture):
        opened.batch(1, fixture.numbers(1, 10))
        opened.batch(11, fixture.numbers(11, 10))
        opened.wait_durable(20)
        with connect() as connection:
            later = Session(connection)
            equal(later.open(opened.producer).durable_seq, 20)
            later.batch(1, fixture.numbers(1, 10))
            later.batch(11, fixture.numbers(11, 10))
            later.batch(21, fixture.numbers(21, 5))
            later.wait_durable(25)
            later.end()
            equal(later.ack.counts.duplicate, 20)
        fixture.check_stored_once(25)


@test("a conflicting re-send is SEQ_CONFLICT, in the same session and in a later one")
def _():
    with session() as (opened, fixture):
        opened.batch(1, fixture.numbers(1, 10))
        opened.wait_durable(10)
        with connect() as connection:
            later = Session(connection)
            later.open(opened.producer, opened.session)
            later.batch(1, fixture.numbers(1, 10, start=5_000_000))
            later.expect_error(DATA_LOSS, "SEQ_CONFLICT")
        opened.batch(1, fixture.numbers(1, 10, start=5_000_000))
        opened.expect_error(DATA_LOSS, "SEQ_CONFLICT")
        fixture.check_stored_once(10)


@test("a conflict with a batch that is not durable yet is SEQ_CONFLICT")
def _():
    with session() as (opened, fixture):
        with locked("sluice.producer_state", "EXCLUSIVE"):
            opened.batch(1, fixture.numbers(1, 10))
            opened.batch(1, fixture.numbers(1, 10, start=5_000_000))
            opened.expect_error(DATA_LOSS, "SEQ_CONFLICT")
        wait_until(lambda: fixture.stored("count(*)") == [["10"]], what="the first batch is stored")


@test("an ack says durable only up to what it names: the rest of the rejects would be forgotten")
def _():
    with session() as (opened, fixture):
        values = [(NUMBER, 2**61 + n, fixture.attribute[NUMBER], 1, 1.0) for n in range(12_000)]
        opened.want(400_000)
        opened.batch(1, values)
        told = []

        def is_told(ack):
            told.append((ack.durable_seq, len(opened.rejects)))
            return ack.durable_seq == len(values)

        opened.wait(is_told, 30)
        for durable, named in told:
            at_most(durable, named, "durable_seq of a producer of bad values")
        equal(sorted(opened.rejects), list(range(1, len(values) + 1)))


@test("two streams of one session with other values under the same numbers end in SEQ_CONFLICT")
def _():
    with session() as (opened, fixture), connect() as connection:
        session_id = uuid.uuid4().bytes
        first, second = Session(connection), Session(connection)
        first.open(opened.producer, session=session_id)
        second.open(opened.producer, session=session_id)
        first.batch(1, fixture.numbers(1, 10))
        first.wait_durable(10)
        # Only the guard sees it: to the second stream these numbers are new.
        second.batch(1, fixture.numbers(1, 10, start=5_000_000))
        second.expect_error(UNAVAILABLE, "DISPLACED")
        again = Session(connection)
        again.open(opened.producer, session=session_id)
        again.batch(1, fixture.numbers(1, 10, start=5_000_000))
        again.expect_error(DATA_LOSS, "SEQ_CONFLICT")
        fixture.check_stored_once(10)


@test("the ack of a duplicate repeats what was rejected")
def _():
    with session() as (opened, fixture):
        bad = (NUMBER, 2**60, fixture.attribute[NUMBER], 5, 1.0)
        opened.batch(1, [*fixture.numbers(1, 1), bad])
        opened.wait_durable(2)
        equal(opened.rejects, {2: 1})
        with connect() as connection:
            later = Session(connection)
            later.open(opened.producer)
            later.batch(1, [*fixture.numbers(1, 1), bad])
            later.end()
            equal(later.rejects, {2: 1}, "rejects of the repeated batch")


@test("what was rejected is told again to a client that has lost the ack, at Open or with an overlap")
def _():
    with session() as (opened, fixture):
        bad = (NUMBER, 2**60, fixture.attribute[NUMBER], 5, 1.0)
        opened.batch(1, [*fixture.numbers(1, 1), bad])
        opened.wait_durable(2)
        with connect() as connection:
            later = Session(connection)
            later.open(opened.producer, lowest_held=1)
            later.wait(lambda ack: later.rejects == {2: 1})
            equal(later.ack.counts.duplicate, 0, "duplicates")
        with connect() as connection:
            later = Session(connection)
            later.open(opened.producer)
            later.batch(2, [bad, *fixture.numbers(3, 1)])
            later.wait_durable(3)
            later.end()
            equal(later.rejects, {2: 1}, "rejects of the prefix")
            counts = later.ack.counts
            equal((counts.written, counts.rejected, counts.duplicate), (1, 0, 1), "counts")
        with connect() as connection:
            later = Session(connection)
            later.open(opened.producer, lowest_held=4)
            later.batch(4, fixture.numbers(4, 1))
            later.wait_durable(4)
            later.end()
            equal(later.rejects, {}, "rejects that nobody asked for")


@test("a gap is GAP and says what was expected")
def _():
    with session() as (opened, fixture):
        opened.batch(1, fixture.numbers(1, 10))
        opened.batch(12, fixture.numbers(12, 1))
        error = opened.expect_error(FAILED_PRECONDITION, "GAP")
        equal(error.info.metadata["expected_seq"], "11", "expected_seq")
        wait_until(lambda: fixture.stored("count(*)") == [["10"]], what="the first batch is stored")


@test("an unknown producer cannot begin in the middle")
def _():
    with session() as (opened, fixture):
        opened.batch(100, fixture.numbers(100, 1))
        error = opened.expect_error(FAILED_PRECONDITION, "GAP")
        equal(error.info.metadata["expected_seq"], "1", "expected_seq")


@test("an overlap is trimmed: what is written already is not written again")
def _():
    with session() as (opened, fixture):
        opened.batch(1, fixture.numbers(1, 10))
        opened.wait_durable(10)
        opened.batch(6, fixture.numbers(6, 10))
        opened.wait_durable(15)
        counts = opened.ack.counts
        equal((counts.received, counts.written, counts.duplicate), (20, 15, 5), "counts")
        fixture.check_stored_once(15)


@test("an overlap over several types is trimmed in the order of the sections")
def _():
    with session() as (opened, fixture):
        values = [fixture.value(NUMBER, n, float(n)) for n in range(4)]
        values += [fixture.value(INTEGER, 10 + n, n) for n in range(3)]
        values += [fixture.value(LABEL, 20 + n, f"label {n}") for n in range(3)]
        opened.batch(1, values[:5])
        opened.wait_durable(5)
        opened.batch(2, values[1:])
        opened.wait_durable(10)
        fixture.check_stored_once(10)
        pages = opened.connection.history(
            [fixture.entity], list(fixture.attribute.values()), 0, 100
        )
        equal(comparable(values_of(pages[0])), comparable(values))


@test("a new batching of what was sent before is a repeat")
def _():
    with session() as (opened, fixture):
        for first in range(1, 41, 10):
            opened.batch(first, fixture.numbers(first, 10))
        opened.wait_durable(40)
        opened.batch(1, fixture.numbers(1, 40))
        opened.batch(5, fixture.numbers(5, 7))
        opened.batch(31, fixture.numbers(31, 20))
        opened.wait_durable(50)
        opened.end()
        fixture.check_stored_once(50)


@test("a repeat of what is long past is acknowledged")
def _():
    with session() as (opened, fixture):
        for first in range(1, 31):
            opened.batch(first, fixture.numbers(first, 1))
            opened.wait_durable(first)
        opened.batch(1, fixture.numbers(1, 1))
        opened.wait(lambda ack: ack.counts.duplicate == 1)
        fixture.check_stored_once(30)


@test("a client that loses its connection at random and resends writes every value once")
def _():
    generator = random.Random(7)
    with connect() as first:
        fixture = Fixture(first)
    producer, total = uuid.uuid4().bytes, 3_000
    durable, rounds = 0, 0
    while durable < total:
        rounds += 1
        assert rounds < 200, "no progress"
        with connect() as connection:
            opened = Session(connection)
            seq = opened.open(producer, lowest_held=durable + 1).durable_seq
            at_least(seq, durable, "durable_seq after a reconnect")
            durable = seq
            # A repeat of the last ones, and then on: batched differently every time.
            seq = max(1, seq - generator.randrange(5) + 1)
            for _ in range(generator.randrange(1, 12)):
                count = min(generator.randrange(1, 60), total - seq + 1)
                if count <= 0:
                    break
                opened.batch(seq, fixture.numbers(seq, count))
                seq += count
            try:
                deadline = time.monotonic() + generator.random() * 0.03
                while time.monotonic() < deadline:
                    message = opened.receive(0.01)
                    durable = max(durable, message.ack.durable_seq)
            except Silence:
                pass
            connection.reset()
    wait_until(lambda: fixture.stored() == [[str(total)] * 2], what="every value is stored once")
    at_least(rounds, 5, "connections")


@test("two clients that fight over one producer write every value once")
def _():
    with connect() as first:
        fixture = Fixture(first)
    producer, total = uuid.uuid4().bytes, 600
    errors = []

    def client():
        try:
            durable = 0
            while durable < total:
                with connect() as connection:
                    opened = Session(connection)
                    durable = opened.open(producer).durable_seq
                    try:
                        while durable < total:
                            opened.batch(durable + 1, fixture.numbers(durable + 1, 20))
                            durable = opened.wait_durable(durable + 20).durable_seq
                            time.sleep(0.005)
                    except CallError as error:
                        error.check((ABORTED, 14), ("FENCED", "DISPLACED"))
        except Exception as error:  # told in the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=client) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(errors, [], "errors")
    fixture.check_stored_once(total)


# Grants and pings.


@test("a batch beyond granted_bytes is GRANT_OVERRUN, and nothing of it is written")
def _():
    with session() as (opened, fixture):
        count = opened.opened.granted_bytes // 28 + 10
        opened.batch(1, fixture.numbers(1, count))
        opened.expect_error(RESOURCE_EXHAUSTED, "GRANT_OVERRUN")
        opened.connection.check_alive()
        equal(fixture.stored("count(*)")[0][0], "0", "rows")


@test("a batch beyond granted_seq is GRANT_OVERRUN")
def _():
    with session() as (opened, fixture):
        first = opened.opened.granted_seq + 1
        opened.batch(first, fixture.numbers(first, 1))
        opened.expect_error(RESOURCE_EXHAUSTED, "GRANT_OVERRUN")


@test("a batch longer than max_batch_bytes is refused")
def _():
    with session() as (opened, fixture):
        columns = columns_of([fixture.value(DOCUMENT, 5, b'"%s"' % (b"x" * 1_048_600))])
        at_least(columns.ByteSize(), opened.opened.max_batch_bytes + 1, "bytes")
        opened.batch(1, columns=columns.SerializeToString(), count=1)
        opened.expect_error((INVALID_ARGUMENT, RESOURCE_EXHAUSTED))
        opened.connection.check_alive()


@test("what was written is granted again")
def _():
    with session() as (opened, fixture):
        batch_bytes = columns_of(fixture.numbers(1, 500)).ByteSize()
        granted, sent, seq = opened.opened.granted_bytes, 0, 1
        while sent < 4 * opened.opened.granted_bytes:
            while sent + batch_bytes > granted:
                message = opened.receive()
                granted = max(granted, message.ack.granted_bytes)
            opened.batch(seq, fixture.numbers(seq, 500))
            seq += 500
            sent += batch_bytes
        opened.wait_durable(seq - 1)
        fixture.check_stored_once(seq - 1)


@test("Ping is answered by a Pong with its nonce, in order")
def _():
    with session() as (opened, _):
        for nonce in (0, 1, 2**64 - 1):
            opened.ping(nonce)
        for nonce in (0, 1, 2**64 - 1):
            answer = opened.receive()
            equal((answer.WhichOneof("message"), answer.pong.nonce), ("pong", nonce))


@test("wanted_bytes brings a grant for a batch of that size")
def _():
    with session() as (opened, fixture):
        values = fixture.numbers(1, 9_000)
        wanted = columns_of(values).ByteSize()
        at_least(wanted, opened.opened.granted_bytes + 1, "bytes of the batch")
        opened.ping(3, wanted)
        equal(opened.receive().pong.nonce, 3, "pong")
        ack = opened.wait(lambda ack: ack.granted_bytes >= wanted)
        equal(ack.durable_seq, 0, "durable_seq")
        opened.batch(1, values)
        opened.wait_durable(9_000, 30)
        fixture.check_stored_once(9_000)


@test("wanted_bytes of the largest batch is granted, too")
def _():
    with session() as (opened, fixture):
        opened.want(opened.opened.max_batch_bytes)
        text = b'"%s"' % (b"y" * 260_000)
        values = [fixture.value(DOCUMENT, n, text) for n in range(4)]
        columns = columns_of(values)
        at_most(columns.ByteSize(), opened.opened.max_batch_bytes, "bytes")
        opened.batch(1, values)
        opened.wait_durable(4, 30)
        equal(opened.rejects, {}, "rejects")


# The STAGED lane.


@test("STAGED: staged_seq comes before durable_seq, and durable_seq follows")
def _():
    with session(staged=True) as (opened, fixture):
        at_least(opened.opened.incarnation, 1, "incarnation")
        opened.batch(1, fixture.numbers(1, 10))
        ack = opened.wait(lambda ack: ack.staged_seq >= 10)
        equal((ack.staged_seq, ack.durable_seq), (10, 0), "staged and durable at first")
        equal(ack.incarnation, opened.opened.incarnation, "incarnation")
        ack = opened.wait_durable(10)
        assert ack.token, "no token with durable_seq"
        equal(ack.counts.written, 10)
        fixture.check_stored_once(10)


@test("STAGED: staged values are acknowledged while durability is held up")
def _():
    with session(staged=True) as (opened, fixture):
        opened.batch(1, fixture.numbers(1, 1))
        opened.wait_durable(1)
        with locked("sluice.entity_values", "EXCLUSIVE"):
            for first in range(2, 52, 10):
                opened.batch(first, fixture.numbers(first, 10))
            ack = opened.wait(lambda ack: ack.staged_seq >= 51)
            equal(ack.durable_seq, 1, "durable_seq")
        opened.wait_durable(51)
        fixture.check_stored_once(51)


@test("STAGED: all five types come back exactly")
def _():
    with session(staged=True) as (opened, fixture):
        values = every_value(fixture, now_us() - 1_000_000)
        opened.want(200_000)
        opened.batch(1, values)
        opened.wait_durable(len(values))
        equal(opened.rejects, {}, "rejects")
        pages = opened.connection.history(
            [fixture.entity], list(fixture.attribute.values()), 0, 2**53
        )
        found = [value for page in pages for value in values_of(page)]
        found.sort(key=lambda value: value[3])
        equal(comparable(found), comparable(values))


@test("STAGED: rejects, duplicates and overlaps are as in the DURABLE lane")
def _():
    with session(staged=True) as (opened, fixture):
        bad = (NUMBER, 2**60, fixture.attribute[NUMBER], 5, 1.0)
        opened.batch(1, [*fixture.numbers(1, 4), bad])
        opened.batch(1, [*fixture.numbers(1, 4), bad])
        opened.batch(4, [fixture.numbers(4, 1)[0], bad, *fixture.numbers(6, 5)])
        opened.wait_durable(10)
        opened.end()
        equal(opened.rejects, {5: 1}, "rejects")
        counts = opened.ack.counts
        equal((counts.written, counts.rejected, counts.duplicate), (9, 1, 7), "counts")
        fixture.check_stored_once(9)


@test("STAGED: a second session fences the first, and nothing staged is lost or doubled")
def _():
    with session(staged=True) as (opened, fixture):
        opened.batch(1, fixture.numbers(1, 10))
        opened.wait(lambda ack: ack.staged_seq >= 10)
        with connect() as connection:
            newer = Session(connection)
            answer = newer.open(opened.producer, staged=True)
            opened.batch(11, fixture.numbers(11, 10, start=77_000_000))
            opened.expect_error(ABORTED, "FENCED")
            seq = answer.durable_seq + 1
            newer.batch(seq, fixture.numbers(seq, 21 - seq))
            newer.wait_durable(20)
        fixture.check_stored_once(20)


@test("STAGED: a client that resends after each reconnect writes every value once")
def _():
    generator = random.Random(11)
    with connect() as first:
        fixture = Fixture(first)
    producer, total, rounds, durable = uuid.uuid4().bytes, 1_000, 0, 0
    while durable < total:
        rounds += 1
        assert rounds < 200, "no progress"
        with connect() as connection:
            opened = Session(connection)
            durable = opened.open(producer, staged=generator.random() < 0.7).durable_seq
            seq = durable + 1
            for _ in range(generator.randrange(1, 8)):
                count = min(generator.randrange(1, 60), total - seq + 1)
                if count <= 0:
                    break
                opened.batch(seq, fixture.numbers(seq, count))
                seq += count
            time.sleep(generator.random() * 0.15)
            connection.reset()
    wait_until(lambda: fixture.stored() == [[str(total)] * 2], what="every value is stored once")


@test("a STAGED value is read only when include_staged asks for it, until it is durable")
def _():
    from protocol import history_pb2, read_pb2

    def read(connection, fixture, include_staged):
        request = history_pb2.QueryHistoryRequest(
            entity_id=[fixture.entity],
            attribute_id=[fixture.attribute[NUMBER]],
            start_unix_us=0,
            end_unix_us=2_000_000,
            read=read_pb2.ReadOptions(
                level=read_pb2.READ_LEVEL_STRONG, include_staged=include_staged
            ),
        )
        answer = connection.call(
            "sluice.v1.HistoryService",
            "QueryHistory",
            request,
            history_pb2.QueryHistoryResponse,
        )
        return list(answer.columns.numbers.value)

    with session(staged=True) as (opened, fixture), connect() as reader:
        opened.batch(1, fixture.numbers(1, 1))
        opened.wait_durable(1)
        with locked("sluice.entity_values", "EXCLUSIVE"):
            opened.batch(2, fixture.numbers(2, 1))
            opened.wait(lambda ack: ack.staged_seq >= 2)
            equal(read(reader, fixture, False), [1.0], "without include_staged")
            equal(read(reader, fixture, True), [1.0, 2.0], "with include_staged")
        opened.wait_durable(2)
        equal(read(reader, fixture, False), [1.0, 2.0], "when durable")
        equal(read(reader, fixture, True), [1.0, 2.0], "when durable, with include_staged")
