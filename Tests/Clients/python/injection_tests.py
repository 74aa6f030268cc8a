"""Text that would be SQL, in every field of every request that has text."""

import uuid

from checks import at_least, equal, test
from gateway import Fixture, connect, session, sql, sql_value
from protocol import (
    DOCUMENT,
    FAILED_PRECONDITION,
    INVALID_ARGUMENT,
    LABEL,
    NOT_FOUND,
    UNIMPLEMENTED,
    CallError,
    Session,
    admin_pb2,
    catalog_pb2,
    entity_pb2,
    history_pb2,
    ingest_pb2,
    now_us,
    values_of,
)

# Each would drop the canary if it stood in a statement between quotes, as an identifier, in an array,
# as JSON, as a line of COPY, or plainly.
HOSTILE = [
    b"'; DROP TABLE sluice.canary; --",
    b"''); DROP TABLE sluice.canary; --",
    b"\\'; DROP TABLE sluice.canary; --",
    b'"; DROP TABLE sluice.canary; --',
    b"}'); DROP TABLE sluice.canary; --",
    b"\"'; DROP TABLE sluice.canary; --\"",
    b"\\.\n; DROP TABLE sluice.canary; --",
    b"$1); DROP TABLE sluice.canary; --",
    b"1; DROP TABLE sluice.canary",
]
REFUSALS = (INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION, UNIMPLEMENTED)


class Canary:
    """A table that must be there afterwards."""

    def __enter__(self):
        sql("CREATE TABLE IF NOT EXISTS sluice.canary (); GRANT ALL ON sluice.canary TO PUBLIC")

    def __exit__(self, *_):
        there = sql_value("SELECT to_regclass('sluice.canary') IS NOT NULL")
        sql("DROP TABLE IF EXISTS sluice.canary")
        assert there == "t", "a text of a client was run as SQL"


def text_fields(descriptor):
    """Paths to all fields of a message that hold strings or bytes."""
    for field in descriptor.fields:
        if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
            yield (field,)
        elif field.type == field.TYPE_MESSAGE:
            for path in text_fields(field.message_type):
                yield (field, *path)


def put(message, path, text):
    """Sets the field at the end of a path, in the first element of what is repeated."""
    *parents, last = path
    for field in parents:
        message = getattr(message, field.name)
        if field.label == field.LABEL_REPEATED:
            message = message[0] if message else message.add()
    value = text.decode() if last.type == last.TYPE_STRING else text
    if last.label == last.LABEL_REPEATED:
        getattr(message, last.name)[:] = [value]
    else:
        setattr(message, last.name, value)


