"""Calls and write sessions of Sluice on top of frames, with messages of the official runtime."""

import os
import struct
import sys
import time
import uuid

import google  # Debian's: its folder does not hold what is generated here

GENERATED = os.environ["SLUICE_TEST_GENERATED"]
sys.path.insert(0, GENERATED)
google.__path__.append(os.path.join(GENERATED, "google"))

from google.rpc import error_details_pb2, status_pb2  # noqa: E402
from grpc.health.v1 import health_pb2  # noqa: E402
from sluice.v1 import (  # noqa: E402
    admin_pb2,
    catalog_pb2,
    columns_pb2,
    entity_pb2,
    history_pb2,
    ingest_pb2,
    read_pb2,
)
from ttrpc import ttrpc_pb2  # noqa: E402

from framing import DATA, END, NO_DATA, REMOTE_CLOSED, REMOTE_OPEN, REQUEST, RESPONSE  # noqa: E402
from framing import ConnectionClosed, Frame, Silence, Wire, frame, header  # noqa: E402

OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND = range(6)
RESOURCE_EXHAUSTED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE, UNIMPLEMENTED = range(8, 13)
UNAVAILABLE, DATA_LOSS = 14, 15

NUMBER, INTEGER, FLAG, LABEL, DOCUMENT = range(1, 6)


class CallError(Exception):
    """A Response with a status other than OK."""

    def __init__(self, status):
        super().__init__(f"code {status.code}, {status.message!r}")
        self.code = status.code
        self.message = status.message
        self.info = None
        self.retry_seconds = None
        self.fields = None
        for detail in status.details:
            if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                self.info = error_details_pb2.ErrorInfo()
                detail.Unpack(self.info)
            elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
                retry = error_details_pb2.RetryInfo()
                detail.Unpack(retry)
                self.retry_seconds = retry.retry_delay.ToTimedelta().total_seconds()
            elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
                bad = error_details_pb2.BadRequest()
                detail.Unpack(bad)
                self.fields = [violation.field for violation in bad.field_violations]
            else:
                raise AssertionError(f"an unknown detail: {detail.type_url}")

    @property
    def reason(self):
        return self.info.reason if self.info else None

    def check(self, code, reason=None, field=None):
        """What every error must have, and what this one must have."""
        text = f"{self}, reason {self.reason}"
        codes = code if isinstance(code, tuple) else (code,)
        assert self.code in codes, f"{text}; expected code {code}"
        assert self.info is not None, f"{text}: no ErrorInfo"
        assert self.info.domain == "sluice", f"{text}: domain {self.info.domain!r}"
        assert self.reason and self.reason == self.reason.upper(), f"{text}: not UPPER_SNAKE"
        assert all(c.isalnum() or c == "_" for c in self.reason), f"{text}: not UPPER_SNAKE"
        assert self.message, f"{text}: no message"
        if self.code in (UNAVAILABLE, RESOURCE_EXHAUSTED):
            assert self.retry_seconds is not None, f"{text}: no RetryInfo"
        if reason is not None:
            reasons = reason if isinstance(reason, tuple) else (reason,)
            assert self.reason in reasons, f"{text}; expected {reason}"
        if field is not None:
            assert self.fields, f"{text}: no BadRequest.field_violations"
            assert any(field in name for name in self.fields), f"{text}: fields {self.fields}"
        return self


def response(received, stream=None):
    """Decodes a Response frame strictly; raises CallError."""
    assert received.kind == RESPONSE, f"expected a Response, got {received}"
    if stream is not None:
        assert received.stream == stream, f"expected stream {stream}, got {received}"
    message = ttrpc_pb2.Response.FromString(received.body)
    assert message.HasField("status"), f"a Response without a status: {received}"
    if message.status.code != OK:
        raise CallError(message.status)
    return message.payload


def error_of(received, code, reason=None, stream=None, field=None):
    """Decodes a Response frame that must hold an error."""
    try:
        payload = response(received, stream)
    except CallError as error:
        return error.check(code, reason, field)
    raise AssertionError(f"expected an error, got an answer: {payload!r}")


