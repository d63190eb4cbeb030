"""results.json -> README.md and plots. What is to be said by hand, of targets that are missed, is in
notes.md beside them."""
import json
import os

from suite import plot
from suite.stats import figure, ratio
from suite.workloads import WORKLOADS

YARDSTICK = 'nginx'
OURS = 'claude-proxy'
# More panels beside the main metric, where they tell something.
MORE_PANELS = {'stream': ('lag_p50_us', 'lag_p99_us', 'first_p50_us'), 'small': ('p99_us',),
               'image': ('peak_mb',)}


def shown(figure_, digits):
    """`12.3 (11.9-12.8)`; without the range where there is none."""
    if figure_ is None:
        return ''
    words = f'{figure_.median:,.{digits}f}'
    if figure_.low < figure_.high:
        words += f' <sub>{figure_.low:,.{digits}f}–{figure_.high:,.{digits}f}</sub>'
    return words


def times(figure_):
    return '' if figure_ is None else f'{figure_.median:.2f}'


def table(headings, rows):
    lines = ['| ' + ' | '.join(headings) + ' |', '|---' + '|---:' * (len(headings) - 1) + '|']
    return '\n'.join(lines + ['| ' + ' | '.join(row) + ' |' for row in rows])


def metrics_table(workload, results):
    headings = ['contender', workload.metrics[0].heading, f'× {YARDSTICK}'] + \
        [metric.heading for metric in workload.metrics[1:]]
    rows = []
    for name in results[workload.name]:
        cells = [shown(figure(results, workload.name, name, None, metric.key), metric.digits)
                 for metric in workload.metrics]
        against = times(ratio(results, workload.name, workload.main.key, name, YARDSTICK))
        rows.append([name, cells[0], against] + cells[1:])
    return table(headings, rows)


def points_table(workload, results):
    rows = []
    for name in results[workload.name]:
        rows.append([name] + [shown(figure(results, workload.name, name, point, workload.main.key),
                                    workload.main.digits) for point in workload.points])
    ours = [times(ratio(results, workload.name, workload.main.key, OURS, YARDSTICK, point))
            for point in workload.points]
    if any(ours):
        rows.append([f'{OURS} × {YARDSTICK}'] + ours)
    return table(['contender'] + [f'{point:,} {workload.axis}' for point in workload.points], rows)


def bad(workload, results):
    """Answers that were wrong, by contender, where the table does not say so."""
    if workload.points == (None,):
        return ''
    counts = {name: sum(one.get('bad') or 0 for rounds in points.values() for one in rounds)
              for name, points in results[workload.name].items()}
    said = ', '.join(f'{name} {n:.0f}' for name, n in counts.items() if n)
    return f'\nWrong or lost: {said}.\n' if said else ''


def drawing(workload, results):
    main = workload.main
    if workload.points != (None,):
        curves = [(name, [(point, one) for point in workload.points
                          if (one := figure(results, workload.name, name, point, main.key))])
                  for name in results[workload.name]]
        curves = [curve for curve in curves if curve[1]]
        return plot.lines(f'{workload.title}: {main.heading}', workload.axis, curves) if curves else None
    wanted = (main.key,) + MORE_PANELS.get(workload.name.split('-')[0], ())
    panels = []
    for metric in workload.metrics:
        rows = [(name, one) for name in results[workload.name]
                if (one := figure(results, workload.name, name, None, metric.key))]
        if metric.key in wanted and rows:
            panels.append((f'{workload.title}: {HEADINGS.get(metric.key, metric.heading)}', rows))
    return plot.bars(panels) if panels else None


# In a plot a heading stands alone.
HEADINGS = {'lag_p50_us': 'lag of a token, p50 µs', 'lag_p99_us': 'lag of a token, p99 µs',
            'first_p50_us': 'time to the first token, p50 µs', 'p99_us': 'answer, p99 µs'}


# --- targets ------------------------------------------------------------------------------------

class Target:
    """One line: `value(results)` is None where nothing was measured."""

    def __init__(self, what, value, digits, most=None, least=None):
        self.what, self.value, self.digits = what, value, digits
        self.most, self.least = most, least

    def row(self, results):
        value = self.value(results)
        if value is None:
            return None
        rounded = round(value, self.digits)
        is_held = rounded <= self.most if self.least is None else rounded >= self.least
        limit = f'≤ {self.most}' if self.least is None else f'≥ {self.least}'
        return [self.what, limit, f'{value:,.{self.digits}f}', 'held' if is_held else '**missed**']


def against(workload, metric, other=YARDSTICK, contender=OURS, point=None, other_point=None):
    def value(results):
        found = ratio(results, workload, metric, contender, other, point, other_point)
        return found and found.median
    return value


def absolute(workload, metric):
    def value(results):
        found = figure(results, workload, OURS, None, metric)
        return found and found.median
    return value


def beyond_nginx(workload, metric):
    """By how many µs we are later than nginx."""
    def value(results):
        ours, theirs = (figure(results, workload, name, None, metric) for name in (OURS, YARDSTICK))
        return ours and theirs and ours.median - theirs.median
    return value


def copies_of_the_image(results):
    megabytes = absolute('image', 'peak_mb')(results)
    return megabytes and megabytes * 2 ** 20 / 5e6


def late_against_early(results):
    late, early = (absolute('long', f'cpu_{part}_us')(results) for part in ('last', 'first'))
    return late and early and late / early


