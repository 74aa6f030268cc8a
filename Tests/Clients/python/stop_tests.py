"""What needs a gateway of its own: drain, grace, sudden death, and what may hold up others."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import uuid

from checks import at_least, at_most, equal, test
from framing import DATA, ConnectionClosed, Frame, Silence
from gateway import DSN, Fixture, Gateway, Target, connect, locked, sql, wait_until
from protocol import FLAG, UNAVAILABLE, CallError, Connection, Session, SessionEnded
from protocol import columns_of, error_of
from protocol import admin_pb2, catalog_pb2, health_pb2


def refuses_connections(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 1).close()
        return False
    except ConnectionRefusedError:
        return True


def read_drain(opened):
    """Reads to the end of the stream; returns the Drain, and the error if it ended by one."""
    drain = None
    while True:
        try:
            message = opened.receive()
        except SessionEnded:
            return drain, None
        except CallError as error:
            return drain, error
        kind = message.WhichOneof("message")
        if kind == "drain":
            assert drain is None, "Drain came twice"
            drain = message.drain
        else:
            equal(kind, "ack", "message")


@test("SIGTERM and SIGINT end an idle gateway at once, with exit status 0")
def _():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Gateway() as gateway:
            with Connection(gateway.address) as connection:
                connection.check_alive()
            gateway.terminate(number)
            equal(gateway.wait(5), 0, "exit status")


@test("connections are spread evenly over the workers")
def _():
    # Each worker takes half of them: by chance alone three in four gateways would refuse one.
    for _ in range(4):
        with Gateway("--workers", "2", "--connections-max", "8") as gateway:
            with contextlib.ExitStack() as stack:
                for _ in range(8):
                    stack.enter_context(Connection(gateway.address)).check_alive()
                with Connection(gateway.address) as one_more:
                    one_more.expect_closed(5)


@test("SIGTERM closes idle connections and the port")
def _():
    with Gateway() as gateway, Connection(gateway.address) as connection:
        connection.check_alive()
        gateway.terminate()
        equal(connection.expect_closed(5), [], "frames before the close")
        equal(gateway.wait(5), 0, "exit status")
        assert refuses_connections(gateway.address)


@test("drain: sessions get Drain, acks for what was sent, and the end of the stream; exit status 0")
def _():
    with Gateway("--drain-grace", "20s") as gateway, Connection(gateway.address) as connection:
        fixture = Fixture(connection)
        opened = Session(connection)
        opened.open()
        opened.batch(1, fixture.numbers(1, 10))
        opened.wait_durable(10)
        with locked("sluice.producer_state", "EXCLUSIVE") as let_go:
            for first in range(11, 61, 10):
                opened.batch(first, fixture.numbers(first, 10))
            opened.ping(1)  # its answer proves that the batches were taken
            equal(opened.receive().pong.nonce, 1)
            gateway.terminate()
            message = opened.receive()
            equal(message.WhichOneof("message"), "drain", "message")
            at_least(message.drain.grace_ms, 1, "grace_ms")
            at_most(message.drain.grace_ms, 20_000, "grace_ms")
            at_least(message.drain.retry_delay_ms, 0, "retry_delay_ms")
            let_go()
        drain, error = read_drain(opened)
        assert drain is None, "Drain came twice"
        equal(opened.ack.durable_seq, 60, "durable_seq of the last Ack")
        if error is not None:
            error.check(UNAVAILABLE, "DRAINING")
        equal(connection.expect_closed(5), [], "frames after the end")
        equal(gateway.wait(5), 0, "exit status")
        fixture.check_stored_once(60)


@test("drain: an idle session gets Drain and the end of the stream")
def _():
    with Gateway() as gateway, Connection(gateway.address) as connection:
        opened = Session(connection)
        opened.open()
        gateway.terminate()
        drain, error = read_drain(opened)
        assert drain is not None, "no Drain"
        if error is not None:
            error.check(UNAVAILABLE, "DRAINING")
        equal(connection.expect_closed(5), [], "frames after the end")
        equal(gateway.wait(5), 0, "exit status")


@test("drain: batches that were sent, but not read when SIGTERM came, are acknowledged, too")
def _():
    with Gateway() as gateway, Connection(gateway.address) as connection:
        fixture = Fixture(connection)
        opened = Session(connection)
        opened.open()
        opened.batch(1, fixture.numbers(1, 1))
        opened.wait_durable(1)
        for first in range(2, 402, 100):
            opened.batch(first, fixture.numbers(first, 100))
        gateway.terminate()
        drain, _ = read_drain(opened)
        assert drain is not None, "no Drain"
        equal(opened.ack.durable_seq, 401, "durable_seq of the last Ack")
        equal(gateway.wait(5), 0, "exit status")
        fixture.check_stored_once(401)


@test("drain: a STAGED session is acknowledged until durable before the end")
def _():
    with Gateway() as gateway, Connection(gateway.address) as connection:
        fixture = Fixture(connection)
        opened = Session(connection)
        opened.open(staged=True)
        opened.batch(1, fixture.numbers(1, 100))
        opened.wait(lambda ack: ack.staged_seq == 100)
        gateway.terminate()
        drain, _ = read_drain(opened)
        assert drain is not None, "no Drain"
        equal(opened.ack.durable_seq, 100, "durable_seq of the last Ack")
        equal(gateway.wait(10), 0, "exit status")
        fixture.check_stored_once(100)


@test("drain: new calls are UNAVAILABLE with advice when to retry, calls in flight are answered")
def _():
    with Gateway("--drain-grace", "20s") as gateway, Connection(gateway.address) as connection:
        watch = connection.request("grpc.health.v1.Health", "Watch")
        equal(connection.receive().body, b"\x08\x01")
        with locked("sluice.entities") as let_go:
            request = catalog_pb2.ResolveEntitiesRequest(external_key=[uuid.uuid4().hex.encode()])
            pending = connection.request("sluice.v1.CatalogService", "ResolveEntities", request)
            connection.check_alive()  # its answer proves that the call before it was taken
            gateway.terminate()
            equal(connection.receive(), Frame(watch, DATA, 0, b"\x08\x02"), "NOT_SERVING")
            received = connection.receive()
            assert (received.stream, received.is_end) == (watch, True), f"not its end: {received}"
            stream = connection.request("sluice.v1.CatalogService", "ListAttributes")
            error_of(connection.receive(), UNAVAILABLE, stream=stream)
            stream = connection.request("sluice.v1.IngestService", "Write", flags=2)
            error_of(connection.receive(), UNAVAILABLE, stream=stream)
            answer = connection.call(
                "grpc.health.v1.Health",
                "Check",
                health_pb2.HealthCheckRequest(),
                health_pb2.HealthCheckResponse,
            )
            equal(answer.status, health_pb2.HealthCheckResponse.NOT_SERVING)
            assert refuses_connections(gateway.address)
            let_go()
            received = connection.receive()
            equal((received.stream, received.kind), (pending, 2), "the answer of the pending call")
        equal(connection.expect_closed(5), [], "frames after the last answer")
        equal(gateway.wait(5), 0, "exit status")


@test("drain: the grace time is the longest; what is not acknowledged stays with the producer")
def _():
    with Gateway("--drain-grace", "1s") as gateway, Connection(gateway.address) as connection:
        fixture = Fixture(connection)
        opened = Session(connection)
        opened.open()
        with locked("sluice.producer_state", "EXCLUSIVE"):
            opened.batch(1, fixture.numbers(1, 10))
            opened.ping(1)
            equal(opened.receive().pong.nonce, 1)
            start = time.monotonic()
            gateway.terminate()
            status = gateway.wait(8)
            at_most(time.monotonic() - start, 6, "seconds until the end")
            equal(status, 0, "exit status")
        frames = connection.expect_closed(5)
        assert frames, "no Drain"
    with Gateway() as gateway, Connection(gateway.address) as connection:
        later = Session(connection)
        seq = later.open(opened.producer).durable_seq + 1
        if seq <= 10:
            later.batch(seq, fixture.numbers(seq, 11 - seq))
            later.wait_durable(10)
        fixture.check_stored_once(10)


@test("a client that goes on sending after Drain is not written twice elsewhere")
def _():
    with Gateway() as gateway, Gateway() as other, Connection(gateway.address) as connection:
        fixture = Fixture(connection)
        opened = Session(connection)
        opened.open()
        seq = 1
        for _ in range(20):
            opened.batch(seq, fixture.numbers(seq, 10))
            seq += 10
        gateway.terminate()
        try:
            for _ in range(20):
                opened.batch(seq, fixture.numbers(seq, 10))
                seq += 10
                time.sleep(0.002)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            while True:
                opened.receive(2)
        except (SessionEnded, CallError, ConnectionClosed, Silence):
            pass
        acknowledged = opened.ack.durable_seq if opened.ack else 0
        with Connection(other.address) as connection:
            later = Session(connection)
            durable = later.open(opened.producer).durable_seq
            at_least(durable, acknowledged, "durable_seq after the drain")
            while durable < 400:
                later.batch(durable + 1, fixture.numbers(durable + 1, 20))
                durable = later.wait_durable(min(durable + 20, 400)).durable_seq
        equal(gateway.wait(15), 0, "exit status")
        wait_until(lambda: int(fixture.stored()[0][0]) >= 400, what="400 values are stored")
        stored = fixture.stored()[0]
        equal(stored[0], stored[1], "rows and different times")


@test("a gateway that is killed loses nothing that was acknowledged, and nothing is doubled")
def _():
    with Gateway() as other:
        for staged in (False, True):
            with Gateway() as gateway, Connection(gateway.address) as connection:
                fixture = Fixture(connection)
                opened = Session(connection)
                opened.open(staged=staged)
                for first in range(1, 1001, 50):
                    opened.batch(first, fixture.numbers(first, 50))
                opened.wait(lambda ack: ack.staged_seq >= 300)
                gateway.kill()
                try:
                    while True:
                        opened.receive(2)
                except (ConnectionClosed, Silence):
                    pass
            with Connection(other.address) as connection:
                later = Session(connection)
                answer = later.open(opened.producer, staged=staged)
                at_least(answer.durable_seq, opened.ack.durable_seq, "durable_seq")
                if staged:
                    at_least(answer.staged_seq, opened.ack.staged_seq, "staged_seq")
                for first in range(answer.durable_seq + 1, 1001, 50):
                    later.batch(first, fixture.numbers(first, min(50, 1001 - first)))
                if answer.durable_seq < 1000:
                    later.wait_durable(1000)
            fixture.check_stored_once(1000)


def figures(connection):
    answer = connection.call(
        "sluice.v1.AdminService",
        "GetStatus",
        admin_pb2.GetStatusRequest(),
        admin_pb2.GetStatusResponse,
    )
    return {figure.name: figure.value for figure in answer.figures}


def disturb(gateway, fixture, number):
    """Opens a session and ends it in one of many ways."""
    connection = Connection(gateway.address)
    opened = Session(connection)
    opened.open(staged=number % 2 == 1)
    way = number % 9
    if way == 0:
        connection.reset()
        return
    opened.batch(1, fixture.numbers(1, 100))
    if way == 1:
        connection.reset()
        return
    if way == 2:
        opened.batch(102, fixture.numbers(102, 1))  # a gap
    elif way == 3:
        opened.batch(1, fixture.numbers(1, 100, start=7))  # a conflict
    elif way == 4:
        opened.batch(101, fixture.numbers(101, 3_000))  # beyond the grant
    elif way == 5:
        opened.want(200_000)
    elif way == 6:
        opened.batch(101, [(1, 2**60, 1, 1, 1.0)] * 50)  # unknown names
        connection.reset()
        return
    elif way == 7:
        opened.batch(101, fixture.numbers(101, 3), crc=5)
    else:
        opened.finish()
    try:
        while True:
            opened.receive(0.1)
    except (SessionEnded, CallError, ConnectionClosed, Silence):
        pass
    connection.reset()


@test("sessions that end in any way leave nothing behind: no grant, no session, no connection")
def _():
    with Gateway("--workers", "1") as gateway, Connection(gateway.address) as connection:
        fixture = Fixture(connection)
        for number in range(90):
            disturb(gateway, fixture, number)

        def is_clean():
            found = figures(connection)
            gauges = ("sessions.open", "ingest.granted_bytes", "ingest.waiting_bytes")
            left = {name: found[name] for name in gauges if found[name] != 0}
            if found["connections.open"] != 1:
                left["connections.open"] = found["connections.open"]
            is_clean.left = left
            return not left

        try:
            wait_until(is_clean, 5)
        except AssertionError:
            raise AssertionError(f"left behind: {is_clean.left}") from None
        gateway.terminate()
        equal(gateway.wait(10), 0, "exit status")


def bad_flags(fixture, count):
    return [(FLAG, 2**61 + n, fixture.attribute[FLAG], 1, True) for n in range(count)]


@test("some thousand bad values hold up nobody: acknowledged as soon as good ones")
def _():
    with Gateway("--workers", "1") as gateway, Connection(gateway.address) as connection:
        fixture = Fixture(connection)
        opened, other = Session(connection), None
        opened.open()
        values = bad_flags(fixture, 5_000)
        opened.want(columns_of(values).ByteSize())
        start = time.monotonic()
        opened.batch(1, values)
        with Connection(gateway.address) as neighbour:
            other = Session(neighbour)
            other.open()
            other.batch(1, fixture.numbers(1, 1))
            other.wait_durable(1, 60)
            waited = time.monotonic() - start
        opened.wait_durable(5_000, 60)
        took = time.monotonic() - start
        assert took < 3, f"5,000 bad values took {took:.1f} s, and a neighbour {waited:.1f} s"


@test("more rejects than one Ack names come in the next ones, also at the end")
def _():
    with Gateway("--workers", "1") as gateway, Connection(gateway.address) as connection:
        fixture = Fixture(connection)
        opened = Session(connection)
        opened.open()
        values = bad_flags(fixture, 12_000)
        opened.want(columns_of(values).ByteSize())
        opened.batch(1, values)
        opened.end()
        equal(opened.ack.durable_seq, 12_000, "durable_seq")
        equal(len(opened.rejects), 12_000, "rejects")
        equal(opened.ack.counts.rejected, 12_000, "counts.rejected")


def crash_postgres():
    """Kills a server process: PostgreSQL ends all others and recovers; UNLOGGED tables are empty."""
    process = subprocess.Popen(
        ["psql", "-XqAt", "-d", DSN, "-c", "SELECT pg_backend_pid()", "-c", "SELECT pg_sleep(60)"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    pid = int(process.stdout.readline())
    if os.geteuid() == 0 or os.stat(f"/proc/{pid}").st_uid == os.geteuid():
        os.kill(pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def database_is_up():
    try:
        return sql("SELECT 1") == [["1"]]
    except AssertionError:
        return False


def write_over_a_crash(staged):
    """Writes 2,000 values while PostgreSQL crashes twice; resends as a client has to."""
    with Gateway() as gateway:
        with Connection(gateway.address) as connection:
            fixture = Fixture(connection)
        producer, total = uuid.uuid4().bytes, 2_000
        durable, crashes, sessions, deadline = 0, 0, 0, time.monotonic() + 60
        incarnations, highest_durable = set(), 0
        while durable < total:
            assert time.monotonic() < deadline, f"stuck at {durable} after {sessions} sessions"
            sessions += 1
            with Connection(gateway.address) as connection:
                opened = Session(connection)
                try:
                    durable = opened.open(producer, staged=staged).durable_seq
                    incarnations.add(opened.opened.incarnation)
                    at_least(durable, highest_durable, "durable_seq after what was acknowledged")
                    seq, incarnation = durable + 1, opened.opened.incarnation
                    while durable < total:
                        while seq <= total and seq - durable <= 400:
                            opened.batch(seq, fixture.numbers(seq, 20))
                            seq += 20
                        message = opened.receive(20)
                        if message.WhichOneof("message") != "ack":
                            continue
                        durable = message.ack.durable_seq
                        highest_durable = durable
                        if message.ack.incarnation != incarnation:
                            # Staging was lost: what is not durable is sent again.
                            incarnation, seq = message.ack.incarnation, durable + 1
                            incarnations.add(incarnation)
                        if durable >= total * (crashes + 1) // 3 and crashes < 2:
                            crashes += 1
                            crash_postgres()
                            wait_until(database_is_up, 20, "the database")
                except CallError as error:
                    error.check(UNAVAILABLE)
                    time.sleep(min(error.retry_seconds, 1))
                except ConnectionClosed:
                    time.sleep(0.1)
        equal(crashes, 2, "crashes")
        fixture.check_stored_once(total)
        return incarnations


@test("a crash of PostgreSQL in the middle loses and doubles nothing (DURABLE)")
def _():
    write_over_a_crash(staged=False)


@test("a crash of PostgreSQL in the middle loses and doubles nothing (STAGED)")
def _():
    write_over_a_crash(staged=True)


@test("STAGED: after PostgreSQL lost its staging area Opened has another incarnation")
def _():
    with Gateway() as gateway, Connection(gateway.address) as connection:
        producer = uuid.uuid4().bytes
        before = Session(connection).open(producer, staged=True).incarnation
        equal(Session(connection).open(producer, staged=True).incarnation, before, "at first")
        crash_postgres()
        wait_until(database_is_up, 20, "the database")
        deadline = time.monotonic() + 20
        while True:
            assert time.monotonic() < deadline, "no session could be opened"
            try:
                answer = Session(connection).open(producer, staged=True)
                break
            except CallError as error:
                error.check(UNAVAILABLE, "DATABASE_UNAVAILABLE")
                time.sleep(0.2)
        assert answer.incarnation != before, f"the incarnation is still {before}"


@test("STAGED: a producer that is connected is told when PostgreSQL lost its staging area")
def _():
    with Gateway() as gateway, Connection(gateway.address) as connection:
        fixture = Fixture(connection)
        opened = Session(connection)
        opened.open(staged=True)
        opened.batch(1, fixture.numbers(1, 10))
        opened.wait_durable(10)
        before = opened.opened.incarnation
        crash_postgres()
        wait_until(database_is_up, 20, "the database")
        # Told by an Ack with another incarnation, or by the end of the session.
        told, seq, deadline = False, 11, time.monotonic() + 15
        try:
            while not told:
                assert time.monotonic() < deadline, "the producer was not told within 15 s"
                opened.batch(seq, fixture.numbers(seq, 1))
                seq += 1
                try:
                    while True:
                        message = opened.receive(0.2)
                        told = told or message.ack.incarnation not in (0, before)
                except Silence:
                    pass
        except CallError as error:
            error.check(UNAVAILABLE)


def figure(gateway, name):
    with Connection(gateway.address) as connection:
        answer = connection.call(
            "sluice.v1.AdminService",
            "GetStatus",
            admin_pb2.GetStatusRequest(),
            admin_pb2.GetStatusResponse,
        )
    return next(int(each.value) for each in answer.figures if each.name == name)


@contextlib.contextmanager
def trigger(event, condition, body):
    """Something that happens in the database; over its crash, unlike a lock."""
    name = f"trigger_{uuid.uuid4().hex}"
    sql(
        f"""
        CREATE FUNCTION sluice.{name}() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN {body}; END $$;
        CREATE TRIGGER {name} BEFORE {event} FOR EACH ROW WHEN ({condition})
          EXECUTE FUNCTION sluice.{name}();
        """
    )
    try:
        yield
    finally:
        sql(f"DROP FUNCTION sluice.{name}() CASCADE")


def promotion_fails(producer):
    """Nothing of this producer becomes durable."""
    return trigger(
        "UPDATE OF durable_seq ON sluice.producer_state",
        f"NEW.producer_id = '{producer.hex()}' AND NEW.durable_seq > OLD.durable_seq",
        "RAISE EXCEPTION 'a test' USING ERRCODE = '53000'",
    )


def staging_dies(producer):
    """The connection is lost in the transaction that stages the producer's first value."""
    return trigger(
        "INSERT ON sluice.staged_batches",
        f"NEW.producer_id = '{producer.hex()}' AND NEW.first_seq = 1",
        "PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW",
    )