class Connection(Wire):
    """Unary calls, one or many at a time."""

    def __init__(self, address, **options):
        super().__init__(address, **options)
        self.next_stream = 1

    def new_stream(self):
        stream = self.next_stream
        self.next_stream += 2
        return stream

    def request(
        self, service, method, message=None, timeout_ns=0, metadata=(), stream=None, flags=0
    ):
        """Sends a Request and returns its stream."""
        stream = stream or self.new_stream()
        envelope = ttrpc_pb2.Request(service=service, method=method, timeout_nano=timeout_ns)
        if message is not None:
            envelope.payload = message.SerializeToString()
        for key, value in metadata:
            envelope.metadata.add(key=key, value=value)
        self.send(frame(stream, REQUEST, envelope.SerializeToString(), flags))
        return stream

    def call(self, service, method, message, answer_type, **options):
        """Makes a unary call; raises CallError."""
        stream = self.request(service, method, message, **options)
        answer = answer_type()
        answer.ParseFromString(response(self.receive(), stream))
        return answer

    def check_alive(self):
        """The next frame must be the answer to a new call: nothing came in between."""
        stream = self.new_stream()
        while stream < 0x7000_0000:
            stream += 0x1000_0000  # apart from what tests use
        envelope = b"\x0a\x15grpc.health.v1.Health\x12\x05Check"
        self.send(frame(stream, REQUEST, envelope))
        received = self.receive()
        assert received == Frame(stream, RESPONSE, received.flags, b"\x0a\x00\x12\x02\x08\x01"), (
            f"expected the answer to a health check and nothing before it, got {received}"
        )

    # The services.

    def resolve_entities(self, keys, existing_only=False):
        request = catalog_pb2.ResolveEntitiesRequest(
            external_key=keys, existing_only=existing_only
        )
        answer = self.call(
            "sluice.v1.CatalogService",
            "ResolveEntities",
            request,
            catalog_pb2.ResolveEntitiesResponse,
        )
        assert len(answer.entity_id) == len(keys), "another number of ids than keys"
        return list(answer.entity_id)

    def resolve_attributes(self, specs):
        """specs: (name, type) or (name, type, unit, is_hot)."""
        request = catalog_pb2.ResolveAttributesRequest()
        for name, value_type, *rest in specs:
            spec = request.attributes.add(name=name, value_type=value_type)
            if rest:
                spec.unit, spec.is_hot = rest
        answer = self.call(
            "sluice.v1.CatalogService",
            "ResolveAttributes",
            request,
            catalog_pb2.ResolveAttributesResponse,
        )
        return list(answer.attributes)

    def history(self, entities, attributes, start, end, **fields):
        """All pages of QueryHistory, STRONG; a list of Columns."""
        pages, token = [], b""
        while True:
            request = history_pb2.QueryHistoryRequest(
                entity_id=entities,
                attribute_id=attributes,
                start_unix_us=start,
                end_unix_us=end,
                page_token=token,
                read=read_pb2.ReadOptions(level=read_pb2.READ_LEVEL_STRONG),
                **fields,
            )
            answer = self.call(
                "sluice.v1.HistoryService",
                "QueryHistory",
                request,
                history_pb2.QueryHistoryResponse,
            )
            assert answer.freshness.source == read_pb2.SOURCE_PRIMARY, "STRONG, but not primary"
            pages.append(answer.columns)
            token = answer.next_page_token
            if not token:
                return pages
            assert len(pages) < 10_000, "the pages do not end"


# Values and batches.


def crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC32C_TABLE = crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    table = CRC32C_TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283, "the checksum of every CRC catalogue"


def now_us():
    return time.time_ns() // 1000


