"""Compares what answers held with what they had to hold.

Every rule takes the sound side of each interval: a write counts from when its ack was received, a
read from before it was sent. What is found is therefore wrong in every order of events.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from journal import (
    ANALYTICS, AT_LEAST, CACHE, EVENTUAL, LEVELS, PRIMARY, REPLICA, SOURCES, STRONG, WAREHOUSE,
    Token)

MILLISECOND = 1_000_000
ALLOWED_SOURCES = {
    STRONG: {PRIMARY},
    AT_LEAST: {PRIMARY, REPLICA, CACHE},
    EVENTUAL: {PRIMARY, REPLICA, CACHE},
    ANALYTICS: {WAREHOUSE, CACHE},
}


@dataclass
class Violation:
    """One answer that breaks one rule."""

    rule: str
    read: object
    detail: str

    def __str__(self):
        read = self.read
        if read is None:
            return f"{self.rule}: {self.detail}"
        words = f"{self.rule}: {read.reader}, {read.method} {LEVELS[read.asked.level]}"
        if read.asked.level in (EVENTUAL, ANALYTICS):
            words += f" {read.asked.bound_ms} ms"
        if read.asked.level == AT_LEAST:
            words += f" {Token.of(read.asked.token)}"
        words += (f", from {read.node} ({SOURCES[read.source]}) as of {Token.of(read.as_of)},"
                  f" at most {read.bound_ms} ms old")
        words += ", degraded" if read.degraded else ""
        took = (read.ended - read.began) / MILLISECOND
        return f"{words}, took {took:.1f} ms: {self.detail}"


class Steps:
    """The highest number up to a place, of numbers that were each put at a place."""

    def __init__(self, pairs):
        self.places, self.highest = [], []
        for place, number in sorted(pairs):
            self.places.append(place)
            self.highest.append(max(number, self.highest[-1] if self.highest else 0))

    def before(self, place):
        index = bisect_left(self.places, place)
        return self.highest[index - 1] if index else 0

    def up_to(self, place):
        index = bisect_right(self.places, place)
        return self.highest[index - 1] if index else 0


class Truth:
    """What became of the writes into one entity, seen from one timeline."""

    def __init__(self, writes, identity, lost):
        # What a failover lost is owed by the timeline that had it, and by no other.
        self.writes = [
            write for write in writes if write.number not in lost
            or (write.token and Token.of(write.token).identity == identity)]
        self.lost = lost - {write.number for write in self.writes}
        self.by_ack = Steps((w.acked, w.number) for w in self.writes if w.acked)
        self.by_staging = Steps((w.staged, w.number) for w in self.writes if w.staged)
        tokens = [(Token.of(w.token), w.number) for w in self.writes if w.token]
        # Survivors of an older timeline lie before its end, which the newer one goes on from.
        self.by_position = Steps(
            (token.lsn, number) for token, number in tokens
            if token.cluster == identity[0] and token.timeline <= identity[1])


class Verifier:
    """Judges a case when it is over."""

    def __init__(self, world):
        self.journal = world.journal
        self.entities = world.entities
        self.failover = world.failover
        self.violations = []
        self.lost = self._check_writes(world.stored())
        self.truths = {}

    def run(self):
        """All violations."""
        for read in self.journal.reads:
            self._check_claims(read)
            for seen in read.seen:
                self._check_seen(read, seen)
        self._check_sessions()
        for text in self.journal.unexpected:
            self._add("an answer that no fault explains", None, text)
        return self.violations

    def _add(self, rule, read, detail):
        self.violations.append(Violation(rule, read, detail))

    # ---- Writes ----

    def _check_writes(self, stored):
        """What was acknowledged is stored, what was refused is not; returns what was lost."""
        lost = {}
        for entity in self.entities:
            numbers = stored.get(entity.key, set())
            for write in entity.writes:
                if write.refused and write.number in numbers:
                    self._add("a refused write is stored", None,
                              f"{entity.key} {write.number}: {write.refused}")
                if write.acked and write.number not in numbers:
                    lost.setdefault(entity.key, set()).add(write.number)
                    if not self._may_be_lost(write):
                        self._add("an acknowledged write is gone", None,
                                  f"{entity.key} {write.number}")
        return lost

    def _may_be_lost(self, write):
        """Whether a replica that was promoted did not have it."""
        if self.failover is None:
            return False
        timeline, fork = self.failover
        if not write.token:
            return True
        token = Token.of(write.token)
        return token.timeline < timeline and token.lsn > fork

    def lost_count(self):
        return sum(len(numbers) for numbers in self.lost.values())

    def _truth(self, entity, identity):
        key = (entity.key, identity)
        if key not in self.truths:
            lost = self.lost.get(entity.key, set())
            self.truths[key] = Truth(entity.writes, identity, lost)
        return self.truths[key]

    # ---- Answers ----

    def _check_claims(self, read):
        """What the proof says of itself."""
        asked, as_of = read.asked, Token.of(read.as_of)
        sources = {PRIMARY} if asked.with_staged else ALLOWED_SOURCES[asked.level]
        if read.source not in sources:
            self._add("a source that the level does not allow", read, "")
        if read.degraded:
            if not asked.may_degrade:
                self._add("degraded without leave", read, "")
            return
        took_ms = (read.ended - read.began) / MILLISECOND
        if asked.level in (EVENTUAL, ANALYTICS) and read.bound_ms > asked.bound_ms + took_ms + 1:
            self._add("older than asked for, by its own claim", read, "")
        for token in self._tokens(asked):
            if token.identity == as_of.identity and token.lsn > as_of.lsn:
                self._add("a token that the answer does not hold", read, str(token))

    @staticmethod
    def _tokens(asked):
        """Everything that the answer must hold, by position."""
        given = [*asked.floors, asked.written]
        if asked.level == AT_LEAST:
            given.append(asked.token)
        return [Token.of(token) for token in given if token]

    def _check_seen(self, read, seen):
        truth = self._truth(seen.entity, Token.of(read.as_of).identity)
        if seen.low > len(seen.entity.writes) or (
                seen.low and seen.entity.writes[seen.low - 1].began > read.ended):
            self._add("from the future", read, f"{seen.entity.key}: {seen.low}")
        if seen.low in truth.lost:
            self._add("a lost write on a timeline without it", read,
                      f"{seen.entity.key}: {seen.low}")
        for rule, number in self._owed(read, truth):
            if number > seen.high:
                write = seen.entity.writes[number - 1]
                self._add(rule, read, self._miss(read, seen, write))
        if seen.numbers is not None:
            self._check_history(read, seen, truth)

    @staticmethod
    def _miss(read, seen, write):
        text = f"{seen.entity.key} is {seen.high}, at least {write.number} was owed"
        if write.acked:
            text += f"; acknowledged {(read.began - write.acked) / MILLISECOND:.1f} ms before"
        if write.token:
            text += f", {Token.of(write.token)}"
        return text

    def _owed(self, read, truth):
        """Each rule with the number that it asks for."""
        asked = read.asked
        as_of = Token.of(read.as_of)
        yield "staler than claimed", truth.by_ack.before(
            read.began - read.bound_ms * MILLISECOND)
        yield "not as of its token", self._held_up_to(as_of, read, truth)
        if read.degraded:
            return
        for token in self._tokens(asked):
            if token.identity == as_of.identity:
                yield "a token's writes are missing", self._held_up_to(token, read, truth)
        if asked.level == STRONG:
            yield "STRONG misses a write", truth.by_ack.before(read.began)
        elif asked.level in (EVENTUAL, ANALYTICS):
            yield f"{LEVELS[asked.level]} is older than asked for", truth.by_ack.before(
                read.began - asked.bound_ms * MILLISECOND)
        if asked.with_staged and self.failover is None:
            yield "a staged write is missing", truth.by_staging.before(read.began)

    @staticmethod
    def _held_up_to(token, read, truth):
        """What an answer holds that reaches a position.

        On the primary a commit that is flushed can still be invisible, until it is acknowledged:
        what came from there only holds what had been acknowledged.
        """
        if read.source in (REPLICA, WAREHOUSE):
            return truth.by_position.up_to(token.lsn)
        return min(truth.by_position.up_to(token.lsn), truth.by_ack.before(read.began))

    def _check_history(self, read, seen, truth):
        """All of it: no hole in what had to be there."""
        moment = read.began - read.bound_ms * MILLISECOND
        for write in truth.writes:
            if write.acked and write.acked < moment and write.number not in seen.numbers:
                self._add("a hole in history", read, self._miss(read, seen, write))
                return

    @staticmethod
    def _kept(read, entity, number):
        """What a session must see again.

        A replica can show a commit before the primary does, which is not promised away: there it
        counts from its acknowledgement.
        """
        write = entity.writes[number - 1]
        is_known = write.acked is not None and write.acked < read.began
        return number if is_known or read.source in (REPLICA, WAREHOUSE) else 0

    def _check_sessions(self):
        """Sessions that hand on their tokens never go back."""
        highest = {}
        for read in self.journal.reads:
            if read.session is None or read.degraded:
                continue
            for seen in read.seen:
                key = (read.reader, read.session, seen.entity.key)
                before = highest.get(key)
                if before and seen.high < self._kept(read, seen.entity, before[0]):
                    self._add("a session goes back", read,
                              f"{seen.entity.key} is {seen.high} after {before[0]} from"
                              f" {before[1].node} as of {Token.of(before[1].as_of)}")
                if seen.low and (before is None or seen.low > before[0]):
                    highest[key] = (seen.low, read)