@test("STAGED: lost staging takes staged_seq back to durable_seq; what comes again is counted")
def _():
    with Gateway() as gateway, Connection(gateway.address) as connection:
        fixture = Fixture(connection)
        producer = uuid.uuid4().bytes
        opened = Session(connection)
        before = opened.open(producer, staged=True).incarnation
        first, second = fixture.numbers(1, 10), fixture.numbers(11, 5)
        with promotion_fails(producer):
            opened.batch(1, first)
            opened.batch(11, second)
            opened.wait(lambda ack: ack.staged_seq == 15)
            equal(opened.ack.durable_seq, 0, "durable_seq")
            crash_postgres()
            opened.wait(lambda ack: ack.incarnation != before, 30)
            equal((opened.ack.staged_seq, opened.ack.durable_seq), (0, 0), "after the loss")
            opened.batch(1, first)
            opened.batch(11, second)
            opened.wait(lambda ack: ack.counts.duplicate == 15)
            # Staged in the new one, behind what is not: a position that held would be wrong.
            opened.batch(16, fixture.numbers(16, 5))
            time.sleep(0.5)
            opened.ping(1)
            while opened.receive().WhichOneof("message") != "pong":
                pass
            equal(opened.ack.staged_seq, 0, "staged_seq, while values before are not staged")
        opened.wait_durable(20, 20)
        fixture.check_stored_once(20)
        opened.end()
        for name, value in (("unstaged", 15), ("resent", 15), ("lost", 0)):
            equal(figure(gateway, f"ingest.values_{name}"), value, name)


