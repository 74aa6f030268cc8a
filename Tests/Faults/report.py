"""What a run prints: a line for every case, and the sum of all."""

import json
from dataclasses import asdict, dataclass, field, replace

HEAD = (f"{'fault':<32} {'lane':<8}{'runs':>5}{'acked':>11}{'lost':>6}{'told':>9}{'doubled':>8}"
        f"{'wrong':>6}{'recovery':>11}{'memory':>9}")


@dataclass
class Verdict:
    """How one case ended in one lane."""

    fault: str
    lane: str
    seed: int
    seconds: float = 0.0
    runs: int = 1
    acked: int = 0
    lost: int = 0
    told: int = 0
    doubled: int = 0
    wrong: int = 0
    recovery_seconds: float = 0.0
    memory_bytes: int = 0
    settled: bool = False
    skipped: str = ""
    detail: str = ""
    notes: list = field(default_factory=list)

    @property
    def is_good(self):
        return (self.settled and not self.skipped and not self.detail
                and not (self.lost or self.doubled or self.wrong))

    def row(self):
        words = (f"{self.fault:<32} {self.lane:<8}{self.runs:>5}{self.acked:>11,}{self.lost:>6}"
                 f"{self.told:>9,}{self.doubled:>8}{self.wrong:>6}{self.recovery_seconds:>9.2f} s"
                 f"{self.memory_bytes >> 20:>5} MiB")
        if self.skipped:
            return f"{self.fault:<32} {self.lane:<8} SKIPPED: {self.skipped}"
        end = "ok" if self.is_good else "FAILED"
        return "  ".join([words, end, *self.notes])


class Report:
    """Prints verdicts as they come and knows how the run went."""

    def __init__(self, as_json):
        self.as_json = as_json
        self.verdicts = []

    def begin(self, seed):
        print(f"seed {seed}; the same seed replays the same plan", flush=True)
        if not self.as_json:
            print(HEAD, flush=True)

    def add(self, verdict):
        verdict.runs = 1 + sum(
            other.fault == verdict.fault and other.lane == verdict.lane
            for other in self.verdicts)
        self.verdicts.append(verdict)
        print(json.dumps(asdict(verdict)) if self.as_json else verdict.row(), flush=True)
        if not verdict.is_good and not verdict.skipped:
            why = "" if verdict.settled else "not everything was durable in time\n"
            print(why + verdict.detail, flush=True)

    @property
    def failed(self):
        return [each for each in self.verdicts if not each.is_good and not each.skipped]

    @property
    def skipped(self):
        return [each for each in self.verdicts if each.skipped]

    def summed(self):
        """One verdict for each case and lane over all rounds, with the worst of each."""
        sums = {}
        for each in self.verdicts:
            if each.skipped:
                continue
            known = sums.get((each.fault, each.lane))
            if known is None:
                sums[each.fault, each.lane] = replace(each, notes=[])
                continue
            for name in ("acked", "lost", "told", "doubled", "wrong"):
                setattr(known, name, getattr(known, name) + getattr(each, name))
            for name in ("runs", "recovery_seconds", "memory_bytes"):
                setattr(known, name, max(getattr(known, name), getattr(each, name)))
            known.settled = known.settled and each.settled
            known.detail += each.detail
        return sums.values()

    def end(self):
        """Prints the sums; whether the run was good."""
        if not self.as_json and any(each.runs > 1 for each in self.verdicts):
            print(f"\nall rounds, with the worst recovery and memory of each case\n{HEAD}")
            print("\n".join(each.row() for each in self.summed()))
        ran = [each for each in self.verdicts if not each.skipped]
        worst = max((each.recovery_seconds for each in ran), default=0)
        memory = max((each.memory_bytes for each in ran), default=0)
        acked, lost, doubled = (
            sum(getattr(each, name) for each in ran) for name in ("acked", "lost", "doubled"))
        print(f"{len(ran)} faults, {acked:,} values acknowledged, {lost} lost, {doubled} doubled,"
              f" worst recovery {worst:.2f} s, memory of a gateway at most {memory >> 20} MiB")
        if self.skipped:
            print(f"{len(self.skipped)} SKIPPED, which proves nothing about them")
        passed = len(ran) - len(self.failed)
        print(f"{passed} passed, {len(self.failed)} failed")
        return passed > 0 and not self.failed
