"""The plots of docs/PERFORMANCE.md, drawn by scripts/performance.py.

Text and axes of an SVG take the colour that the reader's light or dark mode wants; data has colours that can be told apart on
either ground. The description of each names the figures that it was drawn from.
"""

import statistics

import matplotlib

matplotlib.use("agg")
from matplotlib import pyplot, ticker  # noqa: E402

OURS = "atlassian-authz"
FLOOR = "floor"
COLOURS = {
    OURS: "#2f81f7",
    f"{OURS}, Unix socket": "#79b8ff",
    f"{OURS}, API token": "#1f5fbf",
    FLOOR: "#8b949e",
    f"{FLOOR}, Unix socket": "#b1bac4",
    f"{FLOOR}, our answer": "#d0d7de",
    "no filter": "#a371f7",
    "jwt_authn, cache": "#3fb950",
    "jwt_authn": "#d29922",
    "api_key_auth": "#db61a2",
}
# What stands for the colour of text until the SVG is written.
INK = "#010203"
THEME = "svg{color:#1f2328}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}"
PERCENTILES = {"p50_us": "50", "p90_us": "90", "p99_us": "99", "p999_us": "99.9"}


def values(column, figure):
    return [sample[figure] for sample in column["samples"] if sample[figure] is not None]


def ratios(column, base, figure):
    return [mine / other for mine, other in zip(values(column, figure), values(base, figure))]


def middle(numbers):
    """The median, and how far the extremes are from it."""
    median = statistics.median(numbers)
    return median, median - min(numbers), max(numbers) - median


def short(size):
    """100000 → 100k"""
    for unit, letter in ((1_000_000, "M"), (1_000, "k")):
        if size >= unit and size % unit == 0:
            return f"{size // unit}{letter}"
    return f"{size:,}"


def bars(axes, rows, digits):
    """Horizontal bars from the top: label, numbers, colour."""
    for at, (label, numbers, colour) in enumerate(rows):
        median, below, above = middle(numbers)
        axes.barh(at, median, color=colour, height=0.7)
        axes.errorbar(median, at, xerr=[[below], [above]], color=pyplot.rcParams["text.color"], elinewidth=0.8, capsize=2)
        axes.annotate(f"{median:,.{digits}f}", (median + above, at), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [label for label, _, _ in rows])
    axes.invert_yaxis()
    axes.margins(x=0.25)
    axes.grid(axis="x")


def cost(figures):
    """CPU of a check, the floor being 1."""
    def rows(part, label):
        for comparison in figures.part(part):
            for at, column in enumerate(comparison["columns"]):
                if column["base"] != at:
                    base = comparison["columns"][column["base"]]
                    yield label(comparison, column), ratios(column, base, "authz_cpu_us"), COLOURS[column["candidate"]]

    def shape(comparison, column):
        load = comparison["load"]
        way = "Unix" if column["candidate"].endswith("Unix socket") else "TCP"
        return f"{load['connections']} × {load['streams']}, {way}"

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
    bars(left, list(rows("shapes", shape)), 2)
    left.set_title("Cached JWT, connections × streams", fontsize=10)
    bars(right, list(rows("kinds", lambda comparison, _: comparison["name"].rpartition(", ")[0])), 2)
    right.set_title("Kinds of request, 4 × 4", fontsize=10)
    for axes in (left, right):
        axes.axvline(1, color=COLOURS[FLOOR], linestyle="--", linewidth=1.2)
        axes.set_xlabel("CPU of a Check by that of the floor")
    return figure


def throughput(figures):
    """Requests a second through Envoy."""
    comparisons = figures.part("Envoy")
    figure, all_axes = pyplot.subplots(1, len(comparisons), figsize=(11, 3.4), layout="constrained", sharey=True, squeeze=False)
    for axes, comparison in zip(all_axes[0], comparisons):
        columns = comparison["columns"]
        thousands = [[one / 1000 for one in values(column, "per_second")] for column in columns]
        bars(axes, [(column["candidate"], numbers, COLOURS[column["candidate"]]) for column, numbers in zip(columns, thousands)], 1)
        connections = comparison["load"]["connections"]
        axes.set_title(f"{connections} connection{'s' if connections > 1 else ''}", fontsize=10)
        axes.set_xlabel("1,000 requests/s")
    # Each of the shared axes was turned over once.
    all_axes[0][0].set_ylim(len(comparisons[0]["columns"]) - 0.4, -0.6)
    return figure


