"""`sluice import` is killed at any moment and started again."""

from processes import Process, environment
from producers import BASE_MICROSECONDS, Promise
from registry import fault

POINTS = 300_000


class Import(Process):
    """Imports a file of numbers and remembers in another how far it has come."""

    def __init__(self, world, lane):
        name = f"import-{lane}-{world.producers[0].id}"
        super().__init__(world.folder / f"{name}.log")
        self.world = world
        self.lane = lane
        self.key = name
        self.file = world.folder / f"{name}.csv"
        self.state = world.folder / f"{name}.state"

    def write_file(self):
        with open(self.file, "w", encoding="ascii") as file:
            file.write("time,fault\n")
            for n in range(1, POINTS + 1):
                file.write(f"{BASE_MICROSECONDS + n},{n * 0.5}\n")

    def start(self):
        addresses = ",".join(gateway.address for gateway in self.world.gateways)
        self.launch(
            [self.world.binaries / "sluice", "import", self.file, "--precision", "us",
             "--types", "fault=number", "--entity", self.key, "--state", self.state,
             "--gateway", addresses] + (["--staged"] if self.lane == "staged" else []),
            env=environment())


@fault()
def import_killed(world, dice):
    """Every point of the file is written once, however often the import dies."""
    job = Import(world, world.producers[0].lane)
    job.write_file()
    kills = 0
    while True:
        job.start()
        if kills == 6:
            job.child.wait(timeout=120)
            break
        world.pause(dice.uniform(0.05, 1.0))
        if not job.runs:
            break
        job.kill()
        kills += 1
    if job.child.returncode != 0:
        raise AssertionError(f"the import failed: {job.log_text()[-1000:]}")
    world.note(f"killed {kills} times")
    world.witnesses.append(Promise(world.entity(job.key), durable=POINTS, finished=True))
