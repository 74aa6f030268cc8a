"""The rules of Proto/ttrpc/ttrpc.proto, seen from outside: literal bytes over a raw socket."""

import contextlib
import struct
import threading
import time

from checks import at_least, at_most, equal, test
from framing import BODY_BYTES_MAX, DATA, END, NO_DATA, REMOTE_CLOSED, REMOTE_OPEN
from framing import REQUEST, RESPONSE, ConnectionClosed, Frame, Silence, Wire, frame, header
from gateway import Fixture, Target, connect, locked, memory_bytes, session, sql_value
from protocol import (
    DEADLINE_EXCEEDED,
    INVALID_ARGUMENT,
    NOT_FOUND,
    RESOURCE_EXHAUSTED,
    UNIMPLEMENTED,
    CallError,
    Connection,
    Session,
    SessionEnded,
    catalog_pb2,
    columns_of,
    error_of,
    health_pb2,
    ingest_pb2,
    response,
    ttrpc_pb2,
)

# Request{service "grpc.health.v1.Health", method "Check"} on stream 1.
CHECK_BODY = b"\x0a\x15grpc.health.v1.Health\x12\x05Check"
CHECK = b"\x00\x00\x00\x1e\x00\x00\x00\x01\x01\x00" + CHECK_BODY
# Response{status {}, payload HealthCheckResponse{SERVING}}: a status is there, though empty.
SERVING = b"\x0a\x00\x12\x02\x08\x01"
# Request{service "grpc.health.v1.Health", method "Watch"}.
WATCH_BODY = b"\x0a\x15grpc.health.v1.Health\x12\x05Watch"
# Request{service "sluice.v1.IngestService", method "Write"}.
WRITE_BODY = b"\x0a\x17sluice.v1.IngestService\x12\x05Write"
# The end of stream 1: Data, remote closed and no data, length 0.
END_1 = b"\x00\x00\x00\x00\x00\x00\x00\x01\x03\x05"


def open_body(producer=b"P" * 16, number=0):
    """WriteRequest{open}: protocol version 1, a producer, a session."""
    session_id = struct.pack(">QQ", time.time_ns(), number)
    body = b"\x08\x01\x12\x10" + producer + b"\x2a\x10" + session_id
    return b"\x0a" + bytes([len(body)]) + body


def expect_opened(received, stream):
    equal((received.kind, received.stream), (DATA, stream), "kind and stream")
    message = ingest_pb2.WriteResponse.FromString(received.body)
    equal(message.WhichOneof("message"), "opened", "message")
    return message.opened


def expect_write_session(wire, stream, number=0):
    """The stream is a write session: Open is answered by Opened, and ending it ends it well."""
    wire.send(frame(stream, DATA, open_body(number=number), REMOTE_OPEN))
    expect_opened(wire.receive(), stream)
    wire.send(frame(stream, DATA, b"", END))
    assert wire.receive().is_end


# Rule 1: length.


@test("a unary call is answered by these very bytes")
def _():
    with connect() as wire:
        wire.send(CHECK)
        answer = wire.receive_bytes(16)
        equal(answer[:9], b"\x00\x00\x00\x06\x00\x00\x00\x01\x02", "header without flags")
        equal(answer[10:], SERVING, "body")
        wire.expect_silence()


@test("rule 1: an oversized Request is discarded and answered, and the connection lives")
def _():
    with connect() as wire:
        wire.send(b"\x00\x40\x00\x01\x00\x00\x00\x05\x01\x00")  # 4,194,305 on stream 5
        wire.send(b"\x0a" * 4_194_305)
        error_of(wire.receive(), RESOURCE_EXHAUSTED, stream=5)
        wire.check_alive()


@test("rule 1: what lies inside a discarded body is not taken for frames")
def _():
    with connect() as wire:
        wire.send(b"\x00\x40\x00\x14\x00\x00\x00\x05\x01\x00")  # 4,194,324 on stream 5
        body = (CHECK * 104_900)[: 0x400014]
        wire.send(body)
        error_of(wire.receive(), RESOURCE_EXHAUSTED, stream=5)
        wire.check_alive()


@test("rule 1: a body of exactly 4 MiB is taken")
def _():
    with connect() as wire:
        start = b"\x0a\x01s\x12\x01m\x1a"
        payload_bytes = BODY_BYTES_MAX - len(start) - 4
        body = start + bytes([payload_bytes & 127 | 128, payload_bytes >> 7 & 127 | 128])
        body += bytes([payload_bytes >> 14 & 127 | 128, payload_bytes >> 21])
        body += bytes(payload_bytes)
        equal(len(body), 0x400000)
        wire.send(b"\x00\x40\x00\x00\x00\x00\x00\x03\x01\x00" + body)
        error_of(wire.receive(), UNIMPLEMENTED, stream=3)
        wire.check_alive()