def columns_of(values):
    """Columns of (type, entity, attribute, time, value); the order within a type is kept.

    Labels and documents are bytes or str.
    """
    columns = columns_pb2.Columns()
    sections = {
        NUMBER: columns.numbers,
        INTEGER: columns.integers,
        FLAG: columns.flags,
        LABEL: columns.labels,
        DOCUMENT: columns.documents,
    }
    texts = {LABEL: bytearray(), DOCUMENT: bytearray()}
    for kind, entity, attribute, observed, value in values:
        section = sections[kind]
        section.entity_id.append(entity)
        section.attribute_id.append(attribute)
        section.observed_at_unix_us.append(observed)
        if kind in texts:
            texts[kind] += value.encode() if isinstance(value, str) else value
            section.end_offset.append(len(texts[kind]))
        else:
            section.value.append(value)
    for kind, text in texts.items():
        if sections[kind].end_offset:
            sections[kind].text = bytes(text)
    return columns


def values_of(columns):
    """The inverse, as a list sorted by type: (type, entity, attribute, time, value)."""
    values = []
    sections = [
        (NUMBER, columns.numbers),
        (INTEGER, columns.integers),
        (FLAG, columns.flags),
        (LABEL, columns.labels),
        (DOCUMENT, columns.documents),
    ]
    for kind, section in sections:
        count = len(section.entity_id)
        assert len(section.attribute_id) == count, "columns of different lengths"
        assert len(section.observed_at_unix_us) == count, "columns of different lengths"
        if kind in (LABEL, DOCUMENT):
            assert len(section.end_offset) == count, "columns of different lengths"
            starts = [0, *section.end_offset]
            contents = [
                section.text[starts[index] : starts[index + 1]] for index in range(count)
            ]
            assert starts[-1] == len(section.text), "text beyond the last offset"
        else:
            assert len(section.value) == count, "columns of different lengths"
            contents = section.value
        values += [
            (kind, section.entity_id[i], section.attribute_id[i], section.observed_at_unix_us[i], v)
            for i, v in enumerate(contents)
        ]
    return values


def bits(number):
    return struct.pack(">d", number).hex()


def batch_of(first, values=None, columns=None, count=None, crc=None):
    """A Batch of values, or of serialised columns, with anything else changed on demand."""
    if columns is None:
        columns = columns_of(values).SerializeToString()
    return ingest_pb2.Batch(
        first_seq=first,
        count=len(values) if count is None else count,
        crc32c=crc32c(columns) if crc is None else crc,
        columns=columns,
    )


class SessionEnded(Exception):
    """The stream ended well."""


