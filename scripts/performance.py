#!/usr/bin/env python3
"""Writes the tables of docs/PERFORMANCE.md and the plots beside it from the figures of `make bench`.

    scripts/performance.py [--figures target/bench/figures.json] [--png DIRECTORY]    writes page, plots, and a copy of the figures
    scripts/performance.py --check    says whether page and plots are those of docs/performance/figures.json; exit code 0 or 1

Nothing on the page that is a number of a measurement is written by hand: it stands between `<!-- generated: NAME -->` and
`<!-- end -->`. Plots need matplotlib (`scripts/setup.py matplotlib`); --check needs nothing.
"""

import argparse
import hashlib
import json
import math
import re
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/PERFORMANCE.md"
PLOTS = ROOT / "docs/performance"
FIGURES = PLOTS / "figures.json"
MEASURED = ROOT / "target/bench/figures.json"

OURS = "atlassian-authz"
FLOOR = "floor"
# Half of what a core can do: room for bursts, for a lost replica and for first tokens.
LOADED = 0.5
RATES = (1_000, 10_000, 50_000)


class Failure(Exception):
    """What is wrong, in words for the person who started it."""


# --- figures ----------------------------------------------------------------------------------------------------------------


class Figures:
    """What was measured, and how it is asked for."""

    def __init__(self, text):
        self.digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.all = json.loads(text)
        self.machine = self.all["machine"]

    def part(self, name):
        return [comparison for comparison in self.all["comparisons"] if comparison["part"] == name]

    def find(self, part, start):
        """The first comparison of a part whose name starts so."""
        for comparison in self.part(part):
            if comparison["name"].startswith(start):
                return comparison
        raise Failure(f"the figures have no '{part}: {start}': run the whole benchmark")


def column(comparison, candidate):
    return next((one for one in comparison["columns"] if one["candidate"] == candidate), None)


def values(one, figure):
    return [sample[figure] for sample in one["samples"] if sample[figure] is not None]


def ratios(one, base, figure):
    """Turn by turn, between neighbours."""
    return [mine / other for mine, other in zip(values(one, figure), values(base, figure))]


def median(numbers):
    return statistics.median(numbers) if numbers else None


def short_name(comparison):
    """Without the load, which a heading or an axis says."""
    return comparison["name"].rpartition(", ")[0]


def shape(comparison):
    return f"{comparison['load']['connections']} × {comparison['load']['streams']}"


# --- text -------------------------------------------------------------------------------------------------------------------


def number(value, digits=1):
    return "" if value is None else f"{value:,.{digits}f}"


def spread(numbers, digits=2):
    """Median, and in brackets the smallest and the largest."""
    if not numbers:
        return ""
    low, high = min(numbers), max(numbers)
    middle = number(median(numbers), digits)
    return middle if len(numbers) == 1 else f"{middle} ({number(low, digits)}–{number(high, digits)})"


