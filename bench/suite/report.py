"""results.json -> README.md and plots."""
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

def against(workload, metric, point=None, other_point=None, other=YARDSTICK):
    def value(results):
        found = ratio(results, workload, metric, OURS, other, point, other_point)
        return found and found.median
    return value


def absolute(workload, metric, contender=OURS):
    def value(results):
        found = figure(results, workload, contender, None, metric)
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


TARGETS = [  # what, the most it may be, its value, digits
    ('CPU a small request, × nginx', 1.2, against('small', 'cpu_us'), 2),
    ('CPU an event at 25,000 events/s, × nginx', 1.0, against('stream-500', 'cpu_us'), 2),
    ('user memory an open stream of 10,000, TLS and HTTP/2 upstream, KB', 6,
     absolute('idle-tls', 'uss_kb'), 2),
    ('first token at 500 streams, later than nginx\'s, p50 µs', 50,
     beyond_nginx('stream-500', 'first_p50_us'), 0),
    ('the same, p99 µs', 50, beyond_nginx('stream-500', 'first_p99_us'), 0),
    ('lag of a token, later than nginx\'s, p50 µs', 50, beyond_nginx('stream-500', 'lag_p50_us'), 0),
    ('the same, p99 µs', 50, beyond_nginx('stream-500', 'lag_p99_us'), 0),
    ('CPU a 200 KB agent body, × nginx', 3, against('agent', 'cpu_us'), 2),
    ('CPU a 5 MB image, × nginx', 2, against('image', 'cpu_us'), 2),
    ('peak memory of it, in copies of the body', 2,
     copies_of_the_image, 2),
    ('CPU an event at 10,000 streams, × that at 10', 1.3,
     against('growth-streams', 'cpu_us', 10000, 10, other=OURS), 2),
    ('CPU an event in the last tenth of a stream of 10,000 tokens, × the first tenth', 1.1,
     late_against_early, 2),
    ('cold start to the first answer, ms', 30, absolute('start', 'cold_ms'), 1),
    ('idle memory, MB', 12, absolute('start', 'idle_mb'), 1),
    ('program, stripped, MB', 3, absolute('start', 'program_mb'), 2),
]


def targets_table(results):
    rows = []
    for what, limit, value_of, digits in TARGETS:
        value = value_of(results)
        if value is not None:
            verdict = 'held' if round(value, digits) <= limit else '**missed**'
            rows.append([what, f'≤ {limit}', f'{value:,.{digits}f}', verdict])
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
    parts.append(f'<sub>{run["date"]}, commit {run["commit"]}, {run["rounds"]} rounds, load average '
                 f'before: {run["load"]}.</sub>')
    return '\n\n'.join(parts)


def write(folder):
    with open(os.path.join(folder, 'results.json')) as file:
        data = json.load(file)
    runs = {name: data['runs'][name] for name in WORKLOADS if name in data['runs']}
    results = {name: run['results'] for name, run in runs.items()}
    facts = [[what, value] for what, value in data['machine'].items()]
    others = 'a core each' if data['cores'] > 2 else 'the other'
    parts = [HOW.format(others=others, minutes='about 25 minutes').rstrip(),
             '| machine | |\n|---|---|\n' + '\n'.join(f'| {a} | {b} |' for a, b in facts)]
    targets = targets_table(results)
    if targets:
        parts += ['## Targets', targets]
    parts += [section(WORKLOADS[name], run, results, folder) for name, run in runs.items()]
    with open(os.path.join(folder, 'README.md'), 'w') as file:
        file.write('\n\n'.join(parts) + '\n')
