"""Small line charts as SVG, readable on light and dark pages."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 78, 36, 66, 46
COLOURS = ("#2f6fd0", "#c8502e", "#2b8a55", "#8a56b8", "#a87a12", "#4c8f9c")

STYLE = """<style>
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 14px; font-weight: 600 }
  .axis { stroke: #8c959f; stroke-width: 1 }
  .grid { stroke: #8c959f; stroke-opacity: .3; stroke-width: 1 }
  .line { fill: none; stroke-width: 2 }
  @media (prefers-color-scheme: dark) { text { fill: #d0d7de } }
</style>"""


class Axis:
    """From values to places, straight or logarithmic."""

    def __init__(self, values, start, end, is_log):
        self.is_log = is_log and min(values) > 0
        if self.is_log:
            low = math.floor(math.log10(min(values)))
            high = max(math.ceil(math.log10(max(values))), low + 1)
            self.ticks = [10.0 ** power for power in range(low, high + 1)]
            self.low, self.high = low, high
        else:
            self.ticks = steps(min(0, *values, 0), max(values))
            self.low, self.high = self.ticks[0], self.ticks[-1]
        self.start, self.end = start, end

    def place(self, value):
        if self.is_log:
            value = math.log10(max(value, 10.0 ** self.low))
        share = (value - self.low) / ((self.high - self.low) or 1)
        return self.start + share * (self.end - self.start)


def steps(low, high):
    """Round values from at most `low` to at least `high`, some five of them."""
    rough = (high - low) / 5 or 1
    size = 10 ** math.floor(math.log10(rough))
    size *= next(factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first = math.floor(low / size)
    return [size * index for index in range(first, math.ceil(high / size) + 1)]


def short(value):
    """A number for a tick: 1.5M, 20k, 0.3."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def chart(title, series, x_title, y_title, x_log=False, y_log=False, x_ticks=None, mark=None):
    """Lines through points: `series` is a list of label and points.

    `x_ticks` are pairs of place and label, for an axis that is neither straight nor logarithmic.
    """
    xs = [x for _, points in series for x, _ in points]
    ys = [y for _, points in series for _, y in points]
    if not xs:
        return ""
    across = Axis([x for x, _ in x_ticks] if x_ticks else xs, LEFT, WIDTH - RIGHT, x_log)
    up = Axis(ys, HEIGHT - BOTTOM, TOP, y_log)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>", STYLE,
        f'<text class="title" x="{LEFT}" y="20">{escape(title)}</text>',
    ]
    for tick in up.ticks:
        y = up.place(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}"'
                     f' y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    for place, label in x_ticks or [(tick, short(tick)) for tick in across.ticks]:
        x = across.place(place)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
                     f"{escape(label)}</text>")
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}"'
                 f' y2="{HEIGHT - BOTTOM}"/>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
                 f"{escape(x_title)}</text>")
    parts.append(f'<text transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)"'
                 f' text-anchor="middle">{escape(y_title)}</text>')
    parts += lines(series, across, up)
    if mark:
        x, y = across.place(mark[0]), up.place(mark[1])
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="none" stroke="{COLOURS[1]}"'
                     ' stroke-width="2"/>')
        parts.append(f'<text x="{x - 10:.1f}" y="{y - 10:.1f}" text-anchor="end">'
                     f"{escape(mark[2])}</text>")
    return "\n".join(parts + ["</svg>", ""])


def lines(series, across, up):
    parts, place = [], LEFT
    for index, (label, points) in enumerate(series):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{across.place(x):.1f},{up.place(y):.1f}" for x, y in points)
        parts.append(f'<polyline class="line" stroke="{colour}" points="{path}"/>')
        parts.append(f'<rect x="{place}" y="34" width="14" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{place + 20}" y="40">{escape(label)}</text>')
        place += 44 + 7 * len(label)
    return parts


def percentiles(title, series):
    """Latency by percentile: the tail has as much room as the middle."""
    def place(percent):
        return -math.log10(max(1 - percent / 100, 1e-4))

    ticks = [(place(p), f"{p:g} %") for p in (0, 50, 90, 99, 99.9, 99.99)]
    shown = [[label, [[place(p), max(y, 0.001)] for p, y in points if p < 100]]
             for label, points in series if points]
    return chart(title, shown, "of all were at least as fast", "ms", y_log=True, x_ticks=ticks)
