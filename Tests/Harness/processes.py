"""Children that are started, signalled and waited for by their own pid."""

import os
import resource
import select
import signal
import subprocess
import time


class Process:
    """A child whose output goes to a log."""

    def __init__(self, log):
        self.log = log
        self.child = None

    def launch(self, arguments, **options):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                [str(argument) for argument in arguments], stdout=options.pop("stdout", log),
                stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, **options)

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

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Gateway(Process):
    """A gateway that keeps its port over restarts."""

    def __init__(self, world, index, *options, descriptors=None):
        super().__init__(world.folder / f"gateway-{index}.log")
        self.world = world
        self.options = options
        self.descriptors = descriptors
        self.port = None
        self.peak_of_the_dead = 0

    def start(self):
        for _ in range(50):
            self.launch(
                [self.world.gateway_binary, "serve", "--listen", f"127.0.0.1:{self.port or 0}",
                 "--workers", "2", "--drain-grace", "8s", *self.options],
                stdout=subprocess.PIPE, env=environment(SLUICE_PRIMARY_DSN=self.world.dsn),
                preexec_fn=self._limit if self.descriptors else None)
            ready, _, _ = select.select([self.child.stdout], [], [], 20)
            line = self.child.stdout.readline().decode() if ready else ""
            if line.startswith("listening on"):
                self.port = int(line.rsplit(":", 1)[1])
                return
            # The database may be starting again: a gateway does not start without it.
            self.child.wait(timeout=20)
            time.sleep(0.2)
        raise AssertionError(f"a gateway does not start; see {self.log}")

    def kill(self):
        self.note_peak()
        super().kill()

    def stop(self, seconds):
        self.note_peak()
        return super().stop(seconds)

    def drain(self):
        return self.stop(15)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def memory_bytes(self, field="VmRSS"):
        """What the kernel says about its memory."""
        with open(f"/proc/{self.child.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) << 10
        return 0

    def peak_bytes(self):
        """The largest memory it had in this case, in any of its lives."""
        return max(self.peak_of_the_dead, self.memory_bytes("VmHWM") if self.runs else 0)

    def note_peak(self):
        self.peak_of_the_dead = self.peak_bytes()

    def forget_peak(self):
        self.peak_of_the_dead = 0
        if self.runs:
            with open(f"/proc/{self.child.pid}/clear_refs", "w", encoding="ascii") as file:
                file.write("5")

    def _limit(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors, self.descriptors))


def environment(**more):
    """The environment without what the caller set for a gateway of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
    return {**kept, **more}


def run(*arguments):
    """Runs a program to its end; raises with what it wrote when it fails."""
    done = subprocess.run(
        [str(argument) for argument in arguments], capture_output=True, text=True,
        stdin=subprocess.DEVNULL, env=environment(), check=False)
    if done.returncode:
        raise AssertionError(f"{arguments[0]} failed: {done.stderr[-2000:]}")
    return done.stdout


def wait_until(condition, seconds, claim):
    """Polls a condition; raises with the claim when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {claim}")
        time.sleep(0.02)