def unary_methods():
    """Every unary method of Sluice: its service, name, request and answer."""
    for module in (admin_pb2, catalog_pb2, entity_pb2, history_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                types = [getattr(module, kind.name) for kind in (method.input_type, method.output_type)]
                yield service.full_name, method.name, *types


def sound(request_type, fixture):
    """A request that is answered; the rest of a hostile one must not be what is refused."""
    label = fixture.attribute[LABEL]
    named = {"entity_id": fixture.entity}
    value = entity_pb2.AttributeValue(attribute_id=label)
    value.value.label = b"a"
    condition = entity_pb2.FilterStep()
    condition.comparison.attribute_id = label
    condition.comparison.relation = entity_pb2.RELATION_EQUAL
    condition.comparison.value.label = b"a"
    history = {"entity_id": [fixture.entity], "attribute_id": [label],
               "start_unix_us": 0, "end_unix_us": 1_000_000}
    fields = {
        "ResolveEntitiesRequest": {"external_key": [fixture.key.encode()]},
        "ResolveAttributesRequest": {
            "attributes": [catalog_pb2.AttributeSpec(name=b"hot.label", value_type=LABEL)]},
        "UpdateAttributeRequest": {"name": b"label"},
        "UpsertEntityRequest": {**named, "values": [value]},
        "GetEntityRequest": named,
        "BatchGetEntitiesRequest": {"entities": [entity_pb2.EntityName(**named)]},
        "ListEntitiesRequest": {"filter": entity_pb2.EntityFilter(steps=[condition])},
        "QueryHistoryRequest": history,
        "AggregateHistoryRequest": {
            **history, "attribute_id": [fixture.attribute[1]], "bucket_width_us": 1_000_000},
        "ExistsInRangeRequest": history,
    }
    return request_type(**fields.get(request_type.DESCRIPTOR.name, {}))


def harmless(function, *arguments, **options):
    """It is answered, or refused as bad; never an error of the database."""
    try:
        return function(*arguments, **options)
    except CallError as error:
        error.check(REFUSALS)
        return None


@test("SQL in any text of any unary request does nothing, and is no error of the database")
def _():
    with Canary(), connect() as connection:
        Fixture(connection)  # whose "label" is made cold over and over
        fixture = Fixture(connection, hot=True)
        tried = set()
        for service, method, request_type, answer_type in unary_methods():
            if request_type.DESCRIPTOR.name != "SetNodeDrainedRequest":  # there is no node to drain
                connection.call(service, method, sound(request_type, fixture), answer_type)
            for path in text_fields(request_type.DESCRIPTOR):
                for text in HOSTILE:
                    request = sound(request_type, fixture)
                    put(request, path, text)
                    harmless(connection.call, service, method, request, answer_type)
                tried.add((method, ".".join(field.name for field in path)))
        for expected in (("ResolveAttributes", "attributes.unit"), ("UpdateAttribute", "name"),
                         ("ListEntities", "filter.steps.comparison.value.label"),
                         ("UpsertEntity", "values.value.document"),
                         ("BatchGetEntities", "entities.external_key"),
                         ("AggregateHistory", "time_zone"), ("QueryHistory", "read.floor_tokens"),
                         ("ListProducers", "page_token"), ("SetNodeDrained", "node")):
            assert expected in tried, f"{expected} was not tried"
        at_least(len(tried), 30, "fields")
        connection.check_alive()


@test("SQL in the envelope of a call does nothing")
def _():
    with Canary(), connect() as connection:
        fixture = Fixture(connection)
        request = entity_pb2.GetEntityRequest(entity_id=fixture.entity)
        names = ("sluice.v1.EntityService", "GetEntity", request, entity_pb2.GetEntityResponse)
        for text in HOSTILE:
            text = text.decode()
            for metadata in [(text, "x")], [("tenant", text)], [("authorization", text)]:
                harmless(connection.call, *names, metadata=metadata)
            harmless(connection.call, text, *names[1:])
            harmless(connection.call, names[0], text, *names[2:])
        connection.call(*names)


@test("SQL in the opening of a session does nothing")
def _():
    with Canary():
        fields = [path[0].name for path in text_fields(ingest_pb2.Open.DESCRIPTOR)]
        assert {"client_name", "producer_id", "token"} <= set(fields), fields
        for name in fields:
            for text in HOSTILE:
                with connect() as connection:
                    text = text[:16] if name.endswith("_id") else text
                    harmless(Session(connection).open, **{name: text})
        with session() as (opened, _):
            opened.end()


@test("SQL in names, labels and documents of a batch is stored as what it is")
def _():
    with Canary(), session() as (opened, fixture):
        start = now_us()
        labels = [fixture.value(LABEL, start + i, text) for i, text in enumerate(HOSTILE)]
        quoted = [b'"%s"' % text.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
                  for text in HOSTILE]
        documents = [fixture.value(DOCUMENT, start + i, text) for i, text in enumerate(quoted)]
        opened.batch(1, labels + documents)
        opened.wait_durable(len(labels + documents))
        equal(opened.rejects, {})
        attributes = [fixture.attribute[LABEL], fixture.attribute[DOCUMENT]]
        pages = opened.connection.history([fixture.entity], attributes, start, start + 100)
        equal([value for page in pages for value in values_of(page)], labels + documents)
        keys = [text + uuid.uuid4().hex.encode() for text in HOSTILE]
        ids = opened.connection.resolve_entities(keys)
        for entity, key in zip(ids, keys):
            answer = opened.connection.call(
                "sluice.v1.EntityService", "GetEntity",
                entity_pb2.GetEntityRequest(entity_id=entity), entity_pb2.GetEntityResponse)
            equal(answer.entity.external_key, key.decode())
