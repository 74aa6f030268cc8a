"""What a run prints: a line for every case, a bar while it runs, and the sum of all."""

import json
import sys
import time
from dataclasses import asdict, dataclass, field

from journal import SOURCES

COLUMNS = ("writes", "reads", "primary", "replica", "cache", "analytics", "degraded", "errors")
HEAD = f"{'fault':<26}" + "".join(f"{name:>10}" for name in COLUMNS) + f"{'violations':>12}"
SHOWN = 8


@dataclass
class Verdict:
    """How one case ended."""

    fault: str
    seed: int
    seconds: float = 0.0
    writes: int = 0
    lost: int = 0
    reads: int = 0
    primary: int = 0
    replica: int = 0
    cache: int = 0
    analytics: int = 0
    degraded: int = 0
    errors: int = 0
    violations: int = 0
    rules: list = field(default_factory=list)
    reasons: dict = field(default_factory=dict)
    detail: str = ""
    notes: list = field(default_factory=list)

    @property
    def is_good(self):
        return not self.violations and not self.detail

    def count(self, world):
        """Adds up what a case has written down."""
        journal = world.journal
        self.writes = sum(
            write.acked is not None for entity in world.entities for write in entity.writes)
        self.reads = len(journal.reads)
        for read in journal.reads:
            name = SOURCES[read.source]
            setattr(self, name, getattr(self, name) + 1)
            self.degraded += read.degraded
        self.reasons = journal.count_errors()
        self.errors = len(journal.errors)
        self.notes = world.notes

    def judge(self, violations):
        self.violations = len(violations)
        self.rules = sorted({violation.rule for violation in violations})
        self.detail = "".join(f"  {violation}\n" for violation in violations[:SHOWN])
        if len(violations) > SHOWN:
            self.detail += f"  and {len(violations) - SHOWN} more\n"

    def row(self):
        counts = "".join(f"{getattr(self, name):>10,}" for name in COLUMNS)
        end = "ok" if self.is_good else "FAILED"
        lost = [f"{self.lost} lost by the failover"] if self.lost else []
        return "  ".join(
            [f"{self.fault:<26}{counts}{self.violations:>12}", end, *lost, *self.notes])


class Progress:
    """A line that is written over and over, where somebody looks."""

    WIDTH = 24

    def __init__(self):
        self.is_shown = sys.stderr.isatty()
        self.title, self.began, self.seconds = "", 0.0, 1.0

    def begin(self, title, seconds):
        self.title, self.began, self.seconds = title, time.monotonic(), seconds

    def show(self, journal):
        if not self.is_shown:
            return
        share = min(1.0, (time.monotonic() - self.began) / self.seconds)
        bar = "#" * round(share * self.WIDTH)
        sys.stderr.write(
            f"\r{self.title:<26}[{bar:<{self.WIDTH}}] {len(journal.reads):,} reads\x1b[K")
        sys.stderr.flush()

    def clear(self):
        if self.is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


class Report:
    """Prints verdicts as they come and knows how the run went."""

    def __init__(self, as_json):
        self.as_json = as_json
        self.verdicts = []
        self.progress = Progress()

    def begin(self, seed):
        print(f"seed {seed}; the same seed replays the same plan", flush=True)
        if not self.as_json:
            print(HEAD, flush=True)

    def add(self, verdict):
        self.progress.clear()
        self.verdicts.append(verdict)
        print(json.dumps(asdict(verdict)) if self.as_json else verdict.row(), flush=True)
        if not verdict.is_good and not self.as_json:
            print(f"seed {verdict.seed}\n{verdict.detail}", flush=True)

    @property
    def failed(self):
        return [each for each in self.verdicts if not each.is_good]

    def end(self):
        """Prints the sums; whether the run was good."""
        sums = {name: sum(getattr(each, name) for each in self.verdicts)
                for name in (*COLUMNS, "violations")}
        text = ", ".join(f"{count:,} {name}" for name, count in sums.items())
        print(f"{len(self.verdicts)} cases: {text}")
        reasons = {}
        for verdict in self.verdicts:
            for reason, count in verdict.reasons.items():
                reasons[reason] = reasons.get(reason, 0) + count
        if reasons:
            print("errors:", ", ".join(f"{count:,} {reason}" for reason, count in sorted(
                reasons.items(), key=lambda item: -item[1])))
        # A source that never answered was not checked, whatever the table says.
        silent = [name for name in SOURCES.values() if not sums[name]]
        if silent:
            print(f"FAILED: no read was answered by {', '.join(silent)}")
        failed = len(self.failed) + bool(silent)
        print(f"{len(self.verdicts) - len(self.failed)} passed, {failed} failed")
        return not failed
