#!/usr/bin/env bash
# Tests what scripts/bench computes from measurements; measures nothing itself.
set -euo pipefail

repository=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
folder=$(mktemp -d "${TMPDIR:-/tmp}/sluice-bench-test.XXXXXX")
trap 'rm -rf "$folder"' EXIT
export PYTHONDONTWRITEBYTECODE=1

list=$("$repository/scripts/bench" --list)
[[ $list == durable\ * ]] || { echo "--list does not begin with durable"; exit 1; }
if "$repository/scripts/bench" --rounds 0 --list >/dev/null 2>&1; then
  echo "no rounds at all were accepted"
  exit 1
fi

cd "$repository/bench/harness"
python3 - "$folder" <<'PYTHON'
import json, os, sys, xml.dom.minidom
import measure, report, scenarios_ack, svg, world

# Percentiles by nearest rank: of 1…100 the 95th is 95.
points = dict(map(tuple, world.curve(range(1, 101))))
assert (points[0], points[50], points[95], points[100]) == (1, 50, 95, 100), points
assert dict(map(tuple, world.curve([7])))[99.99] == 7

# The ratio is the median over rounds of each round's own ratio.
def sample(rate):
    return {"rate": rate, "cpu_seconds": {"gateway": 1.0}, "peak_rss_bytes": {"gateway": 5},
            "curve_us": [[50, 1000], [95, 2000]], "timeline": [[0, 0], [1, 10], [2, 30]]}
ours, peer = [sample(r) for r in (10, 20, 90)], [sample(r) for r in (10, 10, 30)]
result = measure.compare("a", "A", "x/s", ours, peer, goal=measure.at_least(2), peer_name="P")
assert (result["ratio"], result["holds"]) == (2, True), result
assert (result["spread"]["min"], result["spread"]["max"]) == (1, 3), result
assert measure.compare("a", "A", "x/s", peer, ours, goal=measure.at_least(2))["holds"] is False
result["gateway_options"] = ["--redis"]
alone = measure.compare("b", "B", "ms", ours, figure=lambda s: measure.percentile(s, 95))
assert (alone["ours"], alone["ratio"], alone["holds"]) == (2, None, None), alone

# The knee is the last load before p95 jumps or acks fall behind.
def step(offered, confirmed, p95):
    return {"offered": offered, "confirmed": confirmed, "p95_ms": p95}
for last in (step(30, 30, 40.0), step(30, 20, 5.0)):
    steps = [step(10, 10, 3.0), step(20, 20, 4.0), last]
    scenarios_ack.name_knee(steps)
    assert [one.get("knee", False) for one in steps] == [False, True, False], steps

# Charts are well-formed, whatever is in them; the page names every result.
charts = [
    {**measure.percentile_chart("A & B", {"<ours>": ours}), "file": "p.svg"},
    {**measure.time_chart("T", {"ours": ours, "peer": peer}), "file": "t.svg"},
    {"kind": "points", "title": "L", "x": "x", "y": "y", "x_log": True, "y_log": True,
     "series": [["one", [[1, 0.5], [1000, 90]]]], "mark": [1000, 90, "knee"], "file": "l.svg"},
    {"kind": "points", "title": "flat", "x": "x", "y": "y",
     "series": [["zero", [[0, 0]]]], "file": "f.svg"},
]
assert charts[1]["series"][0][1] == [[1, 10], [2, 20]], charts[1]
run = {"date": "2026-01-02T00:00:00", "commit": "abc", "has_changes": False, "rounds": 5,
       "quick": False, "seconds": 10, "warmup": 2, "results": [result, alone], "charts": charts,
       "machine": {"processor": "p", "processors": 2, "memory": "1 kB", "kernel": "k"},
       "versions": {"postgresql": "15"}, "postgresql_settings": ["a=1"]}
folder = sys.argv[1]
os.mkdir(os.path.join(folder, "results"))
for day, name in (("2026-01-01", "old"), ("2026-01-02", "new")):
    with open(os.path.join(folder, "results", name + ".json"), "w") as file:
        json.dump({**run, "date": day, "commit": name}, file)
assert report.write(folder) == 0
for chart in charts:
    xml.dom.minidom.parse(os.path.join(folder, "charts", chart["file"]))
with open(os.path.join(folder, "RESULTS.md")) as file:
    page = file.read()
assert "commit new" in page and "| A | 20 x/s | 10 (P) | 2.00 | 1 to 3; 2 of 3 |" in page, page
assert "| a |  | 1.00 |  | 1.00 |  |  | 0 |  |" in page, page  # what the peer used, too
assert "`--redis` in a." in page, page
assert svg.short(1_500_000) == "1.5M" and svg.short(0.25) == "0.25"

# Only a whole run that came to its end goes into the project.
import importlib.util
spec = importlib.util.spec_from_file_location("harness_main", "main.py")
harness = importlib.util.module_from_spec(spec)
spec.loader.exec_module(harness)
harness.report.write = lambda target: None
class Options: scenarios, quick, rounds, out = [], False, 5, None
for is_complete in (False, True):
    target = os.path.join(folder, f"kept-{is_complete}")
    harness.keep({**run, "is_complete": is_complete}, target, Options)
    assert os.path.exists(target) == is_complete, target

# A budget bears what differs between runs, neither what doubled nor what could double unseen.
spec = importlib.util.spec_from_file_location("budgets", "../budgets/main.py")
budgets = importlib.util.module_from_spec(spec)
spec.loader.exec_module(budgets)
found, known = {"a": 14.0, "b": 20.0, "c": 1.0, "d": 7.0}, {"a": 10, "b": 10, "d": 10}
assert budgets.judge("allocations", found, known) == (1, 3)
assert budgets.judge("instructions", found, known) == (0, 4)
print("bench: all well")
PYTHON