@test("rule 1: a body of 16 MiB less a byte is discarded and answered")
def _():
    with connect() as wire:
        wire.send(b"\x00\xff\xff\xff\x00\x00\x00\x07\x01\x00")
        wire.send(bytes(0xFFFFFF))
        error_of(wire.receive(), RESOURCE_EXHAUSTED, stream=7)
        wire.check_alive()


@test("rule 1: 16 MiB announced close the connection")
def _():
    with connect() as wire:
        wire.send(CHECK)
        equal(wire.receive().body, SERVING)
        wire.send(b"\x01\x00\x00\x00\x00\x00\x00\x03\x01\x00")
        equal(wire.expect_closed(), [], "frames before the close")


@test("rule 1: 4 GiB announced close the connection")
def _():
    with connect() as wire:
        wire.send(CHECK)
        equal(wire.receive().body, SERVING)
        wire.send(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
        equal(wire.expect_closed(), [], "frames before the close")


@test("rule 1: HTTP and TLS are closed at their first byte")
def _():
    for data in (b"G", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"):
        with connect() as wire:
            wire.send(CHECK)
            equal(wire.receive().body, SERVING)
            wire.send(data)
            equal(wire.expect_closed(), [], "frames before the close")


@test("rule 1: frames before one that closes are still answered")
def _():
    with connect() as wire:
        wire.send(CHECK + b"\x01\x00\x00\x00\x00\x00\x00\x03\x01\x00")
        frames = wire.expect_closed()
        # The answer may be lost with the connection, but nothing else may come.
        at_most(len(frames), 1, "frames")
        assert all(received.body == SERVING for received in frames), frames
    with connect() as wire:
        wire.check_alive()


@test("rule 1: an oversized Data on an open session ends it with one error")
def _():
    with session() as (opened, _):
        opened.connection.send(header(0x400001, opened.stream, DATA, REMOTE_OPEN))
        opened.connection.send(bytes(0x400001))
        opened.expect_error(RESOURCE_EXHAUSTED)
        opened.ping(1)
        opened.finish()
        opened.connection.check_alive()


@test("rule 1: the bytes discarded on one connection are bounded")
def _():
    with connect() as wire:
        wire.send(CHECK)
        equal(wire.receive().body, SERVING)
        sent = 0
        for number in range(32):
            data = header(0xFFFFFF, 2 * number + 3, REQUEST) + bytes(0xFFFFFF)
            if not wire.send_until_closed(data):
                break
            sent += 1
            try:
                error_of(wire.receive(), RESOURCE_EXHAUSTED)
            except ConnectionClosed:
                break
        at_least(sent, 2, "discarded frames")
        at_most(sent, 20, "discarded frames")


# Rule 2: stream ids.


@test("rule 2: a Request on an even id is answered by one INVALID_ARGUMENT")
def _():
    with connect() as wire:
        wire.send(b"\x00\x00\x00\x1e\x00\x00\x00\x02\x01\x00" + CHECK_BODY)
        error_of(wire.receive(), INVALID_ARGUMENT, stream=2)
        wire.check_alive()


@test("rule 2: a Request on id 0 is answered by one INVALID_ARGUMENT")
def _():
    with connect() as wire:
        wire.send(b"\x00\x00\x00\x1e\x00\x00\x00\x00\x01\x00" + CHECK_BODY)
        error_of(wire.receive(), INVALID_ARGUMENT, stream=0)
        wire.check_alive()


@test("rule 2: ids may fall, and be as large as 32 bits allow")
def _():
    with connect() as wire:
        for stream in (0xFFFFFFFF, 0x7FFFFFFF, 0x80000001, 7, 3, 5, 1):
            wire.send(frame(stream, REQUEST, CHECK_BODY))
            received = wire.receive()
            equal((received.stream, received.body), (stream, SERVING))


@test("rule 2: an id that is not open any more can be used again")
def _():
    with connect() as wire:
        for _ in range(5):
            wire.send(CHECK)
            equal(wire.receive().body, SERVING)
        for number in range(3):
            wire.send(frame(9, REQUEST, WRITE_BODY, REMOTE_OPEN))
            expect_write_session(wire, 9, number)
        wire.send(frame(9, REQUEST, CHECK_BODY))
        equal(wire.receive(), Frame(9, RESPONSE, 0, SERVING))


@test("rule 2: a Request on an open stream is answered once, and ends at most that stream")
def _():
    with connect() as wire:
        wire.send(frame(1, REQUEST, WATCH_BODY, REMOTE_CLOSED))
        equal(wire.receive().body, b"\x08\x01")
        wire.send(frame(3, REQUEST, WATCH_BODY, REMOTE_CLOSED))
        equal(wire.receive().stream, 3)
        wire.send(frame(1, REQUEST, CHECK_BODY))
        error_of(wire.receive(), INVALID_ARGUMENT, stream=1)
        wire.check_alive()


# Rule 3: flags of a Request.


@test("rule 3: a unary call is a unary call, whatever its flags")
def _():
    with connect() as wire:
        for flags in (0, 1, 2, 3, 4, 5, 6, 7, 8, 0x80, 0xFF):
            wire.send(frame(2 * flags + 1, REQUEST, CHECK_BODY, flags))
            received = wire.receive()
            equal((received.stream, received.body), (2 * flags + 1, SERVING), f"flags {flags}")


@test("rule 3: a write session is a stream, whatever the Request's flags")
def _():
    for flags in (0, REMOTE_OPEN, NO_DATA, REMOTE_OPEN | NO_DATA, 0xF8):
        with connect() as wire:
            wire.send(frame(1, REQUEST, WRITE_BODY, flags))
            expect_write_session(wire, 1, flags)


@test("rule 3: a session whose Request is remote closed ends well at once")
def _():
    with connect() as wire:
        wire.send(frame(1, REQUEST, WRITE_BODY, REMOTE_CLOSED))
        wire.expect_bytes(END_1)
        wire.check_alive()


@test("rule 3: 'no data' on a Request is ignored, its payload counts")
def _():
    with connect() as wire:
        payload = b"\x1a\x09\x0a\x07unknown"
        wire.send(frame(1, REQUEST, WATCH_BODY + payload, END))
        equal(wire.receive().body, b"\x08\x03", "SERVICE_UNKNOWN")
        wire.send(frame(3, REQUEST, CHECK_BODY + payload, END))
        error_of(wire.receive(), NOT_FOUND, stream=3)


# Rule 4: unknown frames.


@test("rule 4: frames of unknown types are ignored with their bodies")
def _():
    with connect() as wire:
        for kind in (0, 2, 4, 5, 0x7F, 0x80, 0xFF):
            wire.send(frame(1, kind, CHECK, 0xFF))
            wire.send(frame(2, kind))
        wire.check_alive()


@test("rule 4: unknown frames without end close the connection")
def _():
    with connect() as wire:
        for _ in range(10):
            wire.send(frame(1, 9, b"x"))
        wire.check_alive()
        for _ in range(100):
            if not wire.send_until_closed(frame(1, 9, b"x") * 100):
                break
        equal(wire.expect_closed(), [], "frames before the close")


# Rule 5: Data without a stream.


@test("rule 5: Data on an id never opened is answered by one INVALID_ARGUMENT, then dropped")
def _():
    with connect() as wire:
        wire.send(b"\x00\x00\x00\x03\x00\x00\x00\x07\x03\x02abc")
        error_of(wire.receive(), INVALID_ARGUMENT, stream=7)
        wire.send(frame(7, DATA, b"abc", REMOTE_OPEN))
        wire.send(frame(7, DATA, b"", END))
        wire.check_alive()


@test("rule 5: an end on an id never opened is answered by one INVALID_ARGUMENT")
def _():
    with connect() as wire:
        wire.send(END_1)
        error_of(wire.receive(), INVALID_ARGUMENT, stream=1)
        wire.send(END_1)
        wire.check_alive()


@test("rule 5: Data on an even id is answered by one INVALID_ARGUMENT, then dropped")
def _():
    with connect() as wire:
        for _ in range(3):
            wire.send(frame(4, DATA, b"abc", REMOTE_OPEN))
        error_of(wire.receive(), INVALID_ARGUMENT, stream=4)
        wire.check_alive()


@test("rule 5: Data on a finished unary call is answered by one INVALID_ARGUMENT, then dropped")
def _():
    with connect() as wire:
        wire.send(CHECK)
        equal(wire.receive().body, SERVING)
        for _ in range(3):
            wire.send(frame(1, DATA, b"abc", REMOTE_OPEN))
        error_of(wire.receive(), INVALID_ARGUMENT, stream=1)
        wire.check_alive()


@test("rule 5: Data on a unary call in flight is answered by one INVALID_ARGUMENT in its place")
def _():
    with connect() as wire, locked("sluice.entities") as let_go:
        request = catalog_pb2.ResolveEntitiesRequest(external_key=[b"%d" % time.time_ns()])
        stream = wire.request("sluice.v1.CatalogService", "ResolveEntities", request)
        for _ in range(3):
            wire.send(frame(stream, DATA, b"abc", REMOTE_OPEN))
        error_of(wire.receive(), INVALID_ARGUMENT, stream=stream)
        let_go()
        time.sleep(0.3)  # the late result has to be dropped
        wire.check_alive()


@test("rule 5: late Data on a session that ended well is dropped silently")
def _():
    with session() as (opened, _):
        opened.end()
        opened.ping(1)
        opened.ping(2)
        opened.finish()
        opened.connection.check_alive()


@test("rule 5: late Data on a session that failed is dropped silently")
def _():
    with session() as (opened, fixture):
        opened.batch(5, fixture.numbers(5, 1))
        for _ in range(10):
            opened.ping(1)
        opened.finish()
        opened.expect_error(9, "GAP")
        opened.ping(2)
        opened.finish()
        opened.connection.check_alive()


@test("rule 5: Data behind a refused Request is dropped silently")
def _():
    with connect() as wire:
        stream = wire.request("sluice.v1.IngestService", "NoSuchMethod", flags=REMOTE_OPEN)
        wire.send(frame(stream, DATA, b"abc", REMOTE_OPEN))
        wire.send(frame(stream, DATA, b"", END))
        error_of(wire.receive(), UNIMPLEMENTED, stream=stream)
        wire.check_alive()


@test("rule 5: Data after the client has closed its side is not taken")
def _():
    with locked("sluice.tenants"):
        with connect() as wire:
            # Open waits for the lock, so the stream is still open on the gateway's side.
            wire.send(frame(1, REQUEST, WRITE_BODY, REMOTE_OPEN))
            wire.send(frame(1, DATA, open_body(), REMOTE_CLOSED))
            wire.send(frame(1, DATA, b"\x1a\x00", REMOTE_OPEN))
            error_of(wire.receive(), INVALID_ARGUMENT, stream=1)
            wire.check_alive()


# Rules 6 and 7: ends.


@test("rule 6: Data with a body and remote closed is delivered, then closes")
def _():
    with connect() as wire:
        wire.send(frame(1, REQUEST, WRITE_BODY, REMOTE_OPEN))
        wire.send(frame(1, DATA, open_body(), REMOTE_CLOSED))
        expect_opened(wire.receive(), 1)
        wire.expect_bytes(END_1)
        wire.check_alive()


@test("rule 6: a batch with remote closed is written and acknowledged before the end")
def _():
    with session() as (opened, fixture):
        opened.batch(1, fixture.numbers(1, 10), flags=REMOTE_CLOSED)
        opened.expect_end()
        equal(opened.ack.durable_seq, 10)
        fixture.check_stored_once(10)


@test("rule 6: 'no data' alone is no message and no end")
def _():
    with connect() as wire:
        wire.send(frame(1, REQUEST, WRITE_BODY, REMOTE_OPEN))
        wire.send(frame(1, DATA, b"", NO_DATA))
        expect_write_session(wire, 1)


@test("rule 7: a session ends well by Data(flags 5, length 0) and nothing behind it")
def _():
    with connect() as wire:
        wire.send(frame(1, REQUEST, WRITE_BODY, REMOTE_OPEN))
        wire.send(frame(1, DATA, open_body(), REMOTE_OPEN))
        expect_opened(wire.receive(), 1)
        wire.send(END_1)
        wire.expect_bytes(END_1)
        wire.expect_silence()
        wire.check_alive()


@test("rule 7: an error is one Response with a status, and nothing behind it")
def _():
    with connect() as wire:
        wire.send(frame(1, REQUEST, WRITE_BODY, REMOTE_OPEN))
        for _ in range(5):
            wire.send(frame(1, DATA, b"\xff\xff\xff", REMOTE_OPEN))
        wire.send(END_1)
        error_of(wire.receive(), INVALID_ARGUMENT, stream=1)
        wire.expect_silence()
        wire.check_alive()


@test("rule 7: an end sent together with an error's cause makes no second ending")
def _():
    with connect() as wire:
        wire.send(frame(1, REQUEST, WRITE_BODY, REMOTE_OPEN))
        wire.send(frame(1, DATA, b"\xff\xff\xff", REMOTE_CLOSED))
        error_of(wire.receive(), INVALID_ARGUMENT, stream=1)
        wire.check_alive()


# Rule 8: the envelope.


@test("rule 8: fields of the envelope come in any order, unknown ones are skipped")
def _():
    with connect() as wire:
        bodies = [
            b"\x12\x05Check\x1a\x00\x0a\x15grpc.health.v1.Health",
            b"\x20\x80\xa8\xd6\xb9\x07" + CHECK_BODY,  # timeout_nano: 2 s
            CHECK_BODY + b"\x32\x03abc\x38\x07\x45\x01\x02\x03\x04\x51\x01\x02\x03\x04\x05\x06\x07\x08",
            b"\x12\x04List" + CHECK_BODY,  # the last of a repeated field counts
            CHECK_BODY + b"\x2a\x08\x0a\x01k\x12\x03abc",
        ]
        for body in bodies:
            wire.send(frame(1, REQUEST, body))
            equal(wire.receive(), Frame(1, RESPONSE, 0, SERVING), body.hex(" "))


@test("rule 8: a malformed envelope is INVALID_ARGUMENT and the connection lives")
def _():
    bodies = [
        b"",
        b"\x0a",
        b"\x0a\x15grpc.health",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01" + CHECK_BODY,
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x08\x01" + CHECK_BODY,  # service as a varint
        b"\x0b\x0c" + CHECK_BODY,  # a group
        b"\x00\x01" + CHECK_BODY,  # field 0
        CHECK_BODY + b"\x2a\x02\x0a\x05",  # metadata that is cut short
        b"\x0a\x15grpc.health.v1.Health",  # no method
        b"\x12\x05Check",  # no service
        CHECK,
    ]
    with connect() as wire:
        for number, body in enumerate(bodies):
            wire.send(frame(2 * number + 1, REQUEST, body))
            error_of(wire.receive(), INVALID_ARGUMENT, stream=2 * number + 1)
        wire.check_alive()


@test("rule 8: a malformed payload is INVALID_ARGUMENT and the connection lives")
def _():
    with connect() as wire:
        for payload in (b"\x0a\x05ab", b"\xff\xff\xff", b"\x0b"):
            wire.send(frame(1, REQUEST, CHECK_BODY + b"\x1a" + bytes([len(payload)]) + payload))
            error_of(wire.receive(), INVALID_ARGUMENT, stream=1)
        wire.check_alive()


# Rule 9: deadlines.


def resolve_new(wire, timeout_ns):
    request = catalog_pb2.ResolveEntitiesRequest(external_key=[b"slow-%d" % time.time_ns()])
    return wire.request(
        "sluice.v1.CatalogService", "ResolveEntities", request, timeout_ns=timeout_ns
    )


@test("rule 9: a negative timeout has expired")
def _():
    with connect() as wire:
        for timeout in (-1, -(2**63)):
            stream = wire.request("grpc.health.v1.Health", "Check", timeout_ns=timeout)
            error_of(wire.receive(), DEADLINE_EXCEEDED, stream=stream)
        wire.check_alive()


@test("rule 9: the longest timeout there is does not expire")
def _():
    with connect() as wire:
        for timeout in (2**63 - 1, 2**62, 10**18):
            wire.request("grpc.health.v1.Health", "Check", timeout_ns=timeout)
            equal(wire.receive().body, SERVING, f"answer with timeout_nano {timeout}")
        wire.check_alive()


@test("rule 9: DEADLINE_EXCEEDED comes on time, and the late result is dropped")
def _():
    with connect() as wire, locked("sluice.entities") as let_go:
        start = time.monotonic()
        stream = resolve_new(wire, 300_000_000)
        error_of(wire.receive(), DEADLINE_EXCEEDED, stream=stream)
        took = time.monotonic() - start
        at_least(took, 0.29, "seconds")
        at_most(took, 2.0, "seconds")
        let_go()
        time.sleep(0.3)
        wire.check_alive()


@test("rule 9: an id whose call expired can be used again, and gets no answer of the old call")
def _():
    with connect() as wire, locked("sluice.entities") as let_go:
        stream = resolve_new(wire, 100_000_000)
        error_of(wire.receive(), DEADLINE_EXCEEDED, stream=stream)
        wire.send(frame(stream, REQUEST, WATCH_BODY, REMOTE_CLOSED))
        equal(wire.receive(), Frame(stream, DATA, 0, b"\x08\x01"))
        let_go()
        time.sleep(0.3)
        wire.check_alive()


@test("rule 9: a negative timeout has expired for a stream, too")
def _():
    with connect() as wire:
        stream = wire.request("grpc.health.v1.Health", "Watch", timeout_ns=-1)
        error_of(wire.receive(), DEADLINE_EXCEEDED, stream=stream)
        stream = wire.request(
            "sluice.v1.IngestService", "Write", timeout_ns=-1, flags=REMOTE_OPEN
        )
        error_of(wire.receive(), DEADLINE_EXCEEDED, stream=stream)
        wire.check_alive()


@test("rule 9: a stream's timeout ends it with DEADLINE_EXCEEDED")
def _():
    with connect() as wire:
        stream = wire.request("grpc.health.v1.Health", "Watch", timeout_ns=200_000_000)
        equal(wire.receive().body, b"\x08\x01")
        error_of(wire.receive(3), DEADLINE_EXCEEDED, stream=stream)
        wire.check_alive()


# Rule 10: output.


@test("rule 10: a thousand calls in one write are all answered")
def _():
    with connect() as wire:
        streams = range(1, 2001, 2)
        wire.send(b"".join(frame(stream, REQUEST, CHECK_BODY) for stream in streams))
        answers = [wire.receive() for _ in streams]
        equal(sorted(answer.stream for answer in answers), list(streams))
        assert all(answer.body == SERVING for answer in answers)


@test("rule 10: a client that does not read is not read, and loses nothing when it reads again")
def _():
    with connect(receive_buffer_bytes=65_536) as wire:
        # Refusals: 40 bytes ask for some 150. Written until the gateway has stopped reading.
        body = b"\x0a\x01s\x12\x01m"
        piece = b"".join(frame(2 * number + 1, REQUEST, body) for number in range(1000))
        wire.socket.setblocking(False)
        sent, deadline = 0, time.monotonic() + 30
        stalled_since = None
        while sent < 256 << 20 and time.monotonic() < deadline:
            try:
                sent += wire.socket.send(piece[sent % len(piece) :])
                stalled_since = None
            except BlockingIOError:
                stalled_since = stalled_since or time.monotonic()
                if time.monotonic() - stalled_since > 1:
                    break
                time.sleep(0.01)
        assert stalled_since is not None, f"the gateway took {sent} bytes from a deaf client"
        at_most(memory_bytes(), 512 << 20, "resident bytes of the gateway")
        whole = sent // (len(body) + 10)
        for _ in range(whole):
            error_of(wire.receive(), UNIMPLEMENTED)
        left = piece[sent % len(piece) :] if sent % (len(body) + 10) else b""
        left = left[: -sent % (len(body) + 10)]
        wire.send(left)
        if left:
            error_of(wire.receive(), UNIMPLEMENTED)
        wire.check_alive()


# Rule 11: limits.


@test("rule 11: 256 streams may be open, the next is refused with advice when to retry")
def _():
    with connect() as wire:
        for number in range(256):
            wire.send(frame(2 * number + 1, REQUEST, WATCH_BODY, REMOTE_CLOSED))
            equal(wire.receive(), Frame(2 * number + 1, DATA, 0, b"\x08\x01"))
        wire.send(frame(513, REQUEST, WATCH_BODY, REMOTE_CLOSED))
        error_of(wire.receive(), RESOURCE_EXHAUSTED, stream=513)
        wire.check_alive()


@test("rule 11: 1,024 unary calls may be in flight, the next is refused, the others answered")
def _():
    with connect() as wire, locked("sluice.entities") as let_go:
        request = catalog_pb2.ResolveEntitiesRequest(external_key=[b"many-%d" % time.time_ns()])
        envelope = ttrpc_pb2.Request(
            service="sluice.v1.CatalogService",
            method="ResolveEntities",
            payload=request.SerializeToString(),
            timeout_nano=60_000_000_000,
        ).SerializeToString()
        wire.send(b"".join(frame(2 * number + 1, REQUEST, envelope) for number in range(1024)))
        wire.expect_silence(1.0)
        wire.send(frame(2049, REQUEST, envelope))
        error_of(wire.receive(), RESOURCE_EXHAUSTED, stream=2049)
        let_go()
        answers = [wire.receive(30) for _ in range(1024)]
        equal(len({answer.stream for answer in answers}), 1024, "answered streams")
        ids = set()
        for answer in answers:
            try:
                payload = response(answer)
            except CallError as error:
                # A pool of connections may refuse what cannot wait, but must say when to retry.
                error.check((RESOURCE_EXHAUSTED, 14))
                continue
            ids.update(catalog_pb2.ResolveEntitiesResponse.FromString(payload).entity_id)
        equal(len(ids), 1, "different ids of one key")


@test("rule 11: long requests in flight are refused before they need much memory")
def _():
    with connect() as wire, locked("sluice.entities") as let_go:
        request = catalog_pb2.ResolveEntitiesRequest(external_key=[b"long-%d" % time.time_ns()])
        padding = b"\x7a\x80\x80\x80\x01" + bytes(2 << 20)  # an unknown field 15 of 2 MiB
        envelope = ttrpc_pb2.Request(
            service="sluice.v1.CatalogService",
            method="ResolveEntities",
            payload=request.SerializeToString() + padding,
            timeout_nano=60_000_000_000,
        ).SerializeToString()
        before = memory_bytes()
        for number in range(100):
            wire.send(frame(2 * number + 1, REQUEST, envelope))
        taken = (64 << 20) // len(envelope)
        for _ in range(100 - taken):
            error_of(wire.receive(30), RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
        at_most(memory_bytes() - before, 150 << 20, "bytes that the gateway grew by")
        let_go()
        for _ in range(taken):
            response(wire.receive(30))
        # Their memory is free again.
        wire.send(frame(1, REQUEST, envelope))
        response(wire.receive(30))


@test("rule 11: 64 entries of metadata are taken, 65 refused")
def _():
    with connect() as wire:
        wire.request("grpc.health.v1.Health", "Check", metadata=[("k", "v")] * 64)
        equal(wire.receive().body, SERVING)
        stream = wire.request("grpc.health.v1.Health", "Check", metadata=[("k", "v")] * 65)
        error_of(wire.receive(), (INVALID_ARGUMENT, RESOURCE_EXHAUSTED), stream=stream)
        wire.check_alive()


@test("rule 11: 8 KiB of metadata are taken, a byte more refused")
def _():
    with connect() as wire:
        wire.request("grpc.health.v1.Health", "Check", metadata=[("k", "v" * 8191)])
        equal(wire.receive().body, SERVING)
        stream = wire.request("grpc.health.v1.Health", "Check", metadata=[("k", "v" * 8192)])
        error_of(wire.receive(), (INVALID_ARGUMENT, RESOURCE_EXHAUSTED), stream=stream)
        wire.check_alive()


@test("rule 11: 256 bytes of service and method are looked up, a byte more refused")
def _():
    with connect() as wire:
        stream = wire.request("s" * 128, "m" * 128)
        error_of(wire.receive(), UNIMPLEMENTED, stream=stream)
        stream = wire.request("s" * 128, "m" * 129)
        error_of(wire.receive(), (INVALID_ARGUMENT, RESOURCE_EXHAUSTED), stream=stream)
        wire.check_alive()


# Rule 12: memory, and frames in pieces.


@test("rule 12: frames are understood byte by byte")
def _():
    with connect() as wire:
        wire.send_slowly(CHECK, pause=0.001)
        equal(wire.receive().body, SERVING)
        session_bytes = frame(3, REQUEST, WRITE_BODY, REMOTE_OPEN)
        session_bytes += frame(3, DATA, open_body(), REMOTE_OPEN) + frame(3, DATA, b"", END)
        wire.send_slowly(session_bytes)
        expect_opened(wire.receive(), 3)
        assert wire.receive().is_end


@test("rule 12: clients that never finish their frames do not shut out others")
def _():
    with contextlib.ExitStack() as stack:
        # More than the 128 MiB a worker has for unfinished frames, on each of them.
        begun = struct.pack(">IIBB", 4_194_304, 1, REQUEST, 0) + bytes(4_194_000)
        for _ in range(80):
            with contextlib.suppress(ConnectionClosed):
                stack.enter_context(connect()).send(begun)
        message = frame(1, REQUEST, CHECK_BODY + b"\x1a\x80\xc0\x02" + b"\x7a\xfc\xbf\x02" + bytes(40_956))
        for _ in range(10):
            with connect() as wire:
                wire.send(message[:20_000])
                time.sleep(0.02)
                wire.send(message[20_000:])
                equal(wire.receive().body, SERVING)


@test("rule 12: frames are understood at every split in two")
def _():
    data = CHECK + frame(3, DATA, b"abc") + frame(7, REQUEST, CHECK_BODY)
    with connect() as wire:
        for split in range(1, len(data)):
            wire.send(data[:split])
            time.sleep(0.002)
            wire.send(data[split:])
            # Answers may come in any order; Data on stream 3 is answered once.
            frames = [wire.receive() for _ in range(3 if split == 1 else 2)]
            frames.sort(key=lambda received: received.stream)
            equal(frames[0], Frame(1, RESPONSE, 0, SERVING), f"split at {split}")
            equal(frames[-1], Frame(7, RESPONSE, 0, SERVING), f"split at {split}")
            if split == 1:
                error_of(frames[1], INVALID_ARGUMENT, stream=3)


@test("rule 12: memory grows with the bytes received, not with the length announced")
def _():
    with connect() as wire:
        wire.check_alive()
    before = memory_bytes()
    wires = [connect() for _ in range(100)]
    try:
        for wire in wires:
            wire.send(b"\x00\x40\x00\x00\x00\x00\x00\x01\x01\x00" + bytes(1000))
        time.sleep(0.5)
        grown = memory_bytes() - before
        at_most(grown, 32 << 20, "bytes grown by 100 announcements of 4 MiB")
        wires[0].send(bytes(0x400000 - 1000))
        error_of(wires[0].receive(), INVALID_ARGUMENT, stream=1)
    finally:
        for wire in wires:
            wire.close()


@test("rule 12: five hundred idle connections cost next to nothing")
def _():
    before = memory_bytes()
    wires = [connect() for _ in range(500)]
    try:
        for wire in wires:
            wire.send(CHECK)
            equal(wire.receive().body, SERVING)
        at_most(memory_bytes() - before, 500 * 16_384, "bytes grown by 500 idle connections")
    finally:
        for wire in wires:
            wire.close()


class SlowFrame:
    """Begun at the start of the run and looked at in its last wire test: it takes half a minute."""

    wire = None
    begun = 0.0


@test("rule 12: a frame that has begun leaves its connection open", prepares=True)
def _():
    SlowFrame.wire = connect()
    SlowFrame.wire.check_alive()
    SlowFrame.wire.send(CHECK[:20])
    SlowFrame.begun = time.monotonic()
    BusyLink.thread.start()


class BusyLink:
    """For as long as the slow frame: each write ends one frame and begins the next."""

    broken = None

    @staticmethod
    def run():
        try:
            with connect() as wire:
                wire.send(CHECK[:20])
                while time.monotonic() < SlowFrame.begun + 36:
                    time.sleep(0.5)
                    wire.send(CHECK[20:] + CHECK[:20])
        except Exception as error:  # whatever it is, it is told
            BusyLink.broken = error

    thread = threading.Thread(target=lambda: BusyLink.run(), daemon=True)


# Rule 14: long answers.


@test("rule 14: a page of long labels stays under 4 MiB, and the pages hold everything")
def _():
    with session() as (opened, fixture):
        labels = [f"{number:05d}".encode() * 12_000 for number in range(120)]  # 60 KB each
        first = 1
        for start in range(0, len(labels), 10):
            values = [
                fixture.value(4, 1_000_000 + start + index, label)
                for index, label in enumerate(labels[start : start + 10])
            ]
            opened.want(columns_of(values).ByteSize())
            opened.batch(first, values)
            first += len(values)
            opened.wait_durable(first - 1)
        with connect() as reader:
            pages = reader.history(
                [fixture.entity], [fixture.attribute[4]], 0, 10_000_000, page_size=50_000
            )
        at_least(len(pages), 2, "pages")
        found = []
        for page in pages:
            starts = [0, *page.labels.end_offset]
            found += [
                page.labels.text[starts[index] : starts[index + 1]]
                for index in range(len(page.labels.end_offset))
            ]
        assert found == labels, f"{len(found)} labels came back, {len(labels)} were written"


@test("rule 12: a frame that does not go on is closed by the slow-frame timeout")
def _():
    wire = SlowFrame.wire
    assert wire is not None, "no frame was begun"
    with wire:
        wire.expect_closed(max(1.0, SlowFrame.begun + 45 - time.monotonic()))


@test("rule 12: frames that follow each other without a pause are no slow frame")
def _():
    BusyLink.thread.join(45)
    assert not BusyLink.thread.is_alive() and BusyLink.broken is None, BusyLink.broken


# Others.


@test("a connection that is reset in the middle of a frame harms nobody")
def _():
    with connect() as other:
        for data in (CHECK[:5], CHECK[:15], CHECK + frame(1, REQUEST, WRITE_BODY)[:25]):
            wire = connect()
            wire.send(data)
            wire.reset()
        with connect() as wire:
            wire.send(frame(1, REQUEST, WRITE_BODY, REMOTE_OPEN))
            wire.send(frame(1, DATA, open_body(), REMOTE_OPEN))
            wire.reset()
        other.check_alive()


@test("random bytes behind a good first byte never bring the gateway down")
def _():
    import random

    generator = random.Random(20_240_607)
    for _ in range(60):
        wire = connect()
        data = bytearray()
        for _ in range(20):
            body = generator.randbytes(generator.randrange(60))
            if generator.random() < 0.5:
                body = generator.choice([CHECK_BODY, WRITE_BODY, WATCH_BODY, open_body()]) + body
            data += frame(
                generator.randrange(8), generator.randrange(5), body, generator.randrange(8)
            )
        try:
            wire.send(bytes(data))
            while True:
                wire.receive(0.05)
        except (ConnectionClosed, Silence, BrokenPipeError, ConnectionResetError):
            pass
        wire.reset()
    with connect() as wire:
        wire.check_alive()
