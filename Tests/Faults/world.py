"""What the faults happen to: PostgreSQL, two gateways, producers, and the truth about them."""

import os
import random
import re
import select
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path

from link import Link

ROOT = Path(__file__).resolve().parents[2]
BASE_MICROSECONDS = 1_600_000_000_000_000
PRODUCERS = 4
BATCH = 100
PAUSE_MILLISECONDS = 5


class Process:
    """A child that is started, signalled and waited for, by its pid."""

    def __init__(self, log):
        self.log = log
        self.child = None

    def launch(self, arguments, **options):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                arguments, stdout=options.pop("stdout", log), stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True, **options)

    @property
    def runs(self):
        return self.child is not None and self.child.poll() is None

    def signal(self, number):
        if self.runs:
            self.child.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.child.wait()

    def stop(self, seconds):
        """SIGTERM; the exit status, or None when it had to be killed."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None


class Gateway(Process):
    def __init__(self, world, index):
        super().__init__(world.folder / f"gateway-{index}.log")
        self.world = world
        self.port = None

    def start(self):
        port = self.port or 0
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
        environment["SLUICE_PRIMARY_DSN"] = self.world.dsn
        for _ in range(50):
            self.launch(
                [self.world.binaries / "sluice", "serve", "--listen", f"127.0.0.1:{port}",
                 "--workers", "2", "--drain-grace", "8s"],
                stdout=subprocess.PIPE, env=environment)
            ready, _, _ = select.select([self.child.stdout], [], [], 20)
            line = self.child.stdout.readline().decode() if ready else ""
            if line.startswith("listening on"):
                self.port = int(line.rsplit(":", 1)[1])
                return
            # The database may be starting again: a gateway does not start without it.
            self.child.wait(timeout=20)
            time.sleep(0.2)
        raise AssertionError(f"a gateway does not start; see {self.log}")

    def drain(self):
        return self.stop(15)


class Producer(Process):
    def __init__(self, world, index, lane):
        super().__init__(world.folder / f"producer-{index}.out")
        self.world = world
        self.lane = lane
        self.id = uuid.uuid4().hex
        self.entity = world.entity(f"fault-{self.id}")
        self.acks = world.folder / f"producer-{self.id}.acks"
        self.gateways = None

    def start(self, gateways=None):
        self.gateways = gateways or self.gateways or self.world.gateways
        self.mark = self.acks_bytes
        addresses = [f"127.0.0.1:{self.world.port(gateway)}" for gateway in self.gateways]
        self.launch([
            self.world.binaries / "faultproducer", ",".join(addresses), self.id, str(self.entity),
            str(self.world.attribute), str(BASE_MICROSECONDS), self.lane, str(BATCH),
            str(PAUSE_MILLISECONDS), self.acks])

    @property
    def acks_bytes(self):
        return self.acks.stat().st_size if self.acks.exists() else 0

    @property
    def is_acknowledged(self):
        """Whether it was promised something since it was started."""
        return self.acks_bytes > self.mark

    def promised(self):
        """The highest positions it was acknowledged: durable, and whether it ended in order."""
        durable = finished = 0
        if self.acks.exists():
            for line in self.acks.read_text().splitlines():
                word, _, number = line.partition(" ")
                if word == "durable":
                    durable = max(durable, int(number))
                if word == "finished":
                    finished = int(number)
                    durable = max(durable, finished)
        return durable, finished


class World:
    def __init__(self, folder, binaries):
        self.folder = folder
        self.binaries = Path(binaries)
        self._stack("up", "--primary-only", "--no-redis")
        text = (folder / "stack" / "stack.env").read_text()
        self.environment = dict(re.findall(r"(SLUICE_\w+)='?([^'\n]*)'?", text))
        self.dsn = self.environment["SLUICE_PRIMARY_DSN"]
        self.admin = self.environment["SLUICE_STACK_PRIMARY_ADMIN_DSN"]
        self._run(self.binaries / "sluice", "migrate", "--dsn", self.dsn)
        self.attribute = int(self.sql(
            "SELECT attribute_id FROM sluice.resolve_attributes("
            "1, '{fault}', '{1}'::smallint[], '{1}', '{false}')"))
        self.gateways = [Gateway(self, 0), Gateway(self, 1)]
        for gateway in self.gateways:
            gateway.start()
        self.producers = []
        self.link = None

    # ---- The course of a case ----

    def begin(self, lane, dice, uses_link):
        for gateway in self.gateways:
            if not gateway.runs:
                gateway.start()
        self.link = Link(("127.0.0.1", self.gateways[0].port)) if uses_link else None
        self.producers = [Producer(self, index, lane) for index in range(PRODUCERS)]
        for producer in self.producers:
            # With a link everybody uses it, so that its faults hit.
            producer.start(self.gateways[:1] if uses_link else None)
        deadline = time.monotonic() + 20
        while any(producer.promised()[0] == 0 for producer in self.producers):
            if time.monotonic() > deadline:
                raise AssertionError("the producers do not get going")
            time.sleep(0.02)

    def settle(self, seconds):
        """Stops the producers in order: everything they sent must become durable in time."""
        deadline = time.monotonic() + seconds
        while not all(producer.is_acknowledged for producer in self.producers):
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        good = True
        for producer in self.producers:
            producer.signal(signal.SIGTERM)
        for producer in self.producers:
            try:
                status = producer.child.wait(timeout=max(0.01, deadline - time.monotonic()))
                good = good and status == 0
            except subprocess.TimeoutExpired:
                good = False
                producer.kill()
        return good

    def check(self):
        """Compares what was promised with what is there."""
        sums = dict(acked=0, lost=0, doubled=0, wrong=0, detail="")
        for producer in self.producers:
            durable, finished = producer.promised()
            rows, distinct, covered, wrong = (int(part) for part in self.sql(
                "SELECT count(*), count(DISTINCT n), count(DISTINCT n) FILTER (WHERE n <= "
                f"{durable}), count(*) FILTER (WHERE number IS DISTINCT FROM n * 0.5) FROM ("
                "SELECT (extract(epoch FROM observed_at) * 1000000)::bigint - "
                f"{BASE_MICROSECONDS} AS n, number FROM sluice.entity_values "
                f"WHERE entity_id = {producer.entity}) AS v").split("|"))
            sums["acked"] += durable
            sums["lost"] += durable - covered
            sums["doubled"] += rows - distinct
            sums["wrong"] += wrong
            if durable != covered or rows != distinct or wrong or not finished:
                sums["detail"] += (
                    f"producer {producer.id}, entity {producer.entity}: promised {durable}, "
                    f"finished {finished}, rows {rows}, distinct {distinct}, wrong {wrong}, "
                    f"exit {producer.child.poll()}, {producer.log.read_text()[-300:]}\n")
        return sums

    def end(self):
        for producer in self.producers:
            if producer.runs:
                producer.kill()
        if self.link:
            self.link.close()
            self.link = None

    def close(self):
        self.end()
        for gateway in self.gateways:
            if gateway.runs:
                gateway.stop(12)
        self._stack("destroy")

    # ---- Faults ----

    def pause(self, seconds):
        time.sleep(seconds)

    def port(self, gateway):
        return self.link.port if self.link else gateway.port

    def backends(self, *roles):
        names = ",".join(f"'sluice/{role}'" for role in roles)
        pids = self.sql(
            f"SELECT pid FROM pg_stat_activity WHERE application_name IN ({names}) ORDER BY pid")
        return [int(pid) for pid in pids.split()]

    def kill_backend(self, dice, *roles):
        pids = self.backends(*roles)
        if pids:
            os.kill(dice.choice(pids), signal.SIGKILL)
        self.wait_for_postgres()

    def terminate_backend(self, dice, *roles):
        pids = self.backends(*roles)
        if pids:
            self.sql(f"SELECT pg_terminate_backend({dice.choice(pids)})")

    def stop_backend(self, dice, seconds):
        pids = self.backends("write", "stage", "promote")
        pid = dice.choice(pids)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    def restart_postgres(self):
        data = Path(self.environment["SLUICE_STACK_DATA"]) / "primary"
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.05)
        self._stack("up", "--primary-only", "--no-redis")
        self.wait_for_postgres()

    def wait_for_postgres(self):
        deadline = time.monotonic() + 30
        while True:
            try:
                self.sql("SELECT 1")
                return
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def misbehave(self, dice):
        """Slow headers, garbage and announced giants, on connections of their own."""
        socks = []
        for _ in range(200):
            sock = socket.create_connection(("127.0.0.1", self.gateways[0].port), timeout=5)
            kind = dice.randrange(4)
            data = {
                0: b"\0\0\0",                                     # a header that never ends
                1: bytes(dice.randrange(256) for _ in range(64)),  # garbage
                2: b"\0\x40\0\1" + b"\0\0\0\1" + b"\1\0" + b"x" * 2000,  # one byte too long
                3: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            }[kind]
            try:
                sock.sendall(data)
            except OSError:
                pass
            socks.append(sock)
        time.sleep(1)
        for sock in socks:
            sock.close()

    def storm(self, count):
        """Many connects at once; they are taken or refused, and go away again."""
        socks = []
        for index in range(count):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", self.gateways[index % 2].port))
            socks.append(sock)
        time.sleep(1)
        for sock in socks:
            sock.close()

    # ---- Tools ----

    def entity(self, key):
        return int(self.sql(f"SELECT entity_id FROM sluice.resolve_entities(1, ARRAY['{key}'])"))

    def sql(self, text):
        return subprocess.run(
            ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.admin, "-c", text],
            check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout.strip()

    def _stack(self, command, *options):
        self._run(ROOT / "scripts" / "stack", command, "--dir", self.folder / "stack", *options)

    def _run(self, *arguments):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
        done = subprocess.run(
            [str(argument) for argument in arguments], capture_output=True, text=True,
            stdin=subprocess.DEVNULL, env=environment)
        if done.returncode:
            raise AssertionError(f"{arguments[0]} failed: {done.stderr[-2000:]}")
