"""A disk so small that it can be full: a tmpfs, and a file that takes the rest of it."""

import os
import subprocess
from contextlib import contextmanager

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
        filler = self.folder / "filler"
        try:
            self._fill(filler, leaving)
            yield
        finally:
            filler.unlink()

    def _fill(self, filler, leaving):
        with open(filler, "wb", buffering=0) as file:
            if leaving:
                state = os.statvfs(self.folder)
                size = max(0, state.f_bavail * state.f_bsize - leaving)
                os.posix_fallocate(file.fileno(), 0, size)
                return
            piece = bytes(1 << 16)
            while True:
                try:
                    file.write(piece)
                except OSError:
                    return

    def remove(self):
        subprocess.run(["umount", "--lazy", self.folder], capture_output=True, check=False)
