"""Results: their shape, the table on the screen, docs/benchmarks.md."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench.gauge import FULL, counted
from bench.metrics import METRICS, Metric
from bench.servers import LABELS, ROOT, asked

RESULTS = ROOT / "bench" / "results"
DOCUMENT = ROOT / "docs" / "benchmarks.md"
Result = dict[str, Any]


def newest() -> Result:
    result: Result = json.loads(max(RESULTS.glob("*.json")).read_text())
    return result


def value(result: Result, server: str, key: str) -> float | None:
    """The median of the rounds that count, or None where there is no figure."""
    figure = result["figures"].get(server, {}).get(key, {})
    if "rounds" not in figure:
        return None
    if "speeds" not in figure:
        return float(statistics.median(figure["rounds"]))
    return float(statistics.median(figure["rounds"][at] for at in counted(figure["speeds"])))


def slowed(result: Result, server: str, key: str) -> str:
    """At what part of its speed the machine ran for that figure, where it was not its full speed."""
    speeds = result["figures"].get(server, {}).get(key, {}).get("speeds")
    if not speeds:
        return ""
    speed = statistics.median(speeds[at] for at in counted(speeds))
    return "" if speed >= FULL else f" ({speed:.0%})"


def pace(result: Result) -> str:
    """How often the machine was at its full speed, and how many of the figures with a clock were."""
    timed = [
        (server, key) for server, figures in result["figures"].items() for key in figures if "speeds" in figures[key]
    ]
    full = sum(not slowed(result, *each) for each in timed)
    return (
        f"The machine ran at its full speed for {result['full_speed_share']:.0%} of the run, which took "
        f"{result['minutes']} minutes, and for {full} of the {len(timed)} figures with a time in them. A percentage "
        "after a figure says at what part of its speed the machine ran for it, where that is below "
        f"{FULL:.0%}: such a figure compares badly with one without."
    )


def ratio(result: Result, metric: Metric, peer: str) -> float | None:
    """How many times better Pileus is than the peer."""
    ours, theirs = value(result, "pileus", metric.key), value(result, peer, metric.key) if peer else None
    if not ours or not theirs:
        return None
    return ours / theirs if metric.more else theirs / ours


def missed(result: Result) -> list[str]:
    """The bars that Pileus does not reach, in words."""
    found = []
    for metric in METRICS:
        ours = value(result, "pileus", metric.key)
        if ours is None:
            if "cannot" in result["figures"].get("pileus", {}).get(metric.key, {}):
                found.append(f"{metric.label}: no figure")
            continue
        if metric.bar is not None and (ours < metric.bar if metric.more else ours > metric.bar):
            slow = slowed(result, "pileus", metric.key)
            found.append(f"{metric.label}: {number(ours)} {metric.unit}{slow}, the bar is {number(metric.bar)}")
        times = ratio(result, metric, "ministack")
        if metric.times is not None and times is not None and times < metric.times:
            found.append(f"{metric.label}: {number(times)}× MiniStack, the bar is {number(metric.times)}×")
        times = ratio(result, metric, metric.ahead_of)
        if times is not None and times < 1:
            found.append(f"{metric.label}: {number(times)}× {LABELS[metric.ahead_of]}, the bar is to be ahead of it")
    return found


def number(figure: float) -> str:
    """Three digits that mean something."""
    if figure >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.1f}" if figure >= 10 else f"{figure:.2f}"


def _tables(result: Result) -> list[tuple[list[str], list[list[str]]]]:
    """Header and rows of each table: one for what all are asked, further ones for cases with peers of their own."""
    measured = [metric for metric in METRICS if any(metric.key in each for each in result["figures"].values())]
    groups: dict[tuple[str, ...], list[Metric]] = {}
    for metric in measured:
        groups.setdefault(tuple(each for each in result["figures"] if asked(each, metric.case)), []).append(metric)
    return [_table(result, list(servers), metrics) for servers, metrics in groups.items()]


def _table(result: Result, servers: list[str], metrics: list[Metric]) -> tuple[list[str], list[list[str]]]:
    peers = [server for server in servers if server != "pileus"]
    header = ["", "", *(LABELS[server] for server in servers)]
    compared = "pileus" in servers
    if compared:
        header += [f"× {LABELS[peer]}" for peer in peers] + ["bar"]
    rows = []
    for metric in metrics:
        cells = [metric.label, metric.unit]
        for server in servers:
            figure = value(result, server, metric.key)
            missing = "cannot" if "cannot" in result["figures"][server].get(metric.key, {}) else "not asked"
            cells.append(missing if figure is None else number(figure) + slowed(result, server, metric.key))
        if compared:
            ratios = [ratio(result, metric, peer) for peer in peers]
            cells += ["" if times is None else f"{number(times)}×" for times in ratios] + [_bar(metric)]
        rows.append(cells)
    return header, rows


def _bar(metric: Metric) -> str:
    parts = [] if metric.bar is None else [f"{'≥' if metric.more else '≤'} {number(metric.bar)}"]
    parts += [] if metric.times is None else [f"≥ {metric.times:g}× MiniStack"]
    return ", ".join(parts + ([f"> {LABELS[metric.ahead_of]}"] if metric.ahead_of else []))


def cannots(result: Result) -> list[str]:
    """What a server could not do, with the error seen; once where one error stopped several figures of a case."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for server, figures in result["figures"].items():
        for metric in METRICS:
            if error := figures.get(metric.key, {}).get("cannot"):
                found.setdefault((server, metric.case, error), []).append(metric.label)
    lines = []
    for (server, case, error), labels in found.items():
        more = f" and {len(labels) - 1} more of {case}" if len(labels) > 1 else ""
        lines.append(f"{LABELS[server]} cannot: {labels[0]}{more}. The error: {error}")
    return lines


