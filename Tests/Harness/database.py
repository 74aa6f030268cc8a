"""The servers of a world, and what can happen to them."""

import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from processes import run, wait_until

ROOT = Path(__file__).resolve().parents[2]
WRITERS = ("write", "stage", "promote")


@contextmanager
def frozen(pids):
    """Processes that do not run for a while."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


class Database:
    """A stack of its own, with or without what stands beside the primary."""

    def __init__(self, folder, replicas=False, warehouse=False, redis=False):
        self.folder = folder
        wanted = {"--no-replicas": replicas, "--no-warehouse": warehouse, "--no-redis": redis}
        self.options = [option for option, is_wanted in wanted.items() if not is_wanted]
        self.up()
        text = (folder / "stack.env").read_text()
        self.environment = dict(re.findall(r"(SLUICE_\w+)='?([^'\n]*)'?", text))
        self.data = Path(self.environment["SLUICE_STACK_DATA"])
        self.sockets = self.environment["SLUICE_STACK_SOCKETS"]
        members = [self.environment["SLUICE_PRIMARY_DSN"]]
        members += [dsn for dsn in self.environment["SLUICE_REPLICA_DSNS"].split(",") if dsn]
        self.ports = [int(dsn.rsplit("port=", 1)[1]) for dsn in members]
        self.primary = 0

    # ---- Addresses: members are numbered, the first primary is 0; others have names ----

    @property
    def dsn(self):
        """What a gateway is given: with replicas, whichever server takes writes."""
        if len(self.ports) == 1:
            return self.environment["SLUICE_PRIMARY_DSN"]
        hosts = ",".join(self.sockets for _ in self.ports)
        ports = ",".join(str(port) for port in self.ports)
        return (f"postgresql://sluice@/sluice?host={hosts}&port={ports}"
                "&target_session_attrs=read-write")

    def admin(self, member=None):
        if member == "warehouse":
            return self.environment["SLUICE_WAREHOUSE_DSN"].replace("//sluice@", "//postgres@")
        port = self.ports[self.primary if member is None else member]
        return f"postgresql://postgres@/sluice?host={self.sockets}&port={port}"

    def folder_of(self, member):
        if isinstance(member, str):
            return self.data / member
        return self.data / ("primary" if member == 0 else f"replica{member}")

    # ---- Life ----

    def up(self):
        run(ROOT / "scripts" / "stack", "up", "--dir", self.folder, *self.options)

    def down(self):
        run(ROOT / "scripts" / "stack", "down", "--dir", self.folder)

    def destroy(self):
        run(ROOT / "scripts" / "stack", "destroy", "--dir", self.folder)

    def subscribe(self):
        """Feeds the warehouse; the schema must be there."""
        run(ROOT / "scripts" / "stack", "subscribe", "--dir", self.folder)

    def restart(self):
        """Immediate stop of the whole server, then a start with crash recovery."""
        self.stop_immediately(0)
        self.up()
        self.wait()

    def stop_immediately(self, member):
        pid = self.postmaster(member)
        os.kill(pid, signal.SIGQUIT)
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), 20, "PostgreSQL stops")

    def wait(self, seconds=30):
        """Waits until it answers."""
        wait_until(self.answers, seconds, "PostgreSQL answers")

    def answers(self):
        try:
            self.sql("SELECT 1")
            return True
        except subprocess.CalledProcessError:
            return False

    def promote(self, member):
        self.sql("SELECT pg_promote()", member=member)
        self.primary = member

    # ---- Processes ----

    def postmaster(self, member=0):
        return int((self.folder_of(member) / "postmaster.pid").read_text().splitlines()[0])

    def processes(self, member=0):
        """Every process that works in the data folder of a member."""
        folder = str(self.folder_of(member))
        pids = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and os.readlink(entry / "cwd") == folder:
                    pids.append(int(entry.name))
            except OSError:
                continue
        return pids

    def kill(self, member):
        """All processes of a member at once, without a word."""
        pids = self.processes(member)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 20,
                   f"{member} is gone")

    def stalled(self, member=0):
        """Nothing of it runs: connections stand, nobody answers."""
        return frozen(self.processes(member))

    def process(self, member, kind):
        """The one process of a kind: "startup", which replays, or "walreceiver"."""
        pids = self.sql(
            f"SELECT pid FROM pg_stat_activity WHERE backend_type = '{kind}'", member=member)
        if not pids:
            raise AssertionError(f"{member} has no {kind}")
        return int(pids)

    def backends(self, *roles):
        names = ",".join(f"'sluice/{role}'" for role in roles or WRITERS)
        pids = self.sql(
            f"SELECT pid FROM pg_stat_activity WHERE application_name IN ({names}) ORDER BY pid")
        return [int(pid) for pid in pids.split()]

    def kill_backend(self, dice):
        pids = self.backends()
        if pids:
            os.kill(dice.choice(pids), signal.SIGKILL)
        self.wait()

    def terminate_backend(self, dice):
        pids = self.backends()
        if pids:
            self.sql(f"SELECT pg_terminate_backend({dice.choice(pids)})")

    def stop_backend(self, dice, seconds):
        pid = dice.choice(self.backends())
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    # ---- Standing still at a chosen point ----

    def locked(self, *tables):
        """Holds tables, without their partitions, so that whoever needs them waits."""
        return self._held([f"ONLY sluice.{table} IN ACCESS EXCLUSIVE" for table in tables])

    def sharing(self, table, member):
        """Holds a table so that it can be read and not be written."""
        return self._held([f"sluice.{table} IN SHARE"], member)

    @contextmanager
    def _held(self, locks, member=None):
        statements = "".join(f"LOCK TABLE {lock} MODE;" for lock in locks)
        session = subprocess.Popen(
            ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.admin(member)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        try:
            session.stdin.write(f"BEGIN;{statements}SELECT 'held';\n")
            if session.stdout.readline().strip() != "held":
                raise AssertionError(f"{statements} was not granted")
            yield
        finally:
            session.stdin.close()
            session.wait()
            session.stdout.close()

    @contextmanager
    def commits_held(self):
        """COMMIT is carried out and flushed, but not answered: it waits for a standby that is not
        there."""
        self.set("synchronous_standby_names", "nobody")
        try:
            yield
        finally:
            self.set("synchronous_standby_names", None)

    def set(self, name, value):
        change = f"RESET {name}" if value is None else f"SET {name} = '{value}'"
        self.sql(f"ALTER SYSTEM {change}")
        self.sql("SELECT pg_reload_conf()")

    def wait_standing(self, role, event, query):
        """Waits until a transaction of a role stands where it is meant to."""
        wait_until(
            lambda: self.sql(
                "SELECT 1 FROM pg_stat_activity WHERE state = 'active'"
                f" AND application_name = 'sluice/{role}' AND query LIKE '{query}'"
                f" AND (wait_event = '{event}' OR wait_event_type = '{event}') LIMIT 1"),
            10, f"a transaction of '{role}' waits for {event}")

    def activity(self):
        """What its sessions do, and who waits for whom; for the detail of a failure."""
        try:
            return self.sql(
                "SELECT pid, application_name, state, wait_event_type, wait_event,"
                " pg_blocking_pids(pid), round(extract(epoch FROM now() - query_start), 1),"
                " left(query, 100) FROM pg_stat_activity"
                " WHERE application_name LIKE 'sluice/%' AND state <> 'idle' ORDER BY pid")
        except subprocess.CalledProcessError as error:
            return f"PostgreSQL does not answer: {error.stderr.strip()}"

    def partitions(self):
        """The tables that hold the values."""
        return self.sql(
            "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid"
            " WHERE inhparent = 'sluice.entity_values'::regclass ORDER BY 1").split()

    def segments(self):
        return self.sql("SELECT segment FROM sluice.segment_state ORDER BY 1").split()

    # ---- Tools ----

    def sql(self, text, member=None):
        return subprocess.run(
            ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.admin(member), "-c", text],
            check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout.strip()
