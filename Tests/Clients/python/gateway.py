"""The gateway under test, gateways of a test's own, and the database behind them."""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
import uuid

from protocol import DOCUMENT, FLAG, INTEGER, LABEL, NUMBER, Connection, Session

DSN = os.environ["SLUICE_PRIMARY_DSN"]
BINARY = os.environ["SLUICE_TEST_BINARY"]


class Target:
    """Where tests connect; the self-check points it elsewhere."""

    address = os.environ["SLUICE_TEST_ADDRESS"]
    pid = int(os.environ["SLUICE_TEST_GATEWAY_PID"])
    is_real = True


def connect(**options):
    return Connection(Target.address, **options)


def sql(statement):
    """Rows of a query, as lists of text."""
    done = subprocess.run(
        ["psql", "-XqAt", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", "-d", DSN, "-c", statement],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"psql: {done.stderr}"
    return [line.split("\x1f") for line in done.stdout.splitlines()]


def sql_value(statement):
    return sql(statement)[0][0]


@contextlib.contextmanager
def locked(table, mode="ACCESS EXCLUSIVE"):
    """Holds a lock on a table, so that what needs it waits; yields a function that lets go."""
    process = subprocess.Popen(
        ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", DSN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def let_go():
        if process.stdin and not process.stdin.closed:
            process.stdin.close()  # psql ends and its transaction with it
            process.wait()

    try:
        process.stdin.write(f"BEGIN; LOCK TABLE {table} IN {mode} MODE; SELECT 'locked';\n")
        process.stdin.flush()
        assert process.stdout.readline().strip() == "locked", "the lock was not granted"
        yield let_go
    finally:
        let_go()
        process.stdout.close()


class Gateway:
    """A gateway of a test's own."""

    def __init__(self, *options):
        log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [BINARY, "serve", "--listen", "127.0.0.1:0", "--primary-dsn", DSN, *options],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        line = self.process.stdout.readline().strip()
        match = re.fullmatch(r"listening on (127\.0\.0\.1:[0-9]+)", line)
        if match is None:
            self.kill()
            log.seek(0)
            raise AssertionError(f"the gateway said {line!r} and {log.read()!r}")
        log.close()
        self.address = match[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def terminate(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, seconds):
        """The exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the gateway still runs after {seconds} s") from None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def memory_bytes():
    """Resident memory of the gateway under test."""
    with open(f"/proc/{Target.pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


TYPE_NAMES = {
    NUMBER: "number",
    INTEGER: "integer",
    FLAG: "flag",
    LABEL: "label",
    DOCUMENT: "document",
}


class Fixture:
    """A new entity, and an attribute of each type that all tests share."""

    attributes = {}

    def __init__(self, connection, hot=False):
        self.key = f"test-{uuid.uuid4()}"
        self.entity = connection.resolve_entities([self.key.encode()])[0]
        names = {kind: ("hot." if hot else "") + name for kind, name in TYPE_NAMES.items()}
        answer = connection.resolve_attributes(
            [(name.encode(), kind, b"", hot) for kind, name in names.items()]
        )
        self.attribute = {kind: found.attribute_id for kind, found in zip(names, answer)}

    def value(self, kind, observed, value):
        return (kind, self.entity, self.attribute[kind], observed, value)

    def numbers(self, first, count, start=1_000_000):
        """Values whose time and content tell their sequence numbers."""
        return [
            self.value(NUMBER, start + seq, float(seq)) for seq in range(first, first + count)
        ]

    def stored(self, columns="count(*), count(DISTINCT observed_at)"):
        return sql(
            f"SELECT {columns} FROM sluice.entity_values WHERE entity_id = {self.entity}"
        )

    def check_stored_once(self, count):
        found = self.stored()[0]
        assert found == [str(count)] * 2, (
            f"{found[0]} rows with {found[1]} different times are stored, expected {count}"
        )


@contextlib.contextmanager
def session(**options):
    """A connection with a fixture and an open session."""
    with connect() as connection:
        fixture = Fixture(connection)
        opened = Session(connection)
        opened.open(**options)
        yield opened, fixture


def wait_until(condition, seconds=10.0, what="the condition"):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        time.sleep(0.02)
