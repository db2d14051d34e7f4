"""What was measured of each, and how it is said: tables, the plot's numbers, and which aims are met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import methodcaller

from bench.figures import median, percentile
from bench.peers.contestants import BARE, BARE_CLASSIC, OURS, OURS_CLASSIC

WHOLE = "Buildyard, whole"


@dataclass
class Port:
    """Runs of one contestant without results; latencies in ms of each message, rates in messages/s by prefetch."""

    name: str
    queue: str
    latencies: list[list[float]] = field(default_factory=list)
    rates: dict[int, list[float]] = field(default_factory=dict)
    cpu_us: dict[int, list[float]] = field(default_factory=dict)
    pss_mb: list[float] = field(default_factory=list)

    def start(self, share: float) -> float:
        """A percentile of the start latency: the median of the runs', since one disturbed run has all the outliers."""
        return median([percentile(run, share) for run in self.latencies])

    def rate(self, prefetch: int) -> float:
        """Messages/s; 0 where it was not measured."""
        return median(self.rates[prefetch]) if prefetch in self.rates else 0.0


@dataclass
class Batch:
    """Runs of a batch with results stored: rows/s, and processor seconds of workers and client (and producer)."""

    name: str
    where: str
    rates: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)


@dataclass
class Product:
    """The whole product: ms from commit to the first stage, by run; what its idle worker takes."""

    latencies: list[list[float]] = field(default_factory=list)
    pss_mb: list[float] = field(default_factory=list)
    cpu_percent: list[float] = field(default_factory=list)

    def start(self, share: float) -> float:
        """As `Port.start`."""
        return median([percentile(run, share) for run in self.latencies])


def ports_table(ports: Sequence[Port], product: Product) -> str:
    """Start, consume loop and memory of each."""
    head = (
        "| | queue | start p50 / p99, ms | prefetch 1, messages/s | CPU, µs | prefetch 50, messages/s | CPU, µs "
        "| idle, MB |\n|---|---|--:|--:|--:|--:|--:|--:|"
    )
    lines = [
        f"| {one.name.split(' on ')[0]} | {one.queue} | {_start(one)} | {_with_spread(one.rates.get(1))} "
        f"| {_middle(one.cpu_us.get(1))} | {_with_spread(one.rates.get(50))} | {_middle(one.cpu_us.get(50))} "
        f"| {median(one.pss_mb):.0f} |"
        for one in ports
    ]
    whole = f"| {WHOLE} | quorum | {_start(product)} | | | | | {median(product.pss_mb):.0f} |"
    return "\n".join([head, whole, *lines])


def batches_table(batches: Sequence[Batch], rows: int) -> str:
    """Rows/s of each."""
    head = f"| {rows:,} rows | results in | rows/s | CPU, s |\n|---|---|--:|--:|"
    lines = [
        f"| {one.name} | {one.where} | {_with_spread(one.rates)} | {median(one.cpu_seconds):.1f} |" for one in batches
    ]
    return "\n".join([head, *lines])


def aims(ports: Sequence[Port], batches: Sequence[Batch], product: Product) -> str:
    """Each aim with what became of it, and who is ahead where somebody is."""
    by_name = {one.name: one for one in ports}
    ours, classic, bare, bare_classic = (by_name[name] for name in (OURS, OURS_CLASSIC, BARE, BARE_CLASSIC))
    peers = [one for one in ports if one not in (ours, classic, bare, bare_classic)]
    lines = [
        _over_floor("start p50", ours.start(0.5), bare.start(0.5)),
        _over_floor("start p99", ours.start(0.99), bare.start(0.99)),
        _ahead("start p50, lower is better", ours, classic, peers, lambda one: -one.start(0.5)),
        _verdict(
            product.start(0.5) <= 15 and product.start(0.99) <= 40,
            f"whole product, commit to stage started: p50 {product.start(0.5):.1f} ms (aim 15), "
            f"p99 {product.start(0.99):.1f} ms (aim 40)",
        ),
    ]
    for prefetch in (1, 50):
        lines += [
            _of_floor(f"prefetch {prefetch}", ours.rate(prefetch), bare.rate(prefetch)),
            _ahead(f"prefetch {prefetch}", ours, classic, peers, methodcaller("rate", prefetch)),
        ]
    own = [one for one in batches if one.name.startswith(WHOLE)]
    best = max((one for one in batches if one not in own), key=lambda one: median(one.rates))
    for one in own:
        times = median(one.rates) / median(best.rates)
        sentence = f"rows/s, {one.name}: {times:.2f} times {best.name} ({best.where}), the fastest other (aim 1.50)"
        lines.append(_verdict(times >= 1.5, sentence))
    lines += [
        _verdict(
            median(product.pss_mb) <= 35 and median(product.cpu_percent) < 0.5,
            f"idle worker: {median(product.pss_mb):.0f} MB (aim 35), "
            f"{median(product.cpu_percent):.2f} % of a core (aim 0.5)",
        ),
    ]
    return "\n".join(lines)


def plotted(ports: Sequence[Port], batches: Sequence[Batch], product: Product) -> dict[str, list[dict[str, object]]]:
    """The plot's panels: title to bars with a name, a value and the lowest and highest run."""
    starts = [_bar(WHOLE, [percentile(run, 0.5) for run in product.latencies])]
    starts += [_bar(one.name, [percentile(run, 0.5) for run in one.latencies]) for one in ports]
    return {
        "start, p50 in ms (less is better)": starts,
        "prefetch 1, messages/s": [_bar(one.name, one.rates[1]) for one in ports if 1 in one.rates],
        "prefetch 50, messages/s": [_bar(one.name, one.rates[50]) for one in ports],
        "rows/s, results stored": [_bar(f"{one.name}, {one.where}", one.rates) for one in batches],
        "idle worker, MB (less is better)": [
            _bar(WHOLE, product.pss_mb),
            *(_bar(one.name, one.pss_mb) for one in ports),
        ],
    }


def _over_floor(what: str, ours: float, floor: float) -> str:
    times = ours / floor
    return _verdict(times <= 1.1, f"{what}: {times:.2f} times the client library alone, same queue (aim at most 1.10)")


def _of_floor(what: str, ours: float, floor: float) -> str:
    share = ours / floor
    return _verdict(share >= 0.9, f"{what}: {share:.2f} of the client library alone, same queue (aim at least 0.90)")


def _ahead(what: str, ours: Port, classic: Port, peers: Sequence[Port], good: Callable[[Port], float]) -> str:
    """Who is ahead of us, on our own queue and on theirs."""
    said = []
    for mine in (ours, classic):
        before = [one.name for one in peers if good(one) > good(mine)]
        ahead = ", ".join(before) or "nobody"
        said.append(f"on {mine.queue}: {ahead}")
    return _verdict(all(one.endswith("nobody") for one in said), f"{what}: ahead of the port {'; '.join(said)}")


def _verdict(met: bool, sentence: str) -> str:  # noqa: FBT001 - the outcome is the argument
    return f"- {'met' if met else '**not met**'}: {sentence}."


def _bar(name: str, values: Sequence[float]) -> dict[str, object]:
    return {"name": name, "value": median(values), "low": min(values), "high": max(values)}


def _start(one: Port | Product) -> str:
    runs = [percentile(run, 0.5) for run in one.latencies]
    return f"{one.start(0.5):.2f} ({min(runs):.2f} to {max(runs):.2f}) / {one.start(0.99):.1f}"


def _with_spread(values: Sequence[float] | None) -> str:
    return f"{median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})" if values else ""


def _middle(values: Sequence[float] | None) -> str:
    return f"{median(values):.0f}" if values else ""
