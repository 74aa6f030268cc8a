"""What processes used: processor time and memory, as /proc tells."""

import os
import resource
import time

TICK = os.sysconf("SC_CLK_TCK")


def fields(pid):
    """The fields of /proc/PID/stat behind the name, or None when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(") ")[2].split()
    except OSError:
        return None


def processor_seconds(pid):
    """User and system time of one process with all its threads."""
    stat = fields(pid)
    return (int(stat[11]) + int(stat[12])) / TICK if stat else 0.0


def server_seconds(postmaster):
    """The same of a PostgreSQL server: postmaster, children, and children that have ended."""
    while True:
        before = fields(postmaster)
        children = [stat for stat in map(fields, filter(str.isdigit, os.listdir("/proc")))
                    if stat and stat[1] == str(postmaster)]
        after = fields(postmaster)
        if not before or not after:
            return 0.0
        # A child that ended meanwhile would be counted twice or not at all.
        if before[13:15] == after[13:15]:
            return (sum(int(value) for value in after[11:15])
                    + sum(int(stat[11]) + int(stat[12]) for stat in children)) / TICK


def children_seconds():
    """The same of this program's children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def everybody_seconds():
    """The same of all processes, with their children that have ended.

    /proc/stat says less: it counts whole ticks by who runs at their end, and work that comes at the
    same pace as ticks is seen always or never.
    """
    stats = map(fields, filter(str.isdigit, os.listdir("/proc")))
    return sum(sum(int(value) for value in stat[11:15]) for stat in stats if stat) / TICK


def stolen_seconds():
    """Time that the machine's host gave to others."""
    with open("/proc/stat", encoding="utf-8") as file:
        return int(file.readline().split()[8]) / TICK


def busy(seconds):
    """How many processors are at work, on average over so many seconds from now on."""
    before = everybody_seconds()
    time.sleep(seconds)
    return (everybody_seconds() - before) / seconds


def memory(pid, key="VmHWM"):
    """Bytes of a line of /proc/PID/status: VmHWM is the highest resident size so far."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            for line in file:
                if line.startswith(key + ":"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class Meter:
    """Processor time of named parties between `start` and `stop`."""

    def __init__(self, parties):
        self.parties = parties
        self.before = {}
        self.machine = (0.0, 0.0)

    def start(self):
        self.machine = (everybody_seconds(), stolen_seconds())
        self.before = {name: read() for name, read in self.parties.items()}

    def stop(self):
        used = {name: round(read() - self.before[name], 3) for name, read in self.parties.items()}
        # Whoever else was busy meanwhile makes the figures worse; the reader shall see it.
        others = everybody_seconds() - self.machine[0] - sum(used.values())
        used["others"] = round(max(0.0, others), 3)
        used["stolen"] = round(stolen_seconds() - self.machine[1], 3)
        return used
