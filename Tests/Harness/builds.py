"""Gateways that are wrong on purpose, to test those who look for what is wrong."""

import subprocess
import sys

from database import ROOT


def build(condition):
    """A gateway with the condition, in a scratch folder of its own."""
    folder = ROOT / ".build" / condition.removeprefix("SLUICE_").lower().replace("_", "-")
    command = ["swift", "build", "--package-path", ROOT, "--product", "sluice",
               "--scratch-path", folder, "-Xswiftc", f"-D{condition}"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    shown = subprocess.run(
        [*command, "--show-bin-path"], check=True, capture_output=True, text=True)
    return f"{shown.stdout.strip()}/sluice"
