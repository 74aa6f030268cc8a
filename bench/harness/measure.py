"""Interleaved rounds, and what becomes of them: one result a comparison."""

import random
import statistics


class Goal:
    """A goal: a text, and whether figures hold it."""

    def __init__(self, text, holds):
        self.text = text
        self.holds = holds


def at_least(factor):
    return Goal(f"at least {factor:g}x the peer", lambda ours, peer, ratio: ratio >= factor)


NO_GOAL = Goal("", lambda ours, peer, ratio: None)


def interleave(plan, arms, before=lambda: None, times=1):
    """Runs every arm once unrecorded, then `times` x `plan.rounds` in turn, in changing order.

    Neighbours share what the machine does at that time, so it is the ratio of a round that
    counts. `arms` maps a name to a function; `before` runs before each, unmeasured. Short arms
    want more rounds.
    """
    samples = {name: [] for name in arms}
    order = list(arms)
    shuffle = random.Random(1).shuffle
    rounds = plan.rounds * times
    for number in range(rounds + 1):
        for name in order:
            kind = f"round {number} of {rounds}" if number else "warm-up round"
            plan.progress(f"{kind}: {name}")
            before()
            sample = arms[name]()
            if number:
                samples[name].append(sample)
        shuffle(order)
    return samples


def percentile(sample, wanted):
    """Of a sample's curve, in milliseconds."""
    return next(value for point, value in sample["curve_us"] if point == wanted) / 1000


def mean_curve(samples):
    """The median of each percentile over the rounds: pairs of percentile and milliseconds."""
    curves = [sample["curve_us"] for sample in samples if sample.get("curve_us")]
    return [
        [points[0][0], statistics.median(value for _, value in points) / 1000]
        for points in zip(*curves)
    ]


def costs(samples):
    """Median processor seconds and highest memory of an arm."""
    names = samples[0].get("cpu_seconds", {})
    cpu = {name: round(statistics.median(s["cpu_seconds"][name] for s in samples), 3)
           for name in names}
    memory = {name: max(s["peak_rss_bytes"][name] for s in samples)
              for name in samples[0].get("peak_rss_bytes", {})}
    return cpu, memory


def compare(name, title, unit, ours, peer=(), figure=lambda s: s["rate"], goal=NO_GOAL,
            peer_name="", peer_figure=None, **more):
    """One result: medians over the rounds, and the ratio of each round."""
    mine = [figure(sample) for sample in ours]
    theirs = [(peer_figure or figure)(sample) for sample in peer]
    ratios = [a / b for a, b in zip(mine, theirs) if b]
    middle = statistics.median(mine)
    other = statistics.median(theirs) if theirs else None
    ratio = statistics.median(ratios) if ratios else None
    spread = ratios or mine
    cpu, memory = costs(ours)
    verdicts = [goal.holds(a, b, b and a / b)
                for a, b in zip(mine, theirs or [None] * len(mine))]
    result = {
        "name": name, "title": title, "unit": unit, "ours": middle, "peer": other,
        "peer_name": peer_name, "ratio": ratio,
        "spread": {"of": "ratio" if ratios else "ours", "min": min(spread), "max": max(spread),
                   "rounds": len(mine), "ours": mine, "peer": theirs},
        "cpu_seconds": cpu, "peak_rss_bytes": memory,
        "goal": goal.text, "holds": goal.holds(middle, other, ratio),
        "rounds_that_hold": None if verdicts[0] is None else sum(verdicts),
    }
    if peer:
        result["peer_cpu_seconds"] = costs(peer)[0]
    result.update(more)
    return result


def percentile_chart(title, arms):
    """A chart of latency curves: `arms` maps labels to samples."""
    return {"kind": "percentiles", "title": title,
            "series": [[label, mean_curve(samples)] for label, samples in arms.items()
                       if samples[0].get("curve_us")]}


def time_chart(title, arms, unit="values/s"):
    """A chart of what was done a second over time, of the last round of each arm that tells."""
    series = []
    for label, samples in arms.items():
        points = samples[-1].get("timeline") or []
        rates = [[now[0], (now[1] - past[1]) / (now[0] - past[0])]
                 for past, now in zip(points, points[1:]) if now[0] > past[0]]
        if rates:
            series.append([label, rates])
    return {"kind": "time", "title": title, "unit": unit, "series": series}


def both_charts(title, arms, unit="values/s"):
    """Latency curves, and what was done over time."""
    return [percentile_chart(title, arms), time_chart(f"{title}: {unit} over time", arms, unit)]
