"""A disk so small that it can be full: a tmpfs, and a file that takes the rest of it."""

import os
import subprocess
from contextlib import contextmanager, suppress

from world import Skipped


class SmallDisk:
    """Mounted on a folder of its own; needs root."""

    def __init__(self, folder, megabytes):
        self.folder = folder
        if os.geteuid() != 0:
            raise Skipped("a small disk can only be mounted by root")
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", folder],
            capture_output=True, text=True, check=False)
        if done.returncode:
            raise Skipped(f"a small disk cannot be mounted here: {done.stderr.strip()}")

    @contextmanager
    def full(self, leaving=0):
        """Takes all room but a few bytes, then gives it back."""
        try:
            if leaving:
                self._reserve(leaving)
            else:
                self.top_up()
            yield
        finally:
            self._filler.unlink()

    def top_up(self):
        """Takes what has become free meanwhile, to the last page."""
        with open(self._filler, "ab", buffering=0) as file:
            for piece in (bytes(1 << 16), bytes(1 << 10)):
                with suppress(OSError):
                    while True:
                        file.write(piece)

    def _reserve(self, leaving):
        state = os.statvfs(self.folder)
        with open(self._filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_bsize - leaving)

    @property
    def _filler(self):
        return self.folder / "filler"

    def remove(self):
        subprocess.run(["umount", "--lazy", self.folder], capture_output=True, check=False)
