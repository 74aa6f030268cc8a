"""Runs cases one after the other, in a world that is made anew when one has ruined it."""

import os
import random
import subprocess
import tempfile
import time
import traceback
from pathlib import Path

from report import Verdict
from verifier import Verifier
from world import World

# Clients go on for so long before and after a fault.
BEFORE_SECONDS, AFTER_SECONDS = 0.3, 0.4


class Matrix:
    """Runs cases in one world for as long as it lasts."""

    def __init__(self, folder, gateway_binary, progress):
        self.folder = folder
        self.gateway_binary = gateway_binary
        self.progress = progress
        self.world = None
        self.worlds = 0

    def run(self, fault, seed):
        verdict = Verdict(fault.name, seed)
        began = time.monotonic()
        try:
            self._run(fault, seed, verdict)
        except (AssertionError, OSError, subprocess.CalledProcessError) as error:
            verdict.detail += traceback.format_exc()
            if isinstance(error, subprocess.CalledProcessError):
                verdict.detail += str(error.stderr)
        if not verdict.is_good and self.world:
            verdict.detail += self.world.last_words()
        if fault.ruins or not verdict.is_good:
            self.close()
        verdict.seconds = round(time.monotonic() - began, 1)
        return verdict

    def close(self):
        if self.world:
            self.world.close()
            self.world = None

    def _run(self, fault, seed, verdict):
        world = self._world()
        self.progress.begin(fault.name, fault.seconds + BEFORE_SECONDS + AFTER_SECONDS)
        world.begin(f"{seed}/{fault.name}")
        world.pause(BEFORE_SECONDS)
        fault.inject(world, random.Random(f"{seed}/{fault.name}"))
        world.pause(AFTER_SECONDS)
        world.finish()
        verdict.count(world)
        verifier = Verifier(world)
        verdict.lost = verifier.lost_count()
        verdict.judge(verifier.run())

    def _world(self):
        if self.world is None:
            self.worlds += 1
            self.world = World(
                self.folder / f"world-{self.worlds}", self.gateway_binary, self.progress)
        return self.world


def run_matrix(faults, seed, report, minutes=0, gateway_binary=None, stops=True):
    """Runs the cases, round after round; stops at the first that fails."""
    deadline = time.monotonic() + minutes * 60
    binary = gateway_binary or f"{os.environ['SLUICE_TEST_BINARIES']}/sluice"
    with tempfile.TemporaryDirectory(prefix="sluice-freshness-") as name:
        os.chmod(name, 0o755)
        matrix = Matrix(Path(name), binary, report.progress)
        try:
            while True:
                for fault in faults:
                    report.add(matrix.run(fault, seed))
                    if report.failed and stops:
                        return
                seed += 1
                if time.monotonic() >= deadline:
                    return
        finally:
            matrix.close()
