"""Write sessions by hand: batches that no well-behaved client would send.

Frames and messages are those of Tests/Clients/python, which shares no code with the gateway.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from producers import BASE_MICROSECONDS, Promise
from world import Skipped

ROOT = Path(__file__).resolve().parents[2]


def load_protocol(folder):
    """The client of Tests/Clients/python, with messages generated into the folder."""
    if not shutil.which("protoc"):
        raise Skipped("protoc is missing; scripts/setup --all installs it")
    generated = folder / "generated"
    if not generated.exists():
        generated.mkdir()
        files = [str(path.relative_to(ROOT / "Proto"))
                 for path in (ROOT / "Proto").rglob("*.proto")]
        subprocess.run(
            ["protoc", f"--python_out={generated}", "-I", ".", *files], cwd=ROOT / "Proto",
            check=True, capture_output=True)
    os.environ["SLUICE_TEST_GENERATED"] = str(generated)
    # Debian's protobuf belongs to its own Python, whose modules another one may not know.
    for path in (ROOT / "Tests" / "Clients" / "python", Path("/usr/lib/python3/dist-packages")):
        if str(path) not in sys.path:
            sys.path.append(str(path))
    try:
        import protocol
    except ImportError as error:
        raise Skipped(f"python3-protobuf is missing ({error}); scripts/setup --all") from None
    return protocol


class Hand:
    """One producer whose frames are made by hand; its values are those of `faultproducer`."""

    def __init__(self, world, lane, dice):
        self.protocol = load_protocol(world.folder)
        self.world = world
        self.staged = lane == "staged"
        self.dice = dice
        self.id = dice.randbytes(16)
        self.entity = world.entity(f"hand-{self.id.hex()}")
        self.durable = 0
        self.session = None
        self.connection = None

    def open(self, gateway):
        """A new session, as after a restart of the client."""
        self.close()
        self.connection = self.protocol.Connection(gateway.address)
        self.session = self.protocol.Session(self.connection)
        opened = self.session.open(producer=self.id, staged=self.staged)
        self.durable = max(self.durable, opened.durable_seq)
        return opened

    def close(self):
        if self.connection:
            self.connection.close()

    def values(self, first, count, factor=0.5):
        return [
            (self.protocol.NUMBER, self.entity, self.world.attribute, BASE_MICROSECONDS + n,
             n * factor)
            for n in range(first, first + count)]

    def send(self, first, count, factor=0.5):
        self.session.batch(first, self.values(first, count, factor))

    def write(self, first, count):
        """Sends a batch and waits until everything up to its end is durable."""
        self.send(first, count)
        self.wait(first + count - 1)

    def wait(self, last):
        self.session.wait_durable(last, 10)
        self.durable = max(self.durable, last)

    def refused(self, reason):
        """Waits for the error that ends the session."""
        protocol = self.protocol
        codes = (protocol.FAILED_PRECONDITION, protocol.ABORTED, protocol.DATA_LOSS,
                 protocol.OUT_OF_RANGE, protocol.INVALID_ARGUMENT)
        return self.session.expect_error(codes, reason)

    def promise(self):
        """What the checker is to find: all that was acknowledged, once, and nothing else."""
        self.close()
        return Promise(self.entity, producer=self.id.hex(), durable=self.durable, finished=True)

    def check_nothing_beyond(self):
        rows = int(self.world.sql(
            f"SELECT count(*) FROM sluice.entity_values WHERE entity_id = {self.entity}"))
        if rows != self.durable:
            raise AssertionError(f"{rows} rows are stored, {self.durable} were acknowledged")
