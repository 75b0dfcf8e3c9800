#!/usr/bin/env -S python3 -B
"""Draws results files and writes their tables. Of a row the first file counts that has it.

  draw.py build/bench/results.json...                      docs/performance/*.svg, the tables of docs/PERFORMANCE.md
  draw.py build/bench/results.json... --preview FOLDER     the same into a folder; the only way to look at a quick run
"""

import os
import re
import shutil
import sys

import charts
import report
import results as reading
import targets
from results import FLOOR, SARSEN, number

PAGE = "docs/PERFORMANCE.md"
FOLDER = "docs/performance"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
SIZES = (("100", "100 B", 100), ("1k", "1 KiB", 1 << 10), ("16k", "16 KiB", 16 << 10), ("256k", "256 KiB", 256 << 10))


class Drawing:
    def __init__(self, results, folder):
        self.results, self.folder = results, folder
        self.drawn = []  # (file, title)
        self.shown = [FLOOR, SARSEN] + results.peers
        machine = results.machine
        told = f"median, least and most of {results.rounds_told()}"
        self.where = f"{machine['processor']}, {machine['cores']} cores; {told}"

    def save(self, name, title, svg):
        with open(os.path.join(self.folder, name + ".svg"), "w", encoding="utf-8") as file:
            file.write(svg)
        self.drawn.append((name + ".svg", title))

    def groups(self, rows):
        """(name, [(engine, values)]) for rows that were measured."""
        out = []
        for row, name in rows:
            engines = [(engine, self.results.values(row, engine)) for engine in self.shown]
            engines = [(engine, values) for engine, values in engines if values]
            if engines:
                out.append((name, engines))
        return out

    def bars(self, name, title, label, rows, log=False, note=""):
        groups = self.groups(rows)
        if groups:
            self.save(name, title, charts.bars(title, note or self.where, label, groups, log))

    def lines(self, name, title, label, x_label, series, ticks, note="", **how):
        series = [(engine, points) for engine, points in series if len(points) > 1]
        if series:
            self.save(name, title, charts.lines(title, note or self.where, label, x_label, series, ticks, **how))

    def percentiles(self, name, title, row):
        """Latency over the share of commits that took longer, as HDR plots have it."""
        series = []
        for engine in self.shown:
            told = dict(self.results.percentiles(row, engine))
            # A share is told only where ten calls at least took longer.
            calls = sum(one["operations"] for one in self.results.rounds(row, engine))
            shares = [share for share in told if 0 < share and (1 - share) * calls >= 10]
            points = [(1 / (1 - share), told[share] / 1000) for share in shares]
            series.append((engine, [(x, max(y, 0.01)) for x, y in points]))
        most = max((x for _, points in series for x, _ in points), default=0)
        ticks = [(1 / (1 - share), text) for share, text in (
            (0.1, "10 %"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %"),
            (0.99999, "99.999 %")) if 1 / (1 - share) <= most * 1.01]
        self.lines(name, title, "µs", "share of calls that took at most so long", series, ticks, x_log=True)

    def all(self):
        durable = [(f"append.power.kv.{size}.t1", text) for size, text, _ in SIZES]
        self.bars("durable", "Durable commits, one thread: a second, more is better", "commits a second",
                  durable, log=True)
        threads = [(f"append.power.kv.100.t{count}", f"{count} thread{'s' * (count > 1)},\nblocking")
                   for count in (1, 4, 16)]
        tickets = [(f"tickets.kv.100.t{count}", f"{count} threads,\ntickets") for count in (4, 16)]
        self.bars("durable_threads", "Durable commits of 100 B by many threads: a second, more is better",
                  "commits a second", threads + tickets, log=True)
        self.bars("process_safe", "Appends that survive kill -9: time, less is better", "ns an append",
                  [("append.process.block.100.t1", "block 100 B"), ("append.process.block.1k.t1", "block 1 KiB"),
                   ("append.process.kv.100.t1", "pair 100 B"), ("append.process.stream.100.t1", "record 100 B"),
                   ("append.process.memory.100.t1", "memory 100 B")], log=True)
        for size in self.results.sizes:
            self.bars(f"reads_{size}", f"Reads of {size} pairs: time, less is better", "ns",
                      [(f"get.hit.snapshot.t1.{size}", "get, hit"), (f"get.many64.{size}", "64 gets at once, each"),
                       (f"get.miss.snapshot.t1.{size}", "get, miss"), (f"scan.full.{size}", "scan, an entry")],
                      log=True)
        self.bars("loads", "Loads in batches of 1,000: seconds, less is better", "s",
                  [(f"load.{size}", f"{size} pairs") for size in self.results.sizes], log=True)
        self.bars("blocks", "64 KiB blocks, every byte summed: more is better", "GB/s",
                  [("block64k.first_touch", "checked when first touched"),
                   ("block64k.every_read", "checked at every read")])
        self.bars("streams", "Stream records of 64 B: time, less is better", "ns a record",
                  [("stream.append", "append, batches of 1,000"), ("stream.read", "read back")], log=True)
        self.bars("opening", "Opening, with the first read: time, less is better", "ms",
                  [(f"open.{how}.{size}", f"{text}, {size} pairs") for size in self.results.sizes
                   for how, text in (("clean", "clean"), ("killed", "after a kill"))], log=True)
        self.percentiles("latency_durable", "A durable commit of 100 B: latency", "append.power.kv.100.t1")
        self.percentiles("latency_writer", "A writer of 1 KiB at 20,000/s beside a reader: latency", "beside.writer")
        self.percentiles("latency_reader", "The reader beside that writer: latency", "beside.reader")
        self.cost()
        self.churn()

    def cost(self):
        def over(rows):
            told = [(engine, [(x, self.results.value(row, engine)) for x, row in rows]) for engine in self.shown]
            return [(engine, [(x, y) for x, y in points if y]) for engine, points in told]

        blocks = [(size, f"append.process.block.{name}.t1") for name, _, size in SIZES]
        self.lines("cost_of_size", "Process-safe append against the block's size", "ns", "block", over(blocks),
                   [(size, text) for _, text, size in SIZES], x_log=True)
        sizes = [(size, reading.size_name(size)) for size in self.results.row_sizes]
        self.lines("cost_of_store", "Point read against the number of pairs", "ns", "pairs",
                   over([(size, f"get.hit.snapshot.t1.{name}") for size, name in sizes]), sizes, x_log=True)

    def churn(self):
        disk, rate = [], []
        for engine in self.shown:
            rounds = self.results.rounds("churn.rate", engine)
            points = rounds[len(rounds) // 2].get("series", []) if rounds else []
            disk.append((engine, [(part, size / live) for part, _, size, live in points]))
            rate.append((engine, [(part, speed) for part, speed, _, _ in points]))
        ticks = [(part, str(part)) for part in range(1, 11)]
        note = "keys drawn at random, 9 of 10 overwritten, 1 deleted; one round"
        self.lines("churn_disk", "Disk space while everything is overwritten ten times", "× live data",
                   "times the data size was written", disk, ticks, y_log=False, note=note)
        self.lines("churn_rate", "Changes a second meanwhile", "changes a second", "times the data size was written",
                   rate, ticks, note=note)


def table(head, lines):
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return out + ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]


def page(results, drawn):
    machine = results.machine
    started = " and ".join(part["started"] for part in results.parts)
    # Whoever built the kernel, and which options the mount has, tells a reader nothing.
    kernel, *_ = machine["kernel"].split("-")
    places = {name: system.split(",")[0] for name, system in results.systems.items()}
    out = [
        "",
        f"Measured {started} on {machine['processor']}, {machine['cores']} cores, {machine['memory']}, "
        f"{machine['system']}, {kernel}; {results.rounds_told()}. "
        + " ".join(f"Place '{name}': {system}." for name, system in places.items()),
        "Noise: " + "; ".join(results.noise()) + ".",
        "",
        "### Targets",
        "",
    ]
    bounds = targets.of(results)
    lines = [(f"`{one.row}`", one.text, one.told(), one.verdict) for one in bounds]
    out += table(["row", "target", "reached", ""], lines)
    out += ["", "### Where sarsen is behind", ""]
    behind = [one for one in bounds if one.verdict == "missed"]
    compared = [(name, results.best_peer(name)) for name in results.rows]
    compared = [(name, peer, results.against(name, peer)) for name, peer in compared if peer]
    slower = [(name, peer, ratio) for name, peer, ratio in compared if ratio and ratio < 1]
    if not behind and not slower:
        out.append("In no row of this run: every target is reached and no peer is faster.")
    out += [f"- `{one.row}`: target {one.text}, reached {one.told()}" for one in behind]
    out += [f"- `{name}`: {peer} is faster, sarsen has {ratio:.2f} × its speed" for name, peer, ratio in slower]
    out += ["", "### Every row", ""]
    for place in results.places:
        if len(results.places) > 1:
            out += [f"{place}:", ""]
        out += table(
            ["row", "unit", "sarsen", "least–most", "floor", "to floor", "best peer", "to it"],
            [(f"`{line['row']}`", line["unit"], line["sarsen"], line["range"], line["floor"], line["to floor"],
              line["peer"], line["to peer"]) for line in report.rows_table(results) if line["place"] == place],
        ) + [""]
    out += ["### Engines", ""]
    engines = [(one["name"], one["version"], one["note"]) for one in results.told.values()]
    out += table(["engine", "version", "set up"], engines)
    out += ["", "### Charts", ""]
    for name, title in drawn:
        out += [f"![{title}](performance/{name})", ""]
    return "\n".join(out)


def main():
    files, preview = sys.argv[1:], None
    if files[-2:-1] == ["--preview"]:
        files, preview = files[:-2], files[-1]
    if not files or any(file.startswith("-") for file in files):
        sys.exit(__doc__)
    results = reading.load(files)
    if not preview and (results.is_quick or results.failures):
        sys.exit("draw.py: a quick run, or one with failures, doesn't go into the documents; use --preview FOLDER")
    source = os.path.join(os.path.dirname(__file__), "..", PAGE)
    target = os.path.join(preview, "PERFORMANCE.md") if preview else source
    folder = os.path.join(preview, "performance") if preview else os.path.join(os.path.dirname(__file__), "..", FOLDER)
    if os.path.isdir(folder):
        shutil.rmtree(folder)
    os.makedirs(folder)
    drawing = Drawing(results, folder)
    drawing.all()
    with open(source, encoding="utf-8") as file:
        text = file.read()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"draw.py: {PAGE} has lost its markers {BEGIN} and {END}")
    body = page(results, drawing.drawn)
    text = re.sub(re.escape(BEGIN) + ".*" + re.escape(END), lambda _: f"{BEGIN}\n{body}\n{END}", text, flags=re.S)
    with open(target, "w", encoding="utf-8") as file:
        file.write(text)
    print(f"{len(drawing.drawn)} charts in {os.path.normpath(folder)}, tables in {os.path.normpath(target)}")


if __name__ == "__main__":
    main()