def show(result: Result) -> None:
    console = Console(width=None if Console().is_terminal else 240, highlight=False)
    for header, rows in _tables(result):
        table = Table(box=SIMPLE)
        for position, title in enumerate(header):
            table.add_column(title, justify="left" if position in (0, 1, len(header) - 1) else "right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print(pace(result), markup=False)
    for line in cannots(result):
        console.print(line, markup=False)
    if "pileus" in result["figures"]:
        lines = missed(result)
        console.print("Bars missed:" if lines else "Every bar is met.")
        for line in lines:
            console.print(f"  {line}", markup=False)


def save(result: Result) -> Path:
    """Keep a whole run, and write the page from it."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{result['date'].replace(':', '')}-{result['commit'][:7]}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    document(newest())
    return path


def document(result: Result) -> None:
    machine = result["machine"]
    versions = ", ".join(f"{LABELS.get(name, name)} {version}" for name, version in result["versions"].items())
    tables = []
    for header, rows in _tables(result):
        table = [header, ["---", "---", *(["---:"] * (len(header) - 3)), "---"], *rows]
        tables += [*("| " + " | ".join(row) + " |" for row in table), ""]
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench` from its newest result; the method is explained below the figures.",
        "",
        f"{result['date']}, commit {result['commit'][:7]}. {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}, data on {machine['filesystem']} where one fsync takes "
        f"{machine['fsync_ms']} ms. {versions}. Load: {machine['load']}. The machine was "
        f"{result['busy_share']:.0%} busy with other things when the cases began (median).",
        "",
        pace(result),
        "",
        *tables,
        *(f"- {line}" for line in cannots(result)),
        "",
        "Bars that Pileus holds itself to and missed in this run:" if missed(result) else "Every bar is met.",
        "",
        *(f"- {line}" for line in missed(result)),
        "",
        (Path(__file__).parent / "method.md").read_text().strip(),
    ]
    DOCUMENT.parent.mkdir(exist_ok=True)
    text = "\n".join(lines)
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    DOCUMENT.write_text(text + "\n")