def table(head, rows):
    """The first column is text, all others are numbers."""
    lines = [f"| {' | '.join(head)} |", f"| --- | {' | '.join(['---:'] * (len(head) - 1))} |"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def latencies(one):
    return " / ".join(number(median(values(one, figure)), 0) for figure in ("p50_us", "p99_us", "p999_us"))


def machine_text(figures):
    machine = figures.machine
    drafted = "\n\n**A quick run, to see that everything works: the figures mean little.**" if figures.all["quick"] else ""
    return (
        f"Measured on {machine['date']} at commit `{machine['commit']}`: {machine['cores']} cores of {machine['cpu']}, "
        f"{machine['memory_gib']:.0f} GiB, Linux {machine['kernel']}, shared by servers and clients; load average before the first "
        f"measurement {machine['load_average']}. {machine['rustc'].partition(' (')[0]}, tonic {machine['tonic']}, "
        f"Envoy {machine['envoy']} with one worker.{drafted}"
    )


def summary_text(figures):
    """What a reader with one minute wants to know."""
    cached = figures.find("shapes", "cached JWT, 4 x 4")
    floor, ours = cached["columns"][:2]
    gateway = next(one for one in figures.part("Envoy") if one["load"]["connections"] == 32)

    def throughput(beside):
        return number(median(ratios(column(gateway, OURS), column(gateway, beside), "per_second")), 2)

    growing = [bar for bar in figures.all["bars"] if ": CPU at " in bar["what"]]
    most = max(growing, key=lambda bar: bar["measured"]["median"])
    reached = sum(bar["reached"] for bar in figures.all["bars"])
    return "\n".join((
        f"* A Check of a token that has been seen before costs {number(median(ratios(ours, floor, 'authz_cpu_us')), 2)} × the CPU of an "
        f"empty server (4 connections × 4 streams): {number(1e6 / median(values(ours, 'authz_cpu_us')), 0)} a second of one core.",
        f"* Through Envoy with 32 connections: {number(median(values(column(gateway, OURS), 'per_second')), 0)} requests/s, "
        f"{throughput('jwt_authn')} × those of Envoy's own `jwt_authn` without its cache, {throughput('jwt_authn, cache')} × those with it, "
        f"{throughput(FLOOR)} × those of an Envoy that asks the empty server.",
        f"* From 1 to 100 providers, 1 to 1,000 applications, 1,000 to 1,000,000 API tokens, 10 to 100,000 remembered tokens a Check costs "
        f"at most {number(most['measured']['median'], 2)} × as much ({most['what'].partition(':')[0]}).",
        f"* {mib(figures.all['memory'][0]['resident_kib'])} MiB of memory after the start, "
        f"{mib(figures.all['memory'][-1]['resident_kib'])} MiB after {figures.all['memory'][-1]['tokens']:,} distinct tokens.",
        f"* {reached} of {len(figures.all['bars'])} bars reached.",
    ))  # fmt: skip


def bars_text(figures):
    rows = []
    for bar in figures.all["bars"]:
        measured = bar["measured"]
        digits = 2 if bar["limit"] < 10 else 1 if bar["limit"] < 100 else 0
        text = spread(sorted({measured["min"], measured["median"], measured["max"]}), digits)
        relation = {"<=": "≤", ">=": "≥"}[bar["relation"]]
        rows.append([bar["what"].replace(" x ", " × "), text, f"{relation} {bar['limit']:g}{bar['unit']}", "reached" if bar["reached"] else "**missed**"])
    return table(["", "measured", "bar", ""], rows)


def cost_rows(comparisons, label):
    for comparison in comparisons:
        columns = comparison["columns"]
        for at, one in enumerate(columns):
            base = columns[one["base"]]
            if one["base"] == at:
                continue
            yield [
                label(comparison, one),
                spread(values(base, "authz_cpu_us"), 1),
                spread(values(one, "authz_cpu_us"), 1),
                spread(ratios(one, base, "authz_cpu_us")),
                number(median(ratios(one, base, "per_second")), 2),
                f"{latencies(base)} → {latencies(one)}",
            ]


COST_HEAD = ["", "floor, µs CPU", "ours, µs CPU", "CPU by the floor", "Checks/s by the floor", "p50 / p99 / p99.9, µs: floor → ours"]


def shapes_text(figures):
    def label(comparison, one):
        way = "Unix socket" if one["candidate"].endswith("Unix socket") else "TCP"
        return f"{shape(comparison)}, {way}"

    return table(COST_HEAD, cost_rows(figures.part("shapes"), label))


def kinds_text(figures):
    def label(comparison, _):
        return short_name(comparison)

    text = table(COST_HEAD, cost_rows(figures.part("kinds"), label))
    rows = []
    for comparison in figures.part("kinds"):
        if comparison["bare_us"]:
            floor, ours = comparison["columns"]
            above = [mine - other for mine, other in zip(values(ours, "authz_cpu_us"), values(floor, "authz_cpu_us"))]
            verifies = [more / bare for more, bare in zip(above, comparison["bare_us"])]
            rows.append([short_name(comparison), spread(comparison["bare_us"], 1), spread(above, 1), spread(verifies)])
    head = ["", "a bare verify, µs CPU", "above the floor, µs CPU", "in bare verifies"]
    return f"{text}\n\n{table(head, rows)}"


def envoy_text(figures):
    head = ["", "connections", "requests/s", "by no filter", "Envoy, µs CPU", "server that decides, µs CPU", "p50 / p99 / p99.9, µs"]
    rows = []
    for comparison in figures.part("Envoy"):
        none = comparison["columns"][0]
        for one in comparison["columns"]:
            rows.append([
                one["candidate"], str(comparison["load"]["connections"]), spread(values(one, "per_second"), 0),
                number(median(ratios(one, none, "per_second")), 2), spread(values(one, "envoy_cpu_us"), 1),
                spread(values(one, "authz_cpu_us"), 1), latencies(one),
            ])  # fmt: skip
    return table(head, rows)


def rates_text(figures):
    head = ["", "candidate", "p50, µs", "p90, µs", "p99, µs", "p99.9, µs"]
    rows = []
    for part, way in (("rates", "directly"), ("rates, Envoy", "through Envoy")):
        for comparison in figures.part(part):
            for one in comparison["columns"]:
                row = [f"{comparison['load']['rate']:,}/s, {way}", one["candidate"]]
                rows.append(row + [number(median(values(one, f"p{share}_us")), 0) for share in ("50", "90", "99", "999")])
    return table(head, rows)


def growth_text(figures):
    rows = []
    for comparison in figures.part("growth"):
        columns = [one for one in comparison["columns"] if one["candidate"] == OURS]
        for one in columns[1:]:
            floor = [of for of in comparison["columns"] if of["candidate"] == FLOOR and of["size"] == one["size"]]
            rows.append([
                comparison["growing"], f"{columns[0]['size']:,} → {one['size']:,}", spread(values(columns[0], "authz_cpu_us"), 1),
                spread(values(one, "authz_cpu_us"), 1), spread(ratios(one, columns[0], "authz_cpu_us")),
                spread(ratios(one, floor[0], "authz_cpu_us")) if floor else "",
            ])  # fmt: skip
    return table(["what grows", "from → to", "CPU before, µs", "CPU after, µs", "after by before", "by the floor, same request"], rows)


def memory_text(figures):
    points = figures.all["memory"]
    step = max(1, len(points) // 8)
    shown = [points[0], *points[1:-1][step - 1 :: step], points[-1]]
    rows = [[f"{one['tokens']:,}", mib(one["resident_kib"]), mib(one["peak_kib"])] for one in shown]
    ready = f"Ready {spread(figures.all['ready_ms'], 0)} ms after its start with a provider that refuses connections."
    return f"{table(['distinct tokens so far', 'resident, MiB', 'highest so far, MiB'], rows)}\n\n{ready}"


def mib(kib):
    return number(kib / 1024)


def allocations_text(figures):
    counted = figures.all["allocations"]
    if not counted:
        return "Not counted in this run."
    rows = [
        [line["kind"], number(line["floor"]["allocations"]), number(line["service"]["allocations"]),
         number(line["service"]["allocations"] - line["floor"]["allocations"]), number(line["floor"]["bytes"], 0),
         number(line["service"]["bytes"], 0)]
        for line in counted
    ]  # fmt: skip
    return table(["for each Check", "floor", "ours", "more", "floor, bytes", "ours, bytes"], rows)


def sizing_text(figures):
    cpu = {}
    for label, part, start in (
        ("a token seen before, one Envoy with many requests", "shapes", "cached JWT, 4 x 32"),
        ("a token seen before, one request at a time", "shapes", "cached JWT, 1 x 1"),
        ("an API token", "kinds", "API token"),
        ("an RS256 token seen first", "kinds", "RS256 seen first"),
    ):
        cpu[label] = median(values(column(figures.find(part, start), OURS), "authz_cpu_us"))
    rows = [[label, number(us), number(1e6 / us, 0)] for label, us in cpu.items()]
    # One request at a time is the dearest case, and one token in twenty is new.
    assumed = 0.95 * cpu["a token seen before, one request at a time"] + 0.05 * cpu["an RS256 token seen first"]
    needed = [(rate, rate * assumed / 1e6) for rate in RATES]
    replicas = [[f"{rate:,}", number(cores, 2), f"{max(2, math.ceil(cores / LOADED) + 1)}"] for rate, cores in needed]
    peak = max(point["peak_kib"] for point in figures.all["memory"])
    return "\n\n".join((
        table(["a Check of", "µs CPU", "Checks/s of one core"], rows),
        f"For a mix in which every twentieth token is new and requests come one at a time ({number(assumed)} µs CPU a Check), with "
        f"replicas of one core that are at most {LOADED:.0%} busy, and one more than that needs:",
        table(["requests/s", "cores busy", "replicas"], replicas),
        f"Memory: {mib(figures.all['memory'][0]['resident_kib'])} MiB after the start, at most {mib(peak)} MiB with "
        f"{figures.all['memory'][-1]['tokens']:,} distinct tokens; a limit of {math.ceil(peak / 1024 * 2 / 64) * 64} MiB leaves as "
        f"much again.",
    ))  # fmt: skip


TEXTS = {
    "machine": machine_text,
    "summary": summary_text,
    "bars": bars_text,
    "shapes": shapes_text,
    "kinds": kinds_text,
    "Envoy": envoy_text,
    "growth": growth_text,
    "rates": rates_text,
    "memory": memory_text,
    "allocations": allocations_text,
    "sizing": sizing_text,
}


def filled(page, figures):
    """The page with all generated parts anew."""
    for name, text in TEXTS.items():
        begin, end = f"<!-- generated: {name} -->", "<!-- end -->"
        if page.count(begin) != 1:
            raise Failure(f"{PAGE.relative_to(ROOT)} must have one '{begin}'")
        before, _, rest = page.partition(begin)
        after = rest.partition(end)[2]
        page = f"{before}{begin}\n{text(figures)}\n{end}{after}"
    return page


# --- commands ---------------------------------------------------------------------------------------------------------------


def plots_of(page):
    return [PLOTS / name for name in re.findall(r"\(performance/([\w-]+\.svg)\)", page)]


def check():
    figures = Figures(FIGURES.read_text(encoding="utf-8"))
    if figures.all["quick"]:
        raise Failure(f"{FIGURES.relative_to(ROOT)} is of a quick run")
    page = PAGE.read_text(encoding="utf-8")
    if filled(page, figures) != page:
        raise Failure(f"{PAGE.relative_to(ROOT)} is not what {FIGURES.relative_to(ROOT)} says: run scripts/performance.py --figures {FIGURES.relative_to(ROOT)}")
    for plot in plots_of(page):
        if not plot.is_file() or figures.digest not in plot.read_text(encoding="utf-8"):
            raise Failure(f"{plot.relative_to(ROOT)} is not drawn from {FIGURES.relative_to(ROOT)}")


def write(source, png):
    from performance_plots import draw  # needs matplotlib, which the check does not

    text = source.read_text(encoding="utf-8")
    figures = Figures(text)
    page = filled(PAGE.read_text(encoding="utf-8"), figures)
    drawn = draw(figures, PLOTS, png)
    if sorted(drawn) != sorted(plots_of(page)):
        raise Failure(f"{PAGE.relative_to(ROOT)} must show each of {', '.join(plot.name for plot in drawn)} once")
    FIGURES.write_text(text, encoding="utf-8")
    PAGE.write_text(page, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figures", type=Path, default=MEASURED, help="what `make bench` has written")
    parser.add_argument("--png", type=Path, help="also write PNGs there, on a light and on a dark ground, to look at")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when page or plots are not those of the figures")
    arguments = parser.parse_args()
    if arguments.check:
        check()
    else:
        write(arguments.figures, arguments.png)


if __name__ == "__main__":
    try:
        main()
    except (Failure, OSError) as failure:
        sys.exit(f"performance.py: {failure}")
