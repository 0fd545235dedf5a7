"""The report's pictures: bars and lines as SVG, readable on light and dark ground."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Literal

Scale = Literal["log", "nines"]
"""`nines`: percentiles, spread so that 90, 99 and 99.9 are equally far apart."""

_WIDTH = 760
_STYLE = """\
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 14px; font-weight: 600 }
.ground { fill: #ffffff } .rule { stroke: #d1d9e0 } .limit { stroke: #cf222e; stroke-dasharray: 5 4 }
.line { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .ground { fill: #0d1117 } .rule { stroke: #30363d } .limit { stroke: #ff7b72 }
}
"""
# For the light and the dark ground, in the order of the peers.
_COLOURS = (
    ("#6e7781", "#8b949e"),
    ("#1a7f37", "#3fb950"),
    ("#bf8700", "#d29922"),
    ("#0969da", "#58a6ff"),
    ("#8250df", "#bc8cff"),
    ("#bc4c00", "#f0883e"),
    ("#1b7c83", "#39c5cf"),
)


def bar_chart(
    title: str, groups: Mapping[str, Mapping[str, float]], show: Callable[[float], str], peers: Sequence[str]
) -> str:
    """Horizontal bars from zero, a group for each case, one bar a peer.

    Each group has a scale of its own, unless there is one peer only. The places in `peers` give the colours.
    """
    shown = [peer for peer in peers if any(peer in group for group in groups.values())]
    most_of_all = max((value for group in groups.values() for value in group.values()), default=0)
    left, right, row, gap = 240, 90, 16, 12
    parts: list[str] = []
    y = 58
    for group, values in groups.items():
        most = (max(values.values(), default=0) if len(shown) > 1 else most_of_all) or 1
        parts.append(_text(left - 10, y + row * len(values) / 2 + 4, group, "end"))
        for peer, value in values.items():
            length = max(1.0, (_WIDTH - left - right) * value / most)
            parts.append(
                f'<rect class="fill{_colour(peer, peers)}" x="{left}" y="{y}" width="{length:.1f}" height="{row - 3}"/>'
            )
            parts.append(_text(left + length + 6, y + row - 5, show(value)))
            y += row
        y += gap
    return _svg(title, shown, peers, y + 4, parts)


def line_chart(
    title: str,
    axes: tuple[str, str],
    lines: Mapping[str, Sequence[tuple[float, float]]],
    peers: Sequence[str],
    x_scale: Scale,
    limit: float | None = None,
) -> str:
    """Lines, one a peer, over a logarithmic height.

    `axes` are the names of x and y, `limit` is a height to be marked; the places in `peers` give the colours.
    """
    points = [(x, y) for line in lines.values() for x, y in line if y > 0]
    heights = [y for _, y in points] + ([limit] if limit else [])
    if not points:
        return _svg(title, list(lines), peers, 80, [_text(20, 64, "nothing was measured")])
    bends: Callable[[float], float] = (
        math.log10 if x_scale == "log" else lambda x: -math.log10(1 - min(x, 99.999) / 100)
    )
    place_x = _placing(bends, sorted({x for x, _ in points}), 70, _WIDTH - 30)
    place_y = _placing(math.log10, sorted(heights), 350, 66)
    parts: list[str] = []
    for y in _ticks(min(heights), max(heights)):
        parts.append(f'<line class="rule" x1="70" x2="{_WIDTH - 30}" y1="{place_y(y):.1f}" y2="{place_y(y):.1f}"/>')
        parts.append(_text(62, place_y(y) + 4, f"{y:g}", "end"))
    xs = sorted({x for x, _ in points})
    ticks = xs if x_scale == "nines" else _ticks(xs[0], xs[-1])
    parts += [_text(place_x(x), 370, f"{x:g}", "middle") for x in ticks]
    parts += [_text(_WIDTH - 30, 390, axes[0], "end"), _text(20, 56, axes[1])]
    if limit:
        parts.append(
            f'<line class="limit" x1="70" x2="{_WIDTH - 30}" y1="{place_y(limit):.1f}" y2="{place_y(limit):.1f}"/>'
        )
    for peer, line in lines.items():
        places = [(place_x(x), place_y(y)) for x, y in sorted(line) if y > 0]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        colour = _colour(peer, peers)
        parts.append(f'<polyline class="line stroke{colour}" points="{path}"/>')
        parts += [f'<circle class="fill{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places]
    return _svg(title, list(lines), peers, 400, parts)


def _colour(peer: str, peers: Sequence[str]) -> int:
    return peers.index(peer) % len(_COLOURS)


def _placing(
    bend: Callable[[float], float], values: Sequence[float], first: float, last: float
) -> Callable[[float], float]:
    """Places values between two coordinates, bent by a function."""
    low, high = bend(values[0]), bend(values[-1])
    width = (high - low) or 1
    return lambda value: first + (last - first) * (bend(value) - low) / width


def _ticks(low: float, high: float) -> list[float]:
    """The numbers 1, 2 and 5 times a power of ten, from `low` to `high`."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [tick for power in powers for tick in (10.0**power, 2 * 10.0**power, 5 * 10.0**power) if low <= tick <= high]


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, shown: Sequence[str], peers: Sequence[str], height: float, parts: Sequence[str]) -> str:
    """The whole picture, with its title and what the colours of the peers that are shown mean."""
    light = [f".fill{n} {{ fill: {c} }} .stroke{n} {{ stroke: {c} }}" for n, (c, _) in enumerate(_COLOURS)]
    dark = [f".fill{n} {{ fill: {c} }} .stroke{n} {{ stroke: {c} }}" for n, (_, c) in enumerate(_COLOURS)]
    style = _STYLE + "\n".join(light) + "\n@media (prefers-color-scheme: dark) {\n" + "\n".join(dark) + "\n}"
    legend: list[str] = []
    x = 20.0
    for peer in shown:
        legend.append(f'<rect class="fill{_colour(peer, peers)}" x="{x:.0f}" y="33" width="10" height="10"/>')
        legend.append(_text(x + 15, 42, peer))
        x += 40 + 7 * len(peer)
    heading = f'<text class="title" x="20" y="22">{escape(title)}</text>'
    size = f'width="{_WIDTH}" height="{height:.0f}" viewBox="0 0 {_WIDTH} {height:.0f}"'
    body = "\n".join([f'<rect class="ground" width="{_WIDTH}" height="{height:.0f}"/>', heading, *legend, *parts])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>\n{style}\n</style>\n{body}\n</svg>\n'