class Session:
    """One write session: Open, Batches, Acks."""

    def __init__(self, connection, stream=None, flags=REMOTE_OPEN):
        self.connection = connection
        self.stream = connection.request(
            "sluice.v1.IngestService", "Write", stream=stream, flags=flags
        )
        self.rejects = {}
        self.sent_bytes = 0  # of columns
        self.ack = None
        self.opened = None
        self.acks = []

    def send(self, message, flags=REMOTE_OPEN):
        body = message if isinstance(message, bytes) else message.SerializeToString()
        self.connection.send(frame(self.stream, DATA, body, flags))

    def finish(self):
        """Says that nothing more comes."""
        self.connection.send(frame(self.stream, DATA, b"", END))

    def receive(self, seconds=None):
        """The next message of the stream; raises SessionEnded or CallError."""
        received = self.connection.receive(seconds)
        assert received.stream == self.stream, f"expected stream {self.stream}, got {received}"
        if received.kind == RESPONSE:
            payload = response(received)
            raise AssertionError(f"a stream ended by a Response without an error: {payload!r}")
        assert received.kind == DATA, f"an unknown frame: {received}"
        if received.flags & NO_DATA:
            assert received.is_end, f"a stream ends by Data(5, length 0), not {received}"
            raise SessionEnded()
        assert not received.flags & REMOTE_CLOSED, f"closed together with data: {received}"
        message = ingest_pb2.WriteResponse.FromString(received.body)
        if message.WhichOneof("message") == "ack":
            self._note(message.ack)
        return message

    def _note(self, ack):
        for reject in ack.rejects:
            assert reject.seq not in self.rejects, f"value {reject.seq} was rejected twice"
            self.rejects[reject.seq] = reject.reason
        assert ack.staged_seq >= ack.durable_seq, f"durable beyond staged: {ack}"
        if self.ack is not None:
            lost_staging = ack.incarnation != self.ack.incarnation
            for name in ("staged_seq", "durable_seq", "granted_bytes", "granted_seq"):
                old, new = getattr(self.ack, name), getattr(ack, name)
                if lost_staging and name == "staged_seq":
                    continue  # it falls back to durable_seq
                assert new >= old, f"{name} fell from {old} to {new}"
            for name in ("received", "written", "duplicate", "rejected"):
                old, new = getattr(self.ack.counts, name), getattr(ack.counts, name)
                assert new >= old, f"counts.{name} fell from {old} to {new}"
        self.ack = ack
        self.acks.append(ack)

    def open(self, producer=None, session=None, staged=False, lowest_held=0, **fields):
        """Opens and waits for Opened."""
        self.producer = producer or uuid.uuid4().bytes
        self.session = session or uuid.uuid4().bytes
        message = ingest_pb2.Open(
            protocol_version=fields.pop("protocol_version", 1),
            producer_id=self.producer,
            session_id=self.session,
            durability=ingest_pb2.DURABILITY_STAGED if staged else ingest_pb2.DURABILITY_DURABLE,
            lowest_held_seq=lowest_held,
            client_name=b"tests",
        )
        for name, value in fields.items():
            setattr(message, name, value)
        self.send(ingest_pb2.WriteRequest(open=message))
        answer = self.receive()
        assert answer.WhichOneof("message") == "opened", f"expected Opened, got {answer}"
        self.opened = answer.opened
        return self.opened

    def batch(self, first, values=None, flags=REMOTE_OPEN, **options):
        batch = batch_of(first, values, **options)
        self.sent_bytes += len(batch.columns)
        self.send(ingest_pb2.WriteRequest(batch=batch), flags)

    def ping(self, nonce, wanted_bytes=0):
        self.send(
            ingest_pb2.WriteRequest(ping=ingest_pb2.Ping(nonce=nonce, wanted_bytes=wanted_bytes))
        )

    def wait(self, condition, seconds=None):
        """Receives Acks until one meets the condition; returns it."""
        deadline = time.monotonic() + (Wire.patience if seconds is None else seconds)
        while self.ack is None or not condition(self.ack):
            message = self.receive(max(0.01, deadline - time.monotonic()))
            kind = message.WhichOneof("message")
            assert kind == "ack", f"expected an Ack, got {message}"
        return self.ack

    def wait_durable(self, seq, seconds=None):
        return self.wait(lambda ack: ack.durable_seq >= seq, seconds)

    def want(self, wanted_bytes):
        """Asks for room for a batch of so many bytes and waits until it is granted."""
        self.ping(7, wanted_bytes)
        is_answered = False
        while not is_answered or self.granted_bytes < self.sent_bytes + wanted_bytes:
            is_answered = self.receive().WhichOneof("message") == "pong" or is_answered

    @property
    def granted_bytes(self):
        return (self.ack or self.opened).granted_bytes

    def expect_error(self, code, reason=None, field=None):
        """Receives until the stream ends with this error; Acks before it are kept."""
        while True:
            try:
                message = self.receive()
            except CallError as error:
                return error.check(code, reason, field)
            except SessionEnded:
                raise AssertionError("the session ended well, an error was expected") from None
            kind = message.WhichOneof("message")
            assert kind in ("ack", "pong"), f"expected an error, got {message}"

    def expect_end(self):
        """Receives until the stream ends well; returns what came before."""
        messages = []
        while True:
            try:
                messages.append(self.receive())
            except SessionEnded:
                return messages

    def end(self):
        """Ends the session well from this side and reads to the end."""
        self.finish()
        return self.expect_end()