@test("STAGED: what may not have been staged holds staged_seq back until it is durable")
def _():
    with Gateway() as gateway, Connection(gateway.address) as connection:
        fixture = Fixture(connection)
        producer = uuid.uuid4().bytes
        opened = Session(connection)
        opened.open(producer, staged=True)
        with staging_dies(producer), promotion_fails(producer):
            opened.batch(1, fixture.numbers(1, 10))
            wait_until(lambda: figure(gateway, "ingest.groups_retried") > 0, 20, "the loss")
            staged = figure(gateway, "ingest.groups_staged")
            opened.batch(11, fixture.numbers(11, 5))
            wait_until(lambda: figure(gateway, "ingest.groups_staged") > staged, 20, "staging")
            opened.ping(1)
            while opened.receive().WhichOneof("message") != "pong":
                pass
            equal(opened.ack.staged_seq if opened.ack else 0, 0, "staged_seq")
        opened.wait_durable(15, 20)
        fixture.check_stored_once(15)


@test("what went out in an earlier session, as Open tells, is counted as resent when it comes")
def _():
    with Gateway() as gateway, Connection(gateway.address) as connection:
        fixture = Fixture(connection)
        opened = Session(connection)
        opened.open(highest_sent_seq=7)
        opened.batch(1, fixture.numbers(1, 5))
        opened.batch(6, fixture.numbers(6, 5))
        opened.wait_durable(10)
        equal(figure(gateway, "ingest.values_resent"), 7, "values_resent")


@test("values that a failover lost are counted")
def _():
    with Gateway() as gateway, Connection(gateway.address) as connection:
        fixture = Fixture(connection)
        producer = uuid.uuid4().bytes
        opened = Session(connection)
        opened.open(producer)
        opened.batch(1, fixture.numbers(1, 5))
        opened.wait_durable(5)
        answer = Session(connection).open(producer, lowest_held=9)
        equal((answer.lost_from_seq, answer.lost_to_seq), (6, 8), "lost")
        equal(figure(gateway, "ingest.values_lost"), 3, "values_lost")


@test("the gateway under test still runs, and stops as asked")
def _():
    with connect() as connection:
        connection.check_alive()
    assert Target.is_real, "the gateway of others is not stopped"
    os.kill(Target.pid, signal.SIGTERM)
    wait_until(lambda: refuses_connections(Target.address), what="the port is closed")
