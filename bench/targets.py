"""What sarsen is to reach in one run on one machine, as ratios to the floor and to the peers, and whether it does."""

from results import FLOOR, number

CLASSIC = ["lmdb", "rocksdb", "leveldb", "sqlite"]
CHECKING = ["rocksdb", "leveldb"]
MIB = 1 << 20


class Target:
    """One bound. `reached` is told in the unit of the bound; a target without figures is 'not measured'."""

    def __init__(self, row, text, reached, good):
        self.row, self.text = row, text
        self.reached = reached
        self.verdict = "not measured" if reached is None else "ok" if good(reached) else "missed"

    def told(self):
        return number(self.reached)


def of(results):
    """Every target whose row this run has."""
    out = []

    def add(row, text, reached, good):
        if row in results.rows:
            out.append(Target(row, text, reached, good))

    def floor_rate(row, bound, floor_row=None):
        add(row, f"≥ {bound} × the floor", results.against(row, FLOOR, floor_row), lambda it: it >= bound)

    def floor_time(row, bound, floor_row=None):
        speed = results.against(row, FLOOR, floor_row)
        add(row, f"≤ {bound} × the floor's time", 1 / speed if speed else None, lambda it: it <= bound)

    def peer(row, bound, among=None, peer_row=None):
        best = results.best_peer(peer_row or row, among)
        names = " or ".join(among) if among and len(among) < 3 else "these four" if among else "the best peer"
        told = f"≥ {bound} × {names}" + (f" ({best})" if best and not (among and len(among) == 1) else "")
        add(row, told, results.against(row, best, peer_row) if best else None, lambda it: it >= bound)

    def at_most(row, bound, unit, reached, what=""):
        add(row, f"{what}≤ {bound} {unit}", reached, lambda it: it <= bound)

    for kind in ("kv", "block"):
        for size, bound, ratio in (("100", 0.9, 1.25), ("1k", 0.9, 1.25), ("16k", 0.8, 1.4), ("256k", 0.7, 1.5)):
            row = f"append.power.{kind}.{size}.t1"
            floor_rate(row, bound)
            if size in ("100", "1k"):
                peer(row, ratio, CLASSIC)
                peer(row, 1, ["fjall"])
            else:
                peer(row, ratio)
    for threads, bound in (("t4", 0.4), ("t16", 0.35)):
        row, tickets = f"append.power.kv.100.{threads}", f"tickets.kv.100.{threads}"
        floor_rate(row, bound)
        peer(row, 1.5)
        floor_rate(tickets, 0.8, row)
        peer(tickets, 3, peer_row=row)

    for row, time, ratio in (
        ("block.100", 3, 6),
        ("block.1k", 3, 5),
        ("kv.100", 7, 3),
        ("block.16k", 2.5, 3),
        ("block.256k", 2, 2),
    ):
        floor_time(f"append.process.{row}.t1", time)
        peer(f"append.process.{row}.t1", ratio)

    for size in results.sizes:
        peer(f"load.{size}", 3)
        single = f"get.hit.snapshot.t1.{size}"
        floor_time(single, 1.8)
        peer(single, 2.2, ["lmdb"])
        floor_time(f"get.many64.{size}", 1, single)
        peer(f"get.many64.{size}", 5, ["lmdb"], single)
        floor_time(f"get.miss.snapshot.t1.{size}", 2.5)
        peer(f"get.miss.snapshot.t1.{size}", 3)
        for scan in (f"scan.full.{size}", f"scan.range100.{size}"):
            floor_time(scan, 3)
            peer(scan, 1.4, ["lmdb"])

    floor_rate("block64k.every_read", 0.55, "block64k.first_touch")
    peer("block64k.every_read", 1, CHECKING, "block64k.first_touch")
    floor_rate("block64k.first_touch", 0.95)
    peer("block64k.first_touch", 0.95, ["lmdb"])
    floor_time("stream.append", 2)
    peer("stream.append", 5)
    floor_time("stream.read", 2.5)
    peer("stream.read", 1.4, ["lmdb"])

    for size in results.sizes:
        row = f"open.clean.{size}"
        at_most(row, 3, "ms", results.value(row, "sarsen"))
        row = f"open.killed.{size}"
        at_most(row, 150, "ms", results.value(row, "sarsen"))
        peer(row, 5, ["leveldb", "rocksdb"])

    at_most("beside.writer", 15, "µs at p99.9", results.value("beside.writer", "sarsen"))
    longest = results.figure("beside.writer", "sarsen", "max_us")
    at_most("beside.writer", 5, "ms", longest / 1000 if longest else None, "at worst ")
    peer("beside.writer", 1)
    at_most("beside.reader", 3, "µs at p99.9", results.value("beside.reader", "sarsen"))
    peer("beside.reader", 1)

    at_most("churn.disk", 1.5, "× live data", results.figure("churn.disk", "sarsen", "at_end_to_live"), "disk ")
    peer("churn.disk", 1, ["rocksdb", "lmdb"])
    add(
        "churn.rate",
        "last tenth ≥ 0.7 × the first",
        results.figure("churn.rate", "sarsen", "last_to_first"),
        lambda it: it >= 0.7,
    )

    # Bounds of sarsen's own. Memory: the default budget of 64 MiB and 16 MiB.
    for size in results.sizes:
        heap = results.figure(f"load.{size}", "sarsen", "anonymous_peak_bytes")
        at_most(f"load.{size}", 80, "MiB of memory", heap / MIB if heap else None)
    at_most("upkeep.call", 4, "ms at p99.9", results.value("upkeep.call", "sarsen"))
    every_call = results.figure("upkeep.call", "sarsen", "any_call_p999_ms")
    at_most("upkeep.call", 4, "ms at p99.9, writes included", every_call)
    at_most("open.chunks", 16_000, "maps", results.figure("open.chunks", "sarsen", "maps"))
    return out