TARGETS = [
    Target('CPU a small request, × nginx', against('small', 'cpu_us'), 2, most=1.2),
    Target('CPU an event at 25,000 events/s, × nginx', against('stream-500', 'cpu_us'), 2, most=1.0),
    Target('user memory an open stream of 10,000, TLS and HTTP/2 upstream, KB',
           absolute('idle-tls', 'uss_kb'), 2, most=6),
    Target('first token of 500 streams, later than nginx\'s, p50 µs',
           beyond_nginx('stream-500', 'first_p50_us'), 0, most=50),
    Target('the same, p99 µs', beyond_nginx('stream-500', 'first_p99_us'), 0, most=50),
    Target('lag of a token, later than nginx\'s, p50 µs', beyond_nginx('stream-500', 'lag_p50_us'), 0,
           most=50),
    Target('the same, p99 µs', beyond_nginx('stream-500', 'lag_p99_us'), 0, most=50),
    Target('CPU a 200 KB agent body, × nginx', against('agent', 'cpu_us'), 2, most=3),
    Target('CPU a 5 MB image, × nginx', against('image', 'cpu_us'), 2, most=2),
    Target('peak memory of it, in copies of the body', copies_of_the_image, 2, most=2),
    Target('CPU a small request, Portkey × ours',
           against('small', 'cpu_us', contender='portkey', other=OURS), 0, least=80),
    Target('CPU a small request, LiteLLM × ours',
           against('small', 'cpu_us', contender='litellm', other=OURS), 0, least=100),
    Target('streams a core holds, × Portkey',
           against('held', 'held', other='portkey'), 1, least=10),
    Target('CPU an event at 10,000 streams, × that at 10',
           against('growth-streams', 'cpu_us', other=OURS, point=10000, other_point=10), 2, most=1.3),
    Target('CPU an event in the last tenth of a stream of 10,000 tokens, × the first tenth',
           late_against_early, 2, most=1.1),
    Target('cold start to the first answer, ms', absolute('start', 'cold_ms'), 1, most=30),
    Target('idle memory, MB', absolute('start', 'idle_mb'), 1, most=12),
    Target('program, stripped, MB', absolute('start', 'program_mb'), 2, most=3),
]


def targets_table(results):
    rows = [row for target in TARGETS if (row := target.row(results))]
    return table(['', 'target', 'measured', ''], rows) if rows else ''


# --- the whole ----------------------------------------------------------------------------------

HOW = '''# Benchmarks

Written by `make bench`: the same simulator behind every contender, each contender on one core, load
generator and simulator on {others}; the rounds of the contenders alternate. A figure is the median of the
rounds, the small one its range. CPU is what the kernel accounts to the contender's processes, user
space and kernel: it depends on the machine, its ratios little, while times and rates suffer from
whatever else runs. **direct** is the simulator without a contender, **nginx** its plain `proxy_pass`
(HTTP/1.1, unbuffered both ways, connections kept, no log), which translates nothing;
**claude-proxy** has authentication, limits, metrics, the log of requests and the sandbox on.
**portkey** and **litellm** are gateways that take OpenAI's form and ask in Anthropic's, as claude-proxy
does, set up as their documentation says for production: Portkey's on Node.js, headless, with
`@hono/node-server` 1.14.1 because its streams fail with later ones (its issue 1389); LiteLLM's proxy
with one uvicorn worker on uvloop, a master key, no log but of errors, no database and no callbacks, its
translation in Rust (a beta) off, as it is unless asked for. Their CPU a request comes from a counted
number of requests, each to its end.

Before a contender is measured, one whole answer and one stream of its are compared with what the
simulator answers itself, and it is warmed up.

```sh
make bench                                     # everything, {minutes}; writes docs/benchmarks/
make bench ARGS='--only small,idle --rounds 5' # some of it, into the same tables
make bench ARGS=--quick                        # a minute's look, in build/bench/
make bench ARGS=--list                         # what there is
```

Streams are checked whole: every token in its order, the reason for the end, the last event. A token's
lag is the time from the simulator's stamp to its arrival at the load generator, which checks it.
'''


def section(workload, run, results, folder):
    body = metrics_table(workload, results) if workload.points == (None,) else \
        points_table(workload, results) + '\n' + bad(workload, results)
    parts = [f'## {workload.title}', f'`{workload.name}`: {workload.about}', body]
    svg = drawing(workload, results)
    if svg:
        with open(os.path.join(folder, f'{workload.name}.svg'), 'w') as file:
            file.write(svg)
        parts.append(f'![{workload.title}]({workload.name}.svg)')
    niceness = f', nice {run["nice"]}' if run.get('nice') else ''
    parts.append(f'<sub>{run["date"]}, commit {run["commit"]}, {run["rounds"]} rounds, load average '
                 f'before: {run["load"]}{niceness}.</sub>')
    return '\n\n'.join(parts)


def write(folder):
    with open(os.path.join(folder, 'results.json')) as file:
        data = json.load(file)
    runs = {name: data['runs'][name] for name in WORKLOADS if name in data['runs']}
    results = {name: run['results'] for name, run in runs.items()}
    facts = [[what, value] for what, value in data['machine'].items()]
    others = 'a core each' if data['cores'] > 2 else 'the other'
    parts = [HOW.format(others=others, minutes='40 minutes').rstrip(),
             '| machine | |\n|---|---|\n' + '\n'.join(f'| {a} | {b} |' for a, b in facts)]
    targets = targets_table(results)
    if targets:
        parts += ['## Targets', targets]
    notes = os.path.join(folder, 'notes.md')
    if os.path.exists(notes):
        with open(notes) as file:
            parts.append(file.read().strip())
    parts += [section(WORKLOADS[name], run, results, folder) for name, run in runs.items()]
    with open(os.path.join(folder, 'README.md'), 'w') as file:
        file.write('\n\n'.join(parts) + '\n')
