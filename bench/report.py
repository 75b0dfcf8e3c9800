#!/usr/bin/env -S python3 -B
"""Prints results files as tables: report.py build/bench/results.json..."""

import sys

import results as reading
import targets
from results import FLOOR, SARSEN, number


def rows_table(results):
    """Rows, each with sarsen's figure, and the floor's and the best peer's with their ratios."""
    for place in results.places:
        for name, row in results.rows.items():
            mine = results.values(name, SARSEN, place)
            if not mine:
                continue
            peer = results.best_peer(name, place=place)
            yield {
                "row": name,
                "place": place,
                "title": row["title"],
                "unit": row["unit"],
                "sarsen": number(results.value(name, SARSEN, place)),
                "range": f"{number(min(mine))}–{number(max(mine))}",
                "floor": number(results.value(name, FLOOR, place)),
                "to floor": ratio(results.against(name, FLOOR, place=place)),
                "peer": f"{number(results.value(name, peer, place))} {peer}" if peer else "–",
                "to peer": ratio(results.against(name, peer, place=place)) if peer else "–",
            }


def ratio(value):
    return "–" if value is None else f"{value:.2f}×"


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    results = reading.load(sys.argv[1:])
    bounds = {}
    for target in targets.of(results):
        bounds.setdefault(target.row, []).append(target)
    for place in results.places:
        print(f"\n{place} ({results.systems[place]}); speed as a multiple of the floor's and the best peer's")
        print(f"{'':30} {'':5} {'sarsen':>11} {'floor':>11} {'':>8}  {'best peer':>19} {'':>8}")
        for line in rows_table(results):
            if line["place"] != place:
                continue
            told = "; ".join(f"{one.text}: {one.verdict}" for one in bounds.get(line["row"], []))
            print(
                f"{line['row']:30} {line['unit']:5} {line['sarsen']:>11} {line['floor']:>11} {line['to floor']:>8}"
                f"  {line['peer']:>19} {line['to peer']:>8}  {told if place == results.places[0] else ''}".rstrip()
            )
    verdicts = [target.verdict for every in bounds.values() for target in every]
    print(f"\ntargets: {verdicts.count('ok')} ok, {verdicts.count('missed')} missed")
    for sentence in results.noise():
        print(f"noise: {sentence}")
    if results.is_quick:
        print("a quick run: it shows that everything works; the figures and verdicts mean nothing")
    for failure in results.failures:
        print(f"FAILED {failure}")


if __name__ == "__main__":
    main()
