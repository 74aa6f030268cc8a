"""Calls to a gateway from a connection that is made anew when it is lost."""

import threading
import time

from framing import ConnectionClosed, Silence
from protocol import (
    ABORTED, CANCELLED, DEADLINE_EXCEEDED, FAILED_PRECONDITION, NOT_FOUND, RESOURCE_EXHAUSTED,
    UNAVAILABLE, CallError, Connection, response)

CALL_SECONDS = 4

# What a gateway may answer while faults run; anything else is a failure of its own.
EXPECTED_CODES = {
    ABORTED, CANCELLED, DEADLINE_EXCEEDED, FAILED_PRECONDITION, NOT_FOUND, RESOURCE_EXHAUSTED,
    UNAVAILABLE}


class Lost(Exception):
    """No answer came: what was asked for may have happened, or may happen yet."""


class Caller:
    """One client's connection to one gateway."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.connection = None
        self.written = b""      # token of the last write on this connection

    def call(self, service, method, message, answer_type):
        """Raises CallError with an error's status, or Lost."""
        try:
            connection = self.connected()
            stream = connection.request(
                f"sluice.v1.{service}", method, message, timeout_ns=CALL_SECONDS * 10**9)
            return self._answer(connection, stream, answer_type)
        except (OSError, Silence, ConnectionClosed) as error:
            self.close()
            raise Lost(type(error).__name__) from None

    def _answer(self, connection, stream, answer_type):
        payload = response(connection.receive(CALL_SECONDS + 2), stream)
        answer = answer_type()
        answer.ParseFromString(payload)
        return answer

    def connected(self):
        if self.connection is None:
            self.connection = Connection(self.gateway.address)
        return self.connection

    def close(self):
        self.written = b""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Client(threading.Thread):
    """Something that goes on until it is told to stop, at its own pace."""

    def __init__(self, world, name, dice, pause_ms):
        super().__init__(name=name, daemon=True)
        self.world = world
        self.dice = dice
        self.pause_ms = pause_ms
        self.callers = [Caller(gateway) for gateway in world.gateways]
        self.stopping = threading.Event()
        self.successes = 0
        self.failure = None

    def run(self):
        try:
            while not self.stopping.is_set():
                if self.step():
                    self.successes += 1
                    time.sleep(self.dice.uniform(0, self.pause_ms) / 1000)
                else:
                    self.stopping.wait(0.05)
        except Exception as error:  # what is wrong with a client is no reason to hang
            self.failure = error
        finally:
            for caller in self.callers:
                caller.close()

    def step(self):
        """Does one thing; false when it was of no use."""
        raise NotImplementedError

    def note(self, error):
        """Counts an error of a gateway."""
        reason = error.reason if isinstance(error, CallError) else str(error)
        self.world.journal.errors.append((self.name, reason or f"code {error.code}"))
        if isinstance(error, CallError) and error.code not in EXPECTED_CODES:
            self.world.journal.unexpected.append(f"{self.name}: {error}, {reason}")