def growth(figures):
    """CPU of a check over N, that at the smallest N being 1."""
    comparisons = figures.part("growth")
    barred = {bar["what"].partition(":")[0] for bar in figures.all["bars"]}
    width = 4
    height = -(-len(comparisons) // width)
    figure, all_axes = pyplot.subplots(height, width, figsize=(11, 2.6 * height), layout="constrained", sharey=True, squeeze=False)
    flat = [axes for row in all_axes for axes in row]
    for axes, comparison in zip(flat, comparisons):
        for candidate in (FLOOR, OURS):
            columns = [column for column in comparison["columns"] if column["candidate"] == candidate]
            if not columns:
                continue
            sizes = [column["size"] for column in columns]
            points = [middle(ratios(column, columns[0], "authz_cpu_us")) for column in columns]
            errors = [[point[1] for point in points], [point[2] for point in points]]
            axes.errorbar(sizes, [point[0] for point in points], yerr=errors, color=COLOURS[candidate], marker="o", markersize=4,
                          capsize=2, label=candidate)  # fmt: skip
        if comparison["growing"] in barred:
            axes.axhline(1.1, color=pyplot.rcParams["text.color"], linestyle="--", linewidth=0.8, alpha=0.5)
        axes.set_xscale("symlog" if 0 in sizes else "log")
        axes.set_xticks(sizes, [short(size) for size in sizes])
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        axes.margins(x=0.15)
        axes.set_title(comparison["growing"], fontsize=9)
        axes.grid(axis="y")
        if len({column["candidate"] for column in comparison["columns"]}) > 1:
            axes.legend(fontsize=7, frameon=False)
    for axes in flat[len(comparisons) :]:
        axes.set_visible(False)
    for row in all_axes:
        row[0].set_ylabel("CPU by that at\nthe smallest N", fontsize=9)
        row[0].set_ylim(bottom=0)
    return figure


def latency(figures):
    """Latency over its percentiles at fixed rates."""
    parts = [("rates", "directly"), ("rates, Envoy", "through Envoy")]
    width = max(len(figures.part(part)) for part, _ in parts)
    figure, all_axes = pyplot.subplots(2, width, figsize=(10, 5.6), layout="constrained", sharex=True, sharey=True, squeeze=False)
    shown = {}
    for row, (part, way) in zip(all_axes, parts):
        for axes, comparison in zip(row, figures.part(part)):
            for column in comparison["columns"]:
                points = [statistics.median(values(column, share)) / 1000 for share in PERCENTILES]
                candidate = column["candidate"]
                dashes = "--" if candidate.endswith("Unix socket") else "-"
                shown[candidate], = axes.plot(range(len(points)), points, dashes, color=COLOURS[candidate], marker="o", markersize=3)
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
            axes.set_title(f"{comparison['load']['rate']:,}/s, {way}", fontsize=10)
            axes.set_xticks(range(len(PERCENTILES)), PERCENTILES.values())
            axes.grid()
        row[0].set_ylabel("latency, ms")
    for axes in all_axes[-1]:
        axes.set_xlabel("percentile")
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def memory(figures):
    """Resident memory over distinct tokens."""
    points = figures.all["memory"]
    tokens = [point["tokens"] / 1000 for point in points]
    figure, axes = pyplot.subplots(figsize=(7.5, 3), layout="constrained")
    for resident, label, style in (("resident_kib", "resident", "-"), ("peak_kib", "highest so far", ":")):
        axes.plot(tokens, [point[resident] / 1024 for point in points], style, color=COLOURS[OURS], label=label)
    axes.set_xlabel("1,000 distinct tokens so far")
    axes.set_ylabel("MiB")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    axes.grid()
    axes.legend(frameon=False, loc="lower right")
    return figure


DRAWN = {"cost": cost, "throughput": throughput, "growth": growth, "latency": latency, "memory": memory}


def draw(figures, directory, png):
    """Writes all of them; returns the files. With `png` also as a reader sees them in either mode."""
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for name, plot in DRAWN.items():
        file = directory / f"{name}.svg"
        description = f"drawn from figures {figures.digest}"
        metadata = {"Date": None, "Creator": None, "Description": description}
        save(figures, plot, INK, file, transparent=True, metadata=metadata)
        themed(file)
        files.append(file)
        if png:
            png.mkdir(parents=True, exist_ok=True)
            save(figures, plot, "#1f2328", png / f"{name}-light.png", facecolor="white", dpi=110)
            save(figures, plot, "#e6edf3", png / f"{name}-dark.png", facecolor="#0d1117", dpi=110)
    return files


def save(figures, plot, ink, file, **options):
    coloured = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color")
    style = {
        "svg.fonttype": "none", "svg.hashsalt": "atlassian-authz", "font.family": "sans-serif", "font.size": 9, "grid.alpha": 0.15,
        "axes.facecolor": "none", "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False,
        **dict.fromkeys(coloured, ink),
    }  # fmt: skip
    with pyplot.rc_context(style):
        figure = plot(figures)
        figure.savefig(file, **options)
        pyplot.close(figure)


def themed(file):
    """Lets the reader's mode choose the colour of text and axes."""
    text = file.read_text(encoding="utf-8").replace(INK, "currentColor")
    head, tag, rest = text.partition("<defs>")
    # matplotlib leaves text without a colour of its own black.
    style = f"<style>{THEME}text{{fill:currentColor}}</style>"
    text = f"{head}{style}{tag}{rest}"
    file.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", encoding="utf-8")
