"""The results file of sarsen_bench: medians, speeds, ratios. Python 3, standard library only."""

import json
import statistics

FLOOR, SARSEN = "floor", "sarsen"


def load(paths):
    """Of several files, each with some of the rows: of a row the first file that has it."""
    parts = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            parts.append(json.load(file))
    return Results(parts)


class Results:
    def __init__(self, parts):
        self.parts = parts
        self.rows = first_of((row["name"], row) for part in parts for row in part["rows"])
        self.told = first_of((engine["name"], engine) for part in parts for engine in part["engines"])
        self.systems = first_of(place for part in parts for place in part["places"].items())
        self.engines = list(self.told)
        self.peers = [name for name, engine in self.told.items() if engine["role"] == "peer"]
        self.places = list(self.systems)
        self.row_sizes = sorted({size for part in parts for size in part["sizes"]})
        self.sizes = [size_name(size) for size in self.row_sizes]
        self.machine = parts[0]["machine"]
        self.is_quick = any(part["quick"] for part in parts)
        self.failures = [failure for part in parts for failure in part["failures"]]

    def rounds(self, row, engine, place=None):
        """What each round measured; nothing where the engine has no part in the row."""
        if row not in self.rows:
            return []
        return self.rows[row]["places"].get(place or self.places[0], {}).get(engine, [])

    def rounds_told(self):
        counts = sorted({part["rounds"] for part in self.parts})
        several = counts[-1] > 1
        return f"{' or '.join(str(count) for count in counts)} round{'s' * several}"

    def noise(self):
        """One sentence on each calibration of each part."""
        return [sentence for part in self.parts for sentence in self.noise_of(part["noise"])]

    @staticmethod
    def noise_of(noise):
        told = [("a fixed piece of work", "ns a step", noise["work_ns"])]
        told += [(f"a small synced write ({place})", "µs", spread) for place, spread in noise["sync_us"].items()]
        return [
            f"{what} took {number(spread['median'])} {unit} in the median of {spread['count']} measurements, "
            f"{number(spread['p10'])} to {number(spread['p90'])} from the 10th to the 90th percentile, "
            f"{number(spread['most'])} at worst"
            for what, unit, spread in told
            if spread
        ]

    def values(self, row, engine, place=None):
        return [one["value"] for one in self.rounds(row, engine, place)]

    def value(self, row, engine, place=None):
        values = self.values(row, engine, place)
        return statistics.median(values) if values else None

    def figure(self, row, engine, name):
        figures = [one["figures"][name] for one in self.rounds(row, engine) if name in one.get("figures", {})]
        return statistics.median(figures) if figures else None

    def percentiles(self, row, engine):
        """(share, nanoseconds), each the median of the rounds."""
        every = [one["percentiles"] for one in self.rounds(row, engine) if one.get("percentiles")]
        if not every:
            return []
        shares = [share for share, _ in every[0]]
        return [(share, statistics.median(one[at][1] for one in every)) for at, share in enumerate(shares)]

    def speed(self, row, engine, place=None):
        value = self.value(row, engine, place)
        if not value:
            return None
        return value if self.rows[row]["more_is_better"] else 1 / value

    def against(self, row, other_engine, other_row=None, place=None):
        """How many times as fast as another engine sarsen is."""
        mine, other = self.speed(row, SARSEN, place), self.speed(other_row or row, other_engine, place)
        return mine / other if mine and other else None

    def best_peer(self, row, among=None, place=None):
        peers = [peer for peer in (among or self.peers) if self.speed(row, peer, place)]
        return max(peers, key=lambda peer: self.speed(row, peer, place), default=None)


def first_of(pairs):
    out = {}
    for name, value in pairs:
        out.setdefault(name, value)
    return out


def size_name(size):
    for unit, letter in ((1_000_000, "m"), (1000, "k")):
        if size % unit == 0:
            return f"{size // unit}{letter}"
    return str(size)


def number(value):
    if value is None:
        return "–"
    if value >= 10_000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
