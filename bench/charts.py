"""SVG charts, drawn by hand: bars with error, and lines over linear or logarithmic axes. Standard library only."""

import math
from xml.sax.saxutils import escape

COLOURS = {
    "floor": "#9aa3ad",
    "floor-direct": "#c3c9cf",
    "floor-leader": "#c3c9cf",
    "sarsen": "#c2410c",
    "lmdb": "#1d4e89",
    "rocksdb": "#2f855a",
    "leveldb": "#84a98c",
    "sqlite": "#5aa9e6",
    "redb": "#7b5ea7",
    "fjall": "#d4a017",
}
FONT = "font-family='Helvetica, Arial, sans-serif'"
INK, FAINT = "#24292f", "#e4e7eb"


def short(value):
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.3g}"


class Chart:
    """A frame with a title, a legend and axes; `body` collects what is drawn into it."""

    def __init__(self, title, subtitle, width=860, height=400, left=70, right=20, top=78, bottom=56):
        self.title, self.subtitle = title, subtitle
        self.width, self.height = width, height
        self.x0, self.x1 = left, width - right
        self.y0, self.y1 = height - bottom, top
        self.body = []

    def text(self, x, y, text, size=12, anchor="start", colour=INK, weight="normal", turn=None):
        where = f" transform='rotate({turn} {x:.1f} {y:.1f})'" if turn else ""
        self.body.append(
            f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' fill='{colour}'"
            f" font-weight='{weight}'{where}>{escape(text)}</text>"
        )

    def line(self, x, y, to_x, to_y, colour=FAINT, width=1.0):
        self.body.append(
            f"<line x1='{x:.1f}' y1='{y:.1f}' x2='{to_x:.1f}' y2='{to_y:.1f}' stroke='{colour}'"
            f" stroke-width='{width}'/>"
        )

    def legend(self, names):
        x = self.x0
        for name in names:
            self.body.append(
                f"<rect x='{x:.1f}' y='{self.y1 - 26:.1f}' width='11' height='11' rx='2' fill='{COLOURS[name]}'/>"
            )
            self.text(x + 16, self.y1 - 16, name, 12, weight="bold" if name == "sarsen" else "normal")
            x += 34 + 7.2 * len(name)

    def scale_y(self, low, high, log, label):
        """Draws the axis; returns the function from a value to its place."""
        label += ", logarithmic" if log else ""
        if log:
            low, high = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
            high = max(high, low + 1)
            ticks = [10.0**power for power in range(low, high + 1)]

            def share(value):
                return (math.log10(max(value, 10.0**low)) - low) / (high - low)

        else:
            step = nice_step(high)
            high = math.ceil(high / step) * step
            ticks = [step * i for i in range(int(round(high / step)) + 1)]

            def share(value):
                return value / high

        def place(value):
            return self.y0 - share(value) * (self.y0 - self.y1)

        for tick in ticks:
            self.line(self.x0, place(tick), self.x1, place(tick))
            self.text(self.x0 - 8, place(tick) + 4, short(tick), 11, "end", "#57606a")
        self.text(18, (self.y0 + self.y1) / 2, label, 12, "middle", "#57606a", turn=-90)
        return place

    def svg(self):
        head = (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {self.width} {self.height}' width='{self.width}'"
            f" height='{self.height}' {FONT} role='img'><title>{escape(self.title)}</title>"
            f"<rect width='{self.width}' height='{self.height}' fill='#ffffff'/>"
            f"<text x='{self.x0}' y='24' font-size='16' font-weight='bold' fill='{INK}'>{escape(self.title)}</text>"
            f"<text x='{self.x0}' y='43' font-size='12' fill='#57606a'>{escape(self.subtitle)}</text>"
        )
        return head + "\n" + "\n".join(self.body) + "\n</svg>\n"


def nice_step(high):
    raw = high / 5
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)


