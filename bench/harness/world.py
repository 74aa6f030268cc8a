"""A private PostgreSQL, a gateway, the load generator, and the peers."""

import json
import math
import os
import re
import resource
import select
import subprocess
import tempfile
import time

import processes

COLUMNS = (
    "entity_id, observed_at, tenant_id, attribute_id, number, integer, flag, label, document"
)

# Entities of a stored day.
SERIES = 100


class BenchError(Exception):
    """Something did not work; the text is for the reader."""


def run(command, timeout=120, **options):
    """Runs a command to its end; its output is shown only when it fails."""
    try:
        done = subprocess.run(
            command, timeout=timeout, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL, text=True, check=False, **options,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{command[0]} did not end within {timeout} s") from error
    if done.returncode:
        tail = (done.stderr + done.stdout)[-2000:]
        raise BenchError(f"{' '.join(map(str, command))[:200]} failed:\n{tail}")
    return done.stdout


def end(process, seconds):
    """Tells a process to end, and kills it when it has not after so long; nothing if it has ended."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class World:
    """Everything that runs; `close` ends it all."""

    def __init__(self, repository, binaries, folder, counter=None):
        self.repository = repository
        self.folder = folder
        self.gateway_program = os.path.join(binaries, "sluice")
        self.bench_program = os.path.join(binaries, "bench")
        self.environment = {}
        self.running = []
        self.gateway = None
        self.address = ""
        # Something else to read at both ends of a measurement, such as allocations.
        self.counter = counter
        # Whose processor time counts besides, by name: functions that read it.
        self.parties = {}
        # Names of the options that gateways were started with, beside those of all of them.
        self.options_used = set()
        # Ten thousand connections are ten thousand descriptors.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    # ---- Life ----

    def open(self, *options):
        stack = os.path.join(self.repository, "scripts", "stack")
        run([stack, "up", "--dir", self.path("stack"), "--primary-only", *options], 300)
        with open(self.path("stack", "stack.env"), encoding="utf-8") as file:
            self.environment = dict(re.findall(r"^export (\w+)='(.*)'$", file.read(), re.M))
        self.dsn = self.environment["SLUICE_PRIMARY_DSN"]
        self.programs = self.environment["SLUICE_STACK_PG_BINDIR"]
        with open(os.path.join(self.environment["SLUICE_STACK_DATA"], "primary", "postmaster.pid"),
                  encoding="utf-8") as file:
            self.postmaster = int(file.readline())
        run([self.gateway_program, "migrate", "--dsn", self.dsn], env=self.clean_environment())
        # The names of stored series before all others: their ids follow each other.
        self.sql("SELECT count(*) FROM sluice.resolve_entities(1, ARRAY("
                 f"SELECT 'bench-' || i FROM generate_series(0, {SERIES - 1}) AS i))")
        self.sql("CREATE TABLE IF NOT EXISTS bench_commit (id bigint GENERATED ALWAYS AS IDENTITY)")

    def close(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
        self.stop_gateway()
        stack = os.path.join(self.repository, "scripts", "stack")
        if os.path.isdir(self.path("stack")):
            run([stack, "destroy", "--dir", self.path("stack")], 180)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def spawn(self, command, **options):
        process = subprocess.Popen(command, **options)
        self.running = [one for one in self.running if one.poll() is None] + [process]
        return process

    # ---- Gateway ----

    def start_gateway(self, *options, under=(), environment=None):
        """A fresh gateway, so that its peak of memory is this scenario's.

        `under` are words before its program, such as a profiler; `environment` is added to its.
        """
        self.stop_gateway()
        self.options_used.update(option for option in options if option.startswith("--"))
        output = self.path("gateway.out")
        with open(output, "w", encoding="utf-8") as out, \
                open(self.path("gateway.log"), "a", encoding="utf-8") as log:
            self.gateway = self.spawn(
                [*under, self.gateway_program, "serve", "--listen", "127.0.0.1:0",
                 "--primary-dsn", self.dsn, "--log-level", "warning", *options],
                stdout=out, stderr=log, stdin=subprocess.DEVNULL,
                env={**self.clean_environment(), **(environment or {})},
            )
        for _ in range(300):
            with open(output, encoding="utf-8") as file:
                found = re.search(r"^listening on (.+)$", file.read(), re.M)
            if found:
                self.address = found[1]
                return
            if self.gateway.poll() is not None:
                break
            time.sleep(0.1)
        raise BenchError(f"the gateway did not start; see {self.path('gateway.log')}")

    @staticmethod
    def clean_environment():
        """Without settings of a gateway of the caller's own."""
        return {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}

    def stop_gateway(self):
        if self.gateway is not None:
            end(self.gateway, 20)
        self.gateway = None

    # ---- The database ----

    def sql(self, *statements, admin=False, timeout=600):
        dsn = self.environment["SLUICE_STACK_PRIMARY_ADMIN_DSN"] if admin else self.dsn
        # The role's own statement_timeout is made for reads.
        statements = ("SET statement_timeout = 0", *statements)
        words = [word for statement in statements for word in ("-c", statement)]
        command = [os.path.join(self.programs, "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", dsn]
        return run(command + words, timeout).strip()

    def empty(self):
        """A young table, and no checkpoint or log to write that an earlier arm left behind.

        An empty table has its first 128 pages summarised in the BRIN index already, and until they
        are full every row costs some 80 us there (see NOTES.md): 20,000 rows take us past that, so
        that no arm pays for it, whatever its own warm-up.
        """
        self.sql("TRUNCATE sluice.entity_values, bench_commit")
        self.fill(20_000, 1_600_000_000_000_000)
        self.checkpoint()

    def fill(self, rows, base):
        """Rows as ingest would leave them, made in the server."""
        self.sql(
            "INSERT INTO sluice.entity_values"
            " (entity_id, observed_at, tenant_id, attribute_id, number)"
            f" SELECT 1 + i % 1000, to_timestamp({base} / 1e6) + i * interval '100 us', 1,"
            f" 1 + (i / 1000) % 10, i * 0.5 FROM generate_series(0, {rows - 1}) AS i",
            timeout=3600)

    def checkpoint(self):
        self.sql("CHECKPOINT", admin=True)

    def meter(self, **parties):
        parties = {**self.parties, **parties}
        parties["postgres"] = lambda: processes.server_seconds(self.postmaster)
        if self.gateway is not None:
            pid = self.gateway.pid
            parties["gateway"] = lambda: processes.processor_seconds(pid)
        return processes.Meter(parties)

    def redis(self):
        """The process of the stack's Redis."""
        host, port = self.environment["SLUICE_REDIS"].rsplit(":", 1)
        output = run(["redis-cli", "-h", host, "-p", port, "info", "server"])
        return int(re.search(r"process_id:(\d+)", output)[1])

    # ---- Ours ----

    def bench(self, mode, timeout=120, **settings):
        """One run of the load generator against the gateway: its result, with what it cost."""
        words = [f"{name}={value}" for name, value in settings.items()]
        process = self.spawn(
            [self.bench_program, mode, f"gateway={self.address}", *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            env=self.clean_environment(),
        )
        meter = self.meter(client=lambda: processes.processor_seconds(process.pid))
        extra = {}
        try:
            for line in lines(process, timeout):
                event = json.loads(line)
                kind = event.pop("event")
                if kind == "begin":
                    meter.start()
                    counted = self.counter() if self.counter else 0
                    if event.get("waits"):
                        process.stdin.write("\n")
                        process.stdin.flush()
                elif kind == "end":
                    if self.counter:
                        extra["counted"] = self.counter() - counted
                    extra["cpu_seconds"] = meter.stop()
                    extra["peak_rss_bytes"] = {
                        "client": processes.memory(process.pid),
                        "gateway": processes.memory(self.gateway.pid),
                    }
                    process.stdin.write("\n")
                    process.stdin.flush()
                elif kind == "error":
                    raise BenchError(f"bench {mode} {' '.join(words)}: {event['reason']}")
                elif kind == "result":
                    return {**event, **extra}
        finally:
            process.kill()
            process.wait()
        raise BenchError(f"bench {mode} {' '.join(words)} ended without a result")

    def rows_file(self, name, **settings):
        """A file for COPY BINARY with the rows that `bench` would send."""
        path = self.path(name)
        self.bench("rows", file=path, **settings)
        return path

    # ---- Peers ----

    def copy(self, files, timeout=300):
        """psql COPY BINARY of the files, each on its own connection, all at once."""
        statement = f"\\copy sluice.entity_values ({COLUMNS}) from '%s' (format binary)"
        meter = self.meter(client=processes.children_seconds)
        meter.start()
        copies = [
            self.spawn(
                [os.path.join(self.programs, "psql"), "-Xq", "-v", "ON_ERROR_STOP=1", self.dsn,
                 "-c", "\\timing on", "-c", statement % file],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                text=True,
            )
            for file in files
        ]
        longest = 0.0
        for process in copies:
            output = process.communicate(timeout=timeout)[0]
            # As psql itself times the COPY: neither its start nor its connecting count.
            found = re.search(r"Time: ([\d.]+) ms", output)
            if process.returncode or not found:
                raise BenchError(f"psql COPY failed: {output}")
            longest = max(longest, float(found[1]) / 1000)
        return {"seconds": longest, "cpu_seconds": meter.stop(), "peak_rss_bytes": {}}

    def copies(self, file, per_second, seconds):
        """COPYs of one file by 8 clients, so many a second.

        The server reads the file itself: nothing is sent, checked or counted.
        """
        return self.pgbench(
            f"COPY sluice.entity_values ({COLUMNS}) FROM '{file}' (FORMAT binary);\n", 8, seconds,
            dsn=self.environment["SLUICE_STACK_PRIMARY_ADMIN_DSN"], protocol="simple",
            per_second=per_second)

    def pgbench(self, script, clients, seconds, sampling=1.0, dsn=None, protocol="prepared",
                per_second=None, **variables):
        """pgbench with a script of our own: rate without connecting, and latencies.

        With `per_second` it begins so many transactions a second, at random times, and latency runs
        from the time each was due.
        """
        path = self.path("script.sql")
        with open(path, "w", encoding="utf-8") as file:
            file.write(script)
        with tempfile.TemporaryDirectory(dir=self.folder) as logs:
            meter = self.meter(client=processes.children_seconds)
            meter.start()
            output = run(
                [os.path.join(self.programs, "pgbench"), "-n", "-M", protocol, "-f", path,
                 "-c", str(clients), "-j", str(min(2, clients)), "-T", str(max(1, round(seconds))),
                 "-l", f"--sampling-rate={sampling}", "--log-prefix", os.path.join(logs, "log"),
                 *([f"--rate={per_second}"] if per_second else []),
                 *[f"-D{name}={value}" for name, value in variables.items()],
                 dsn or self.dsn],
                timeout=seconds + 60,
            )
            used = meter.stop()
            latencies = []
            for name in os.listdir(logs):
                with open(os.path.join(logs, name), encoding="utf-8") as file:
                    latencies += [int(line.split(" ", 3)[2]) for line in file]
        found = re.search(r"^tps = ([\d.]+) \(without initial", output, re.M)
        # On a machine that is very busy a short run may not get beyond connecting.
        if not found or not latencies:
            raise BenchError(f"pgbench did nothing in its time: {output}")
        return {
            "rate": float(found[1]), "seconds": seconds, "clients": clients,
            "curve_us": curve(latencies), "latencies": len(latencies),
            "cpu_seconds": used, "peak_rss_bytes": {},
        }

    def best_pgbench(self, script, plan, **options):
        """The best rate over 8 to 64 clients, as a fair peer deserves."""
        clients = (8,) if plan.is_quick else (8, 16, 32, 64)
        runs = [self.pgbench(script, count, plan.seconds, **options) for count in clients]
        return max(runs, key=lambda one: one["rate"])


POINTS = (0, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.9, 99.95, 99.99, 100)


def curve(latencies):
    """Pairs of percentile and value, by nearest rank."""
    ordered = sorted(latencies)
    last = len(ordered) - 1
    return [[p, ordered[min(last, max(0, math.ceil(len(ordered) * p / 100) - 1))]] for p in POINTS]


def lines(process, timeout):
    """Lines of a process as they come; it is an error when none comes for too long."""
    end = time.monotonic() + timeout
    # Read past Python's own buffer, which `select` does not know of.
    descriptor, rest = process.stdout.fileno(), b""
    while True:
        ready, _, _ = select.select([descriptor], [], [], max(0, end - time.monotonic()))
        if not ready:
            raise BenchError(f"no answer within {timeout} s")
        block = os.read(descriptor, 1 << 20)
        if not block:
            return
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield line.decode()
