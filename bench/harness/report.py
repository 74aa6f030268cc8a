"""RESULTS.md and the charts, made from the newest results file alone."""

import glob
import json
import os
import statistics

import svg

SOURCE = "Written by scripts/bench from {path}; do not edit."


def write(target):
    """Writes RESULTS.md and charts/ in `target`; returns 1 when there are no results."""
    files = glob.glob(os.path.join(target, "results", "*.json"))
    if not files:
        print("bench: there are no results yet")
        return 1
    runs = []
    for path in files:
        with open(path, encoding="utf-8") as file:
            runs.append((json.load(file), path))
    newest, path = max(runs, key=lambda one: one[0]["date"])
    folder = os.path.join(target, "charts")
    os.makedirs(folder, exist_ok=True)
    for old in glob.glob(os.path.join(folder, "*.svg")):
        os.remove(old)
    for chart in newest["charts"]:
        with open(os.path.join(folder, chart["file"]), "w", encoding="utf-8") as file:
            file.write(draw(chart))
    with open(os.path.join(target, "RESULTS.md"), "w", encoding="utf-8") as file:
        file.write(page(newest, os.path.relpath(path, target)))
    return 0


def draw(chart):
    if chart["kind"] == "percentiles":
        return svg.percentiles(chart["title"], chart["series"])
    if chart["kind"] == "time":
        return svg.chart(chart["title"], chart["series"], "seconds",
                         chart.get("unit", "values/s"))
    return svg.chart(chart["title"], chart["series"], chart["x"], chart["y"],
                     chart.get("x_log", False), chart.get("y_log", False), mark=chart.get("mark"))


def page(run, path):
    lines = ["# Results", "", SOURCE.format(path=path), ""]
    if run["quick"] or run["rounds"] < 5:
        lines += [f"**Only a look: {run['rounds']} round(s)"
                  + (", tiny loads" if run["quick"] else "") + ". Nothing follows from it.**", ""]
    machine, versions = run["machine"], run["versions"]
    lines += [
        f"{run['date']}, commit {run['commit']}" + (" with changes" if run["has_changes"] else "")
        + f", {run['rounds']} interleaved rounds, more where it says so. {machine['processors']} x"
        f" {machine['processor']}, {machine['memory']}, Linux {machine['kernel']}; PostgreSQL"
        f" {versions['postgresql']}; client, gateway, PostgreSQL and peers on the same machine."
        f" Timed arms last {run['seconds']} s; before them ours runs {run['warmup']} s unrecorded"
        " (history 0.2 s). All arms run once unrecorded before the first round, which is all the"
        " warm-up that pgbench and psql have. How it is measured: NOTES.md.", "",
        "| | ours | peer | ratio | spread | goal | |", "|---|---|---|---|---|---|---|",
    ]
    lines += [row(result) for result in run["results"]]
    if run.get("failed"):
        lines += ["", "Failed: " + "; ".join(
            f"{one['name']} ({one['reason'].splitlines()[0]})" for one in run["failed"]) + "."]
    lines += ["", "Spread is the smallest and largest ratio of a round, or of our figure where"
              " there is no peer; behind it, in how many rounds the goal held.", "",
              "## What it cost", "",
              "Processor seconds of one round (median), and peak memory. *peer* is all that the peer"
              " used, with its client and PostgreSQL. *others* is what the rest of the machine used"
              " meanwhile, *stolen* what its host took: near zero on a quiet"
              " machine.", "",
              "| | client | gateway | PostgreSQL | peer | others | stolen | gateway MiB |"
              " client MiB |", "|---|---|---|---|---|---|---|---|---|"]
    lines += [cost(result) for result in run["results"]]
    for chart in run["charts"]:
        lines += ["", f"## {chart['title']}", "", f"![{chart['title']}](charts/{chart['file']})"]
    lines += ["", "## Settings", "", "PostgreSQL: " + ", ".join(run["postgresql_settings"]) + ".",
              "", f"Gateway: {gateway_options(run)}.", ""]
    return "\n".join(lines)


def number(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def row(result):
    ratio = "" if result["ratio"] is None else f"{result['ratio']:.2f}"
    spread = result["spread"]
    holds = {True: "holds", False: "**missed**", None: ""}[result["holds"]]
    of_rounds = "" if result.get("rounds_that_hold") is None else (
        f"; {result['rounds_that_hold']} of {spread['rounds']}")
    peer = f"{number(result['peer'])} ({result['peer_name']})" if result["peer"] else ""
    extra = "".join(f"; {text}" for text in remarks(result))
    return (f"| {result['title']}{extra} | {number(result['ours'])} {result['unit']} | {peer} |"
            f" {ratio} | {number(spread['min'])} to {number(spread['max'])}{of_rounds} |"
            f" {result['goal']} |"
            f" {holds} |")


def remarks(result):
    if "bytes_a_connection" in result:
        yield f"{result['bytes_a_connection']:,} bytes a connection"
    if result.get("knee"):
        yield f"knee at {result['knee']:,} values/s"
    if result.get("hit_rates"):
        yield f"hit rate {statistics.median(result['hit_rates']):.0%}"
    for name in ("redis", "pgbouncer"):
        if name in result["cpu_seconds"]:
            yield f"{name} {result['cpu_seconds'][name]:.2f} processor seconds a round"


def cost(result):
    cpu, memory = result["cpu_seconds"], result["peak_rss_bytes"]
    theirs = result.get("peer_cpu_seconds")
    if theirs:
        cpu = {**cpu, "peer": sum(seconds for name, seconds in theirs.items()
                                  if name not in ("others", "stolen"))}
    names = ("client", "gateway", "postgres", "peer", "others", "stolen")
    seconds = " | ".join(f"{cpu[name]:.2f}" if name in cpu else "" for name in names)
    sizes = " | ".join(f"{memory[name] / 2**20:.0f}" if name in memory else ""
                       for name in ("gateway", "client"))
    return f"| {result['name']} | {seconds} | {sizes} |"


def gateway_options(run):
    """What gateways were started with, beside the defaults."""
    more = {}
    for result in run["results"]:
        for option in result.get("gateway_options", []):
            more.setdefault(option, set()).add(result["name"])
    texts = [f"`{option}` in {', '.join(sorted(names))}" for option, names in sorted(more.items())]
    return "; ".join([f"defaults with {run['machine']['processors']} workers (one a processor)"
                      " and `--log-level warning`, each scenario its own", *texts])
