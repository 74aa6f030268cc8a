"""No space left: under PostgreSQL's tables, under its log, and under the clients' spools."""

import json
import shutil
import signal

from disk import SmallDisk
from processes import Process, environment, wait_until
from producers import Producer
from registry import fault, own_world
from world import PRODUCERS

FULL = "No space left on device"
# Two gateways of two workers, whose lanes have three connections each.
SENTENCES_MAX = 12


# ---- Under PostgreSQL ----


def tables_on_a_small_disk(world):
    """Puts every table that is made from now on into a tablespace of its own."""
    disk = SmallDisk(world.database.data / "small", 400)
    shutil.chown(disk.folder, *owner(world))
    world.sql(f"CREATE TABLESPACE small LOCATION '{disk.folder}'")
    world.sql("GRANT CREATE ON TABLESPACE small TO sluice")
    world.sql("ALTER DATABASE sluice SET default_tablespace = 'small'")
    return disk


def log_on_a_small_disk(world):
    """Moves pg_wal to a disk of its own."""
    disk = SmallDisk(world.database.data / "small", 1_000)
    shutil.chown(disk.folder, *owner(world))
    world.database.down()
    place = world.database.folder_of(0) / "pg_wal"
    shutil.copytree(place, disk.folder / "pg_wal")
    shutil.rmtree(place)
    for path in [disk.folder / "pg_wal", *(disk.folder / "pg_wal").rglob("*")]:
        shutil.chown(path, *owner(world))
        path.chmod(0o700 if path.is_dir() else 0o600)
    place.symlink_to(disk.folder / "pg_wal")
    world.database.up()
    return disk


def owner(world):
    state = world.database.folder_of(0).stat()
    return state.st_uid, state.st_gid


def check_alive(world):
    for producer in world.producers:
        if not producer.runs:
            raise AssertionError(f"a producer gave up: {producer.lines('error')}")


def check_log(world):
    """Each connection that writes says once what is wrong, however often it tries again."""
    said = world.logged(FULL)
    if len(said) > SENTENCES_MAX:
        raise AssertionError(f"{len(said)} lines say that the disk is full: {said[-1]}")
    world.note(f"log, {len(said)} lines: {said[0].split(' ', 1)[1][:200]}" if said else "")


@fault(world=own_world(prepare=tables_on_a_small_disk))
def disk_full_under_tables(world, dice):
    """A table cannot grow: PostgreSQL refuses and lives; nobody drops anything."""
    world.pause(dice.uniform(0.3, 0.6))
    with world.disk.full():
        world.wait_logged(FULL, 15)
        world.pause(dice.uniform(1, 3))
        check_alive(world)
        check_log(world)


@fault(world=own_world(prepare=log_on_a_small_disk))
def disk_full_under_log(world, dice):
    """PostgreSQL cannot write its log: it panics, and does not come back while there is no room."""
    world.pause(dice.uniform(0.3, 0.6))
    with world.disk.full():
        server_log = world.database.folder / "log" / "primary.log"
        wait_until(lambda: "PANIC:  could not write to file" in server_log.read_text(), 40,
                   "PostgreSQL panics")
        world.pause(dice.uniform(1, 3))
        check_alive(world)
    world.database.up()
    world.database.wait()
    said = world.logged("warning", "error")
    world.note(f"log: {said[0].split(' ', 1)[1][:160]}" if said else "nothing in the log")


# ---- Under the spools ----


def producers_on_a_small_disk(world, lane):
    world.disk = world.disk or SmallDisk(world.folder / "small", 64)
    return [
        Producer(world, lane, spool=world.disk.folder / f"{lane}-{index}")
        for index in range(PRODUCERS)]


class Agent(Process):
    """`sluice agent` with a spool: measures this host very often."""

    def __init__(self, world, lane):
        super().__init__(world.folder / f"agent-{lane}.log")
        self.world = world
        self.key = f"agent-{lane}-{world.producers[0].id}"
        self.report = world.folder / f"agent-{lane}.json"
        self.lane = lane

    def start(self):
        with open(self.report, "wb") as report:
            self.launch(
                [self.world.binaries / "sluice", "agent", "--json", "--interval", "10ms",
                 "--entity", self.key, "--gateway", self.world.gateways[0].address,
                 "--spool", self.world.disk.folder / f"agent-{self.lane}"]
                + (["--staged"] if self.lane == "staged" else []),
                stdout=report, env=environment())

    def check(self):
        """Ends it; everything that it counts as sent must be stored."""
        status = self.stop(15)
        if status != 0:
            raise AssertionError(f"the agent ended with {status}: {self.log_text()[-500:]}")
        sent = json.loads(self.report.read_text())["values_sent"]
        stored = int(self.world.sql(
            f"SELECT count(*) FROM sluice.entity_values"
            f" WHERE entity_id = {self.world.entity(self.key)}"))
        if sent != stored:
            raise AssertionError(f"the agent sent {sent} values, {stored} are stored")
        self.world.note(f"agent: {sent} values")


def wait_until_at_rest(world):
    """Until no producer has been acknowledged anything for a second."""
    before = None
    for _ in range(30):
        now = [producer.position() for producer in world.producers]
        if now == before:
            return
        before = now
        world.pause(1)
    raise AssertionError("producers with full spools are still sending after 30 s")


@fault(producers=producers_on_a_small_disk, world=own_world())
def disk_full_under_spool(world, dice):
    """No gateway answers, so the spools grow until the disk is full; both say so and wait."""
    agent = Agent(world, world.producers[0].lane)
    agent.start()
    world.pause(dice.uniform(1, 2))
    for gateway in world.gateways:
        gateway.signal(signal.SIGSTOP)
    # Room for less than a segment each, so that no whole segment can be deleted to make more.
    with world.disk.full(leaving=24 << 20):
        wait_until(lambda: all(producer.lines("full") for producer in world.producers), 60,
                   "every producer says that its spool is full")
        wait_until(lambda: "no space for the spool" in agent.log_text(), 30,
                   "the agent says that there is no space")
        world.pause(dice.uniform(0.5, 1))
        # First the gateways come back and take all there is, then comes the room: a spool that has
        # nothing left to keep must not mind that its disk is full.
        world.disk.top_up()
        for gateway in world.gateways:
            gateway.signal(signal.SIGCONT)
        wait_until_at_rest(world)
        check_alive(world)
    world.mended()
    wait_until(lambda: all(producer.lines("room") for producer in world.producers), 10,
               "every producer goes on when there is room")
    agent.check()
