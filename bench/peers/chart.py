"""Draws time against rows, one line per engine, as SVG. Both axes are logarithmic."""

from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 860, 480
LEFT, RIGHT, TOP, BOTTOM = 70, 270, 40, 50
COLOURS = ("#0b6e4f", "#1d4ed8", "#7c3aed", "#b91c1c", "#c2410c", "#a16207", "#0f766e", "#475569",
           "#be185d", "#4d7c0f", "#0369a1", "#78716c")


def draw(results, batch=1, threads=2):
    """Median milliseconds of one probe on two threads."""
    chosen = [r for r in results if r["batch"] == batch and r["threads"] == threads]
    lines = {}
    for r in sorted(chosen, key=lambda r: r["rows"]):
        lines.setdefault(r["engine"], []).append((r["rows"], r["ms_median"]))
    xs = [x for line in lines.values() for x, _ in line]
    ys = [y for line in lines.values() for _, y in line]
    x_low, x_high = log10(min(xs)), max(log10(max(xs)), log10(min(xs)) + 1)
    y_low, y_high = floor(log10(min(ys))), ceil(log10(max(ys)))
    x_at = lambda x: LEFT + (log10(x) - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
    y_at = lambda y: HEIGHT - BOTTOM - (log10(y) - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">One probe, {threads} threads: '
        "milliseconds against rows (median)</text>",
    ]
    for power in range(y_low, y_high + 1):
        y = y_at(10**power)
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for x in sorted(set(xs)):
        out.append(f'<text x="{x_at(x):.1f}" y="{HEIGHT - 28}" text-anchor="middle">{x:,}</text>')
    ends = sorted(lines.items(), key=lambda item: item[1][-1][1])
    label_y = HEIGHT - BOTTOM + 10.0
    for number, (engine, points) in enumerate(ends):
        colour = COLOURS[number % len(COLOURS)]
        wide = 3 if engine.startswith("Cardea") else 1.5
        path = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{wide}"/>')
        out += [
            f'<circle cx="{x_at(x):.1f}" cy="{y_at(y):.1f}" r="3" fill="{colour}"/>'
            for x, y in points
        ]
        # Labels keep their distance from one another, from the fastest upwards.
        label_y = min(label_y - 16, y_at(points[-1][1]) + 4)
        out.append(
            f'<text x="{WIDTH - RIGHT + 12}" y="{label_y:.1f}" fill="{colour}">'
            f"{escape(engine)}: {points[-1][1]:.3g} ms</text>"
        )
    out.append("</svg>\n")
    return "\n".join(out)
