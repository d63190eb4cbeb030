"""SVG by hand: bars with ranges, and growth curves over a logarithmic axis."""
import math
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 760, 130, 90
COLOURS = {'direct': '#8c959f', 'nginx': '#2da44e', 'claude-proxy': '#1f6feb'}
OTHERS = ('#d29922', '#cf222e', '#8250df', '#bf3989')


def colour(name):
    return COLOURS.get(name) or OTHERS[sum(name.encode()) % len(OTHERS)]


def number(value):
    return f'{value:,.0f}' if value >= 100 else f'{value:.3g}'


def text(x, y, words, more=''):
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'


def document(parts, height):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            'font-family="sans-serif" font-size="12">\n'
            f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n' + '\n'.join(parts) + '\n</svg>\n')


def bars(panels):
    """`panels`: [(title, [(contender, Figure)])]. The bar is the median, the line on it the range."""
    parts, top = [], 10
    for title, rows in panels:
        top += 24
        parts.append(text(10, top - 8, title, 'font-weight="bold"'))
        scale = (WIDTH - LEFT - RIGHT) / max(max(figure.high for _, figure in rows), 1e-9)
        for name, figure in rows:
            y = top + 12
            parts.append(text(LEFT - 8, y + 4, name, 'text-anchor="end"'))
            parts.append(f'<rect x="{LEFT}" y="{y - 7}" width="{max(figure.median, 0) * scale:.1f}" '
                         f'height="14" fill="{colour(name)}"/>')
            low, high = (LEFT + max(value, 0) * scale for value in (figure.low, figure.high))
            parts.append(f'<path d="M{low:.1f} {y}H{high:.1f}M{low:.1f} {y - 4}v8M{high:.1f} {y - 4}v8" '
                         'stroke="#000" stroke-width="1"/>')
            parts.append(text(high + 6, y + 4, number(figure.median)))
            top += 24
    return document(parts, top + 10)


def lines(title, axis, curves):
    """`curves`: [(contender, [(x, Figure)])], x over powers of ten, y from 0 or logarithmic when
    the values span more than a factor of 50."""
    figures = [figure for _, points in curves for _, figure in points]
    xs = sorted({x for _, points in curves for x, _ in points})
    high, low = max(f.high for f in figures), max(min(f.low for f in figures), 1e-9)
    is_log = high / low > 50
    top, bottom = 40, 290

    def at_x(x):
        span = math.log10(xs[-1]) - math.log10(xs[0]) or 1
        return LEFT + (math.log10(x) - math.log10(xs[0])) / span * (WIDTH - LEFT - RIGHT - 40)

    def at_y(y):
        if is_log:
            floor, ceiling = math.floor(math.log10(low)), math.ceil(math.log10(high))
            share = (math.log10(max(y, 10 ** floor)) - floor) / ((ceiling - floor) or 1)
        else:
            share = y / high
        return bottom - share * (bottom - top)

    marks = [10 ** n for n in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)] \
        if is_log else [high * i / 4 for i in range(5)]
    parts = [text(10, 20, title, 'font-weight="bold"')]
    for value in marks:
        parts.append(f'<path d="M{LEFT} {at_y(value):.1f}H{WIDTH - RIGHT - 40}" stroke="#8884"/>')
        parts.append(text(LEFT - 8, at_y(value) + 4, number(value), 'text-anchor="end"'))
    for x in xs:
        parts.append(text(at_x(x), bottom + 18, f'{x:,}', 'text-anchor="middle"'))
    parts.append(text(WIDTH - RIGHT - 40, bottom + 34, axis, 'text-anchor="end"'))
    for row, (name, points) in enumerate(curves):
        path = ' '.join(f'{at_x(x):.1f},{at_y(figure.median):.1f}' for x, figure in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour(name)}" stroke-width="2"/>')
        for x, figure in points:
            parts.append(f'<path d="M{at_x(x):.1f} {at_y(figure.low):.1f}V{at_y(figure.high):.1f}" '
                         f'stroke="{colour(name)}"/>')
        parts.append(text(WIDTH - RIGHT - 30, top + 14 + 18 * row, name, f'fill="{colour(name)}"'))
    return document(parts, bottom + 44)
