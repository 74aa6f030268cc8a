"""Runs cases one after the other, each in a world that is fit for it."""

import os
import random
import subprocess
import tempfile
import time
import traceback
from pathlib import Path

from report import Verdict
from world import Skipped, World


class Matrix:
    """Runs cases in one world, or in one of their own for those that would ruin it."""

    def __init__(self, folder, binaries, gateway_binary):
        self.folder = folder
        self.binaries = binaries
        self.gateway_binary = gateway_binary
        self.shared = None
        self.own_count = 0

    def run(self, fault, lane, seed):
        verdict = Verdict(fault.name, lane, seed)
        began = time.monotonic()
        world = None
        try:
            world = self._world(fault)
            self._run(fault, world, lane, random.Random(f"{seed}/{fault.name}/{lane}"), verdict)
        except Skipped as reason:
            verdict.skipped = str(reason)
        except (AssertionError, OSError, subprocess.CalledProcessError):
            verdict.detail += traceback.format_exc()
        finally:
            if world and not verdict.is_good and not verdict.skipped:
                verdict.detail += world.last_words()
            self._leave(fault, world)
            verdict.seconds = round(time.monotonic() - began, 1)
        return verdict

    def close(self):
        if self.shared:
            self.shared.close()

    def _run(self, fault, world, lane, dice, verdict):
        world.begin(fault.producers, lane, fault.uses_link)
        fault.inject(world, dice)
        verdict.settled, seconds = world.settle()
        verdict.recovery_seconds = round(seconds, 2)
        verdict.memory_bytes = world.peak_bytes()
        verdict.notes = world.notes
        sums = world.check()
        for name, value in vars(sums).items():
            setattr(verdict, name, value)

    def _world(self, fault):
        if fault.make_world:
            self.own_count += 1
            folder = self.folder / f"own-{self.own_count}"
            return fault.make_world(folder, self.binaries, self.gateway_binary)
        if not self.shared:
            self.shared = World(self.folder / "shared", self.binaries, self.gateway_binary)
        return self.shared

    def _leave(self, fault, world):
        if world is None:
            return
        if fault.make_world:
            world.close()
        else:
            world.end()


def run_matrix(pairs, seed, report, minutes=0, gateway_binary=None):
    """Runs the cases, round after round; stops at the first that fails."""
    deadline = time.monotonic() + minutes * 60
    with tempfile.TemporaryDirectory(prefix="sluice-faults-") as name:
        os.chmod(name, 0o755)
        matrix = Matrix(Path(name), os.environ["SLUICE_TEST_BINARIES"], gateway_binary)
        try:
            while not report.failed:
                for fault, lane in pairs:
                    report.add(matrix.run(fault, lane, seed))
                    if report.failed:
                        return
                seed += 1
                if time.monotonic() >= deadline:
                    return
        finally:
            matrix.close()