def bars(title, subtitle, label, groups, log=False):
    """`groups`: [(name, [(engine, [values])])]. A bar is the median, its whisker from least to most."""
    chart = Chart(title, subtitle)
    every = [value for _, engines in groups for _, values in engines for value in values]
    names = []
    for _, engines in groups:
        names += [engine for engine, _ in engines if engine not in names]
    order = list(COLOURS)
    names.sort(key=order.index)
    chart.legend(names)
    low = min(every) * 0.7 if log else 0
    place = chart.scale_y(low, max(every), log, label)
    floor_y = chart.y0
    # Every group is as wide as it has bars, with one bar's room between groups.
    # A group of one or two bars still has room for its name.
    widths = [max(len(engines), 2.4) for _, engines in groups]
    slots = sum(widths) + len(groups)
    slot = (chart.x1 - chart.x0) / slots
    x = chart.x0 + slot / 2
    for (name, engines), width in zip(groups, widths):
        middle = x + slot * width / 2
        next_x = x + slot * (width + 1)
        x = middle - slot * len(engines) / 2
        for engine, values in engines:
            ordered = sorted(values)
            median = ordered[len(ordered) // 2] if len(ordered) % 2 else sum(ordered[len(ordered) // 2 - 1 :][:2]) / 2
            y = place(median)
            chart.body.append(
                f"<rect x='{x + slot * 0.08:.1f}' y='{y:.1f}' width='{slot * 0.84:.1f}' height='{floor_y - y:.1f}'"
                f" rx='1.5' fill='{COLOURS[engine]}'><title>{escape(f'{engine}: {short(median)}')}</title></rect>"
            )
            center = x + slot / 2
            if ordered[0] != ordered[-1]:
                chart.line(center, place(ordered[0]), center, place(ordered[-1]), INK, 1.2)
                for end in (ordered[0], ordered[-1]):
                    chart.line(center - slot * 0.2, place(end), center + slot * 0.2, place(end), INK, 1.2)
            if slot > 13:
                above = min(place(ordered[-1]), y) - 5
                size = 10 if slot > 26 else 9
                chart.text(
                    center + (3 if slot <= 26 else 0),
                    above,
                    short(median),
                    size,
                    "middle" if slot > 26 else "start",
                    INK,
                    "bold" if engine == "sarsen" else "normal",
                    turn=None if slot > 26 else -90,
                )
            x += slot
        for row, part in enumerate(name.split("\n")):
            chart.text(middle, chart.y0 + 20 + 15 * row, part, 12, "middle")
        x = next_x
    chart.line(chart.x0, chart.y0, chart.x1, chart.y0, INK)
    return chart.svg()


def lines(title, subtitle, label, x_label, series, ticks, x_log=False, y_log=True, low=None):
    """`series`: [(engine, [(x, y)])]; `ticks`: [(x, text)]."""
    chart = Chart(title, subtitle, right=84)
    chart.legend([engine for engine, _ in series])
    ys = [y for _, points in series for _, y in points]
    xs = [x for x, _ in ticks] + [x for _, points in series for x, _ in points]
    place_y = chart.scale_y(low or min(ys), max(ys), y_log, label)
    move = math.log10 if x_log else lambda x: x
    least, most = move(min(xs)), move(max(xs))

    def place_x(x):
        return chart.x0 + 14 + (move(x) - least) / ((most - least) or 1) * (chart.x1 - chart.x0 - 28)

    for x, text in ticks:
        chart.line(place_x(x), chart.y0, place_x(x), chart.y1)
        chart.text(place_x(x), chart.y0 + 19, text, 11, "middle", "#57606a")
    chart.text((chart.x0 + chart.x1) / 2, chart.height - 12, x_label, 12, "middle", "#57606a")
    ends = []
    for engine, points in sorted(series, key=lambda one: one[0] == "sarsen"):
        path = " ".join(f"{place_x(x):.1f},{place_y(y):.1f}" for x, y in points)
        wide = 3 if engine == "sarsen" else 1.8
        dash = " stroke-dasharray='5 4'" if engine == "floor" else ""
        chart.body.append(
            f"<polyline points='{path}' fill='none' stroke='{COLOURS[engine]}' stroke-width='{wide}'"
            f" stroke-linejoin='round'{dash}/>"
        )
        if len(points) <= 10:
            for x, y in points:
                chart.body.append(
                    f"<circle cx='{place_x(x):.1f}' cy='{place_y(y):.1f}' r='{wide + 0.7}' fill='{COLOURS[engine]}'/>"
                )
        ends.append([place_y(points[-1][1]), engine])
    # Names at the ends of the lines, moved apart where they would meet.
    ends.sort()
    for at in range(1, len(ends)):
        ends[at][0] = max(ends[at][0], ends[at - 1][0] + 13)
    over = max(0, ends[-1][0] - chart.y0)
    for y, engine in ends:
        weight = "bold" if engine == "sarsen" else "normal"
        chart.text(chart.x1 + 4, y - over + 4, engine, 11, "start", COLOURS[engine], weight)
    chart.line(chart.x0, chart.y0, chart.x1, chart.y0, INK)
    return chart.svg()
