"""Draws the dashboard as one picture, from Prometheus's answers, for people: Grafana itself is nothing that a script can install.

Used by `prometheus.py --draw FILE`; needs matplotlib (`scripts/setup.py matplotlib`). Places, units, thresholds, legends and stacking are
the dashboard's own, colours and fonts are not Grafana's.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
from matplotlib import dates, pyplot, ticker  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

COLUMN, ROW, GAP = 0.7, 0.38, 0.08  # inches
PAGE, PANEL, TEXT, FAINT = "#111217", "#181b1f", "#d8d9da", "#8e8e8e"
COLOURS = {"green": "#299c46", "orange": "#e0812f", "red": "#d44a3a", "blue": "#3274d9"}
LINES = ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#e0b400", "#37872d", "#fa6400", "#c4162a", "#1f60c4"]


def draw(questions: list[Any], dashboard: Any, file: Path) -> None:
    panels = [panel for row in dashboard["panels"] for panel in (row, *row.get("panels", []))]
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = pyplot.figure(figsize=(24 * COLUMN, bottom * ROW), facecolor=PAGE)
    asked = {number: list(group) for number, group in groupby(questions, lambda question: question.panel["id"])}
    for panel in panels:
        {"row": _row, "stat": _stat, "table": _table}.get(panel["type"], _lines)(_place(figure, panel, bottom), panel, asked.get(panel["id"], []))
    figure.savefig(file, dpi=100)
    pyplot.close(figure)


def _place(figure: Figure, panel: dict[str, Any], bottom: int) -> Axes:
    at = panel["gridPos"]
    left, low = at["x"] * COLUMN + GAP / 2, (bottom - at["y"] - at["h"]) * ROW + GAP / 2
    width, height = at["w"] * COLUMN - GAP, at["h"] * ROW - GAP
    if panel["type"] == "row":
        return figure.add_axes(_share(figure, left, low, width, height), facecolor=PAGE)
    frame = figure.add_axes(_share(figure, left, low, width, height), facecolor=PANEL)
    frame.set(xticks=[], yticks=[])
    for spine in frame.spines.values():
        spine.set_visible(False)
    frame.text(0.1 / width, 1 - 0.2 / height, panel["title"], color=TEXT, fontsize=9, fontweight="bold", va="center")
    if (description := panel.get("description")) and panel["type"] != "stat":  # Grafana shows it under the mouse
        frame.text(0.1 / width, 1 - 0.38 / height, description, color=FAINT, fontsize=6.5, va="center")
    return figure.add_axes(_share(figure, left + 0.6, low + 0.75, width - 0.8, height - 1.3), facecolor=PANEL) if panel["type"] == "timeseries" else frame


def _share(figure: Figure, left: float, low: float, width: float, height: float) -> tuple[float, float, float, float]:
    whole_width, whole_height = figure.get_size_inches()
    return left / whole_width, low / whole_height, width / whole_width, height / whole_height


def _row(axes: Axes, panel: dict[str, Any], _: list[Any]) -> None:
    axes.axis("off")
    axes.text(0.005, 0.5, f"▾ {panel['title']}", color=TEXT, fontsize=11, fontweight="bold", va="center")


def _stat(axes: Axes, panel: dict[str, Any], questions: list[Any]) -> None:
    values = [value for question in questions for value in question.values()]
    if not values:
        axes.text(0.5, 0.45, "No data", color=FAINT, fontsize=14, ha="center", va="center")
        return
    defaults = panel["fieldConfig"]["defaults"]
    reached = [step["color"] for step in defaults["thresholds"]["steps"] if step["value"] is None or values[-1] >= step["value"]]
    axes.set_facecolor(COLOURS[reached[-1]])
    axes.text(0.5, 0.36, in_unit(values[-1], defaults["unit"]), color="white", fontsize=26, ha="center", va="center")


def _table(axes: Axes, panel: dict[str, Any], questions: list[Any]) -> None:
    rows = [one["metric"] | {"Value": in_unit(float(one["value"][1]), panel["fieldConfig"]["defaults"]["unit"])} for question in questions for one in question.series]
    columns = sorted({name for row in rows for name in row}, key=lambda name: (name == "Value", name))
    for across, column in enumerate(columns):
        for down, text in enumerate([column, *(row.get(column, "") for row in rows)]):
            axes.text(0.03 + across / len(columns), 0.78 - 0.1 * down, text, color=FAINT if down == 0 else TEXT, fontsize=7.5)


def _lines(axes: Axes, panel: dict[str, Any], questions: list[Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    series = [(name_of(question.target, one["metric"]), dict(one["values"])) for question in questions for one in question.series]
    times = sorted({time for _, values in series for time in values})
    moments = [datetime.fromtimestamp(time) for time in times]
    lines = [(name, [float(values.get(time, "nan")) for time in times]) for name, values in series]
    colours = [LINES[number % len(LINES)] for number in range(len(lines))]
    if defaults["custom"].get("stacking", {}).get("mode") == "normal":
        heights = [[0 if math.isnan(value) else value for value in values] for _, values in lines]
        axes.stackplot(moments, heights, labels=[name for name, _ in lines], colors=colours, alpha=0.75)
    else:
        for (name, values), colour in zip(lines, colours, strict=True):
            axes.plot(moments, values, label=name, color=colour, linewidth=1.3)
            axes.fill_between(moments, values, alpha=defaults["custom"].get("fillOpacity", 0) / 100, color=colour, linewidth=0)
    if not lines:
        axes.text(0.5, 0.5, "No data", color=FAINT, fontsize=12, ha="center", va="center", transform=axes.transAxes)
    axes.set_ylim(bottom=defaults.get("min"), top=defaults.get("max"))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: in_unit(value, defaults["unit"])))
    axes.yaxis.set_major_locator(ticker.MaxNLocator(5))
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S"))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(5))
    axes.tick_params(colors=FAINT, labelsize=7, length=0)
    axes.grid(color="#2c3235", linewidth=0.6)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if lines:
        longest = max(len(name) for name, _ in lines)
        columns = max(1, min(5, panel["gridPos"]["w"] * 11 // (longest + 8)))
        look = {"fontsize": 6.5, "labelcolor": TEXT, "frameon": False, "handlelength": 1, "columnspacing": 1, "borderaxespad": 0}
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.1), ncols=columns, **look)


def name_of(target: dict[str, Any], labels: dict[str, str]) -> str:
    """What Grafana writes into the legend."""
    return re.sub(r"{{(\w+)}}", lambda match: labels.get(match[1], ""), target.get("legendFormat") or str(labels))


def in_unit(value: float, unit: str) -> str:
    """A number as Grafana writes it."""
    if math.isnan(value):
        return ""
    if unit == "percentunit":
        return f"{value * 100:.3g}%"
    if unit == "s":
        for size, name in ((86400, "days"), (3600, "hours"), (60, "min"), (1, "s"), (1e-3, "ms")):
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
        return f"{value * 1e6:.3g} µs" if value else "0 s"
    if unit == "bytes":
        for factor, name in ((2**20, "MiB"), (2**10, "KiB")):
            if abs(value) >= factor:
                return f"{value / factor:.3g} {name}"
        return f"{value:.3g} B"
    return f"{value:.3g}{' req/s' if unit == 'reqps' else ''}"
