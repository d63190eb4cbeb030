"""What is measured: a table of workloads. Each runs once a round for each contender."""
import time

from suite import bodies, measure

HOLD_SECONDS = 1  # until what was opened has settled
OPEN_RATE = 2500  # streams a second


class Scale:
    """How much of everything: the whole run, or a look at it."""

    def __init__(self, is_quick):
        self.seconds = 1 if is_quick else 4
        self.warm_seconds = 1 if is_quick else 5
        self.is_quick = is_quick

    def streams(self, n):
        return min(max(10, n // 50) if self.is_quick else n, measure.streams_max())

    def tokens(self, n):
        return max(20, n // 10) if self.is_quick else n


class Metric:
    def __init__(self, key, heading, digits=0):
        self.key, self.heading, self.digits = key, heading, digits


class Workload:
    """`run(bench, contender, point)` returns {metric: number or None}; `main` is what is drawn and
    compared with nginx. `about` is one sentence for the report."""

    def __init__(self, name, title, about, run, metrics, points=(None,), upstream='plain',
                 workers=1, is_fresh=False, without=(), axis=None):
        self.name, self.title, self.about, self.run = name, title, about, run
        self.metrics, self.main = metrics, metrics[0]
        self.points, self.axis = points, axis
        self.upstream, self.workers, self.is_fresh = upstream, workers, is_fresh
        self.without = without


def each(total, n):
    return total / n if n else None


# --- requests -----------------------------------------------------------------------------------

SLOW_REQUESTS = 10  # on each connection


def as_fast_as_answered(contender, body, seconds, connections):
    """wrk; where it would see few answers, what is begun and not over would distort what one costs:
    then so many requests, each to its end."""
    if not contender.is_slow:
        return measure.wrk(contender, body, seconds, connections)
    n = connections * SLOW_REQUESTS
    report = measure.load(contender, body, n, connections)
    answers = report.get('answer_us', {})
    return {'requests': report['ok'], 'us': report['end']['us'], 'cpu_us': report['end']['cpu_us'],
            'p50': answers.get('p50'), 'p99': answers.get('p99'), 'bad': n - report['ok']}


def closed(make, connections, *parts, peak=False):
    """As fast as answers come."""
    def run(bench, contender, point):
        made = parts if point is None else (point,)
        body = bench.bodies.path(contender, make, *made)
        pids = contender.pids()
        before = measure.memory_kb(pids)[0]
        measure.forget_peak(pids)
        result = as_fast_as_answered(contender, body, bench.scale.seconds, connections)
        return {'per_s': result['requests'] / result['us'] * 1e6,
                'cpu_us': each(result['cpu_us'], result['requests']) if pids else None,
                'p50_us': result['p50'], 'p99_us': result['p99'], 'bad': result['bad'],
                'peak_mb': (measure.peak_kb(pids) - before) / 1024 if pids and peak else None}
    return run


def counted(requests_of, connections, rate=0, make=bodies.small, parts=()):
    """bench-load, so many requests: one after the other on each connection, or at a rate."""
    def run(bench, contender, point):
        body = bench.bodies.path(contender, make, *parts)
        n = requests_of(bench.scale)
        report = measure.load(contender, body, n, connections, rate=rate, timeout=60)
        answers = report.get('answer_us', {})
        return {'per_s': report['ok'] / report['end']['us'] * 1e6,
                'cpu_us': each(report['end']['cpu_us'], report['ok']) if contender.pids() else None,
                'p50_us': answers.get('p50'), 'p99_us': answers.get('p99'),
                'p999_us': answers.get('p99.9'), 'bad': n - report['ok']}
    return run


REQUEST_METRICS = [
    Metric('cpu_us', 'CPU µs a request', 1), Metric('per_s', 'requests/s'), Metric('p50_us', 'p50 µs'),
    Metric('p99_us', 'p99 µs'), Metric('bad', 'bad')]
OPEN_METRICS = REQUEST_METRICS[:-1] + [Metric('p999_us', 'p99.9 µs'), REQUEST_METRICS[-1]]
LARGE_METRICS = REQUEST_METRICS[:-1] + [Metric('peak_mb', 'peak memory, MB', 1), REQUEST_METRICS[-1]]


# --- streams ------------------------------------------------------------------------------------

def between(a, b):
    """CPU µs an event between two moments of a report; None where they are not apart."""
    if not a or not b or b['tokens'] <= a['tokens'] or b['cpu_us'] <= a['cpu_us']:
        return None
    return (b['cpu_us'] - a['cpu_us']) / (b['tokens'] - a['tokens'])


def stream_figures(report, n):
    end, begun, over = report['end'], report.get('all_begun'), report.get('first_over')
    lag, first = report.get('lag_us', {}), report.get('first_us', {})
    seconds = (over['us'] - begun['us']) / 1e6 if begun and over else 0
    parts = [{'tokens': 0, 'cpu_us': 0}] + report['parts']
    return {
        'cpu_us': between(begun, over),
        'cpu_all_us': each(end['cpu_us'], end['tokens']) if end['cpu_us'] else None,
        'events_s': (over['tokens'] - begun['tokens']) / seconds if seconds > 0 else None,
        'first_p50_us': first.get('p50'), 'first_p99_us': first.get('p99'),
        'lag_p50_us': lag.get('p50'), 'lag_p99_us': lag.get('p99'), 'lag_p999_us': lag.get('p99.9'),
        'bad': n - report['ok'],
        'cpu_first_us': between(parts[0], parts[1]) if len(parts) == 11 else None,
        'cpu_last_us': between(parts[9], parts[10]) if len(parts) == 11 else None,
    }


def streams(count, tokens, gap_ms, rate):
    def run(bench, contender, point):
        n, each_tokens = bench.scale.streams(count), bench.scale.tokens(tokens)
        body = bench.bodies.path(contender, bodies.streamed, each_tokens, f'{gap_ms}ms')
        report = measure.load(contender, body, n, n, tokens=each_tokens, rate=rate,
                              timeout=30 + each_tokens * gap_ms // 500)
        figures = stream_figures(report, n)
        figures['per_core'] = each(gap_ms * 1000, figures['cpu_us'])
        return figures
    return run


def held(bench, contender, point):
    """Looks for the most streams that it keeps up with, by doubling and then by halves. The median
    lag tells: it grows with every token under overload, and is not what the machine else does. The
    last stream has begun before the first is over, so that they are open at once."""
    tokens, gap_ms = bench.scale.tokens(HELD_TOKENS), 20
    body = bench.bodies.path(contender, bodies.streamed, tokens, f'{gap_ms}ms')
    most = bench.scale.streams(HELD_MOST)
    low, high, n = 0, None, min(HELD_FIRST, most)
    figures = {}
    while high is None or high - low > low // 8:
        report = measure.load(contender, body, n, n, tokens=tokens, timeout=5 + tokens * gap_ms // 500,
                              rate=max(1, n * 2500 // (tokens * gap_ms)))
        if report['ok'] == n and 'all_begun' in report and report['lag_us']['p50'] <= HELD_LAG_US:
            low, figures = n, stream_figures(report, n)
        else:
            high = n
            measure.settle(contender.pids())
        if low == most or high == 1:
            break
        n = min(low * 2, most) if high is None else (low + high) // 2
    return dict(figures, held=low)


HELD_TOKENS, HELD_LAG_US, HELD_FIRST, HELD_MOST = 250, 100_000, 64, 4096
HELD_METRICS = [Metric('held', 'streams'), Metric('cpu_us', 'CPU µs an event', 2),
                Metric('first_p50_us', 'first token p50 µs'), Metric('lag_p50_us', 'lag p50 µs'),
                Metric('lag_p99_us', 'p99')]


def growing_streams(bench, contender, n):
    """The same number of events a second over more and more streams: so few that those of ten
    streams come one by one too, and not several in one read."""
    events_per_s, seconds = 2000, 1 if bench.scale.is_quick else 4
    n = bench.scale.streams(n)
    gap_ms = max(1, n * 1000 // events_per_s)
    tokens = int((n / OPEN_RATE + seconds) * 1000 / gap_ms) + 2
    body = bench.bodies.path(contender, bodies.streamed, tokens, f'{gap_ms}ms')
    report = measure.load(contender, body, n, n, tokens=tokens, rate=OPEN_RATE)
    return stream_figures(report, n)


STREAM_METRICS = [
    Metric('cpu_us', 'CPU µs an event', 2), Metric('cpu_all_us', 'with opening and closing', 2),
    Metric('events_s', 'events/s'), Metric('first_p50_us', 'first token p50 µs'),
    Metric('first_p99_us', 'p99'), Metric('lag_p50_us', 'lag p50 µs'), Metric('lag_p99_us', 'p99'),
    Metric('lag_p999_us', 'p99.9'), Metric('per_core', 'streams a core holds'),
    Metric('bad', 'not whole')]


def idle(bench, contender, point):
    """Opens streams that then say nothing, and looks at what each holds."""
    n = bench.scale.streams(10000)
    body = bench.bodies.path(contender, bodies.streamed, 2, '100s')
    pids = contender.pids()
    before, kernel_before, cpu_before = measure.memory_kb(pids), measure.kernel_kb(), measure.cpu_us(pids)
    try:
        with measure.Held(contender, body, n, tokens=2, rate=OPEN_RATE, timeout=60):
            cpu = measure.cpu_us(pids) - cpu_before
            time.sleep(HOLD_SECONDS)
            after, kernel = measure.memory_kb(pids), measure.kernel_kb()
    except measure.NotAllOpen as why:  # how many there were is all that there is to say
        return {'streams': why.begun}
    return {'rss_kb': (after[0] - before[0]) / n if pids else None,
            'uss_kb': (after[1] - before[1]) / n if pids else None,
            'kernel_kb': (kernel - kernel_before) / n, 'cpu_us': cpu / n if pids else None,
            'streams': n}


IDLE_METRICS = [
    Metric('uss_kb', 'KB a stream, unshared', 2), Metric('rss_kb', 'KB resident', 2),
    Metric('kernel_kb', 'KB in the kernel, all sides', 1), Metric('cpu_us', 'CPU µs to open one', 1),
    Metric('streams', 'streams')]


# --- the process --------------------------------------------------------------------------------

def start(bench, contender, point):
    size, image = contender.program_bytes(), contender.image_bytes()
    time.sleep(HOLD_SECONDS)
    resident, unshared = measure.memory_kb(contender.pids())
    return {'cold_ms': contender.started_s * 1000, 'idle_mb': resident / 1024,
            'idle_uss_mb': unshared / 1024, 'program_mb': size / 1e6 if size else None,
            'image_mb': image / 1e6 if image else None}


START_METRICS = [
    Metric('cold_ms', 'to the first answer, ms', 1), Metric('idle_mb', 'resident idle, MB', 1),
    Metric('idle_uss_mb', 'of it unshared, MB', 1), Metric('program_mb', 'program, MB', 2),
    Metric('image_mb', 'its image, MB', 1)]

TLS = dict(upstream='tls', without=('direct',))

WORKLOADS = {one.name: one for one in [
    Workload('small', 'Small chat', '64 connections, not streamed, as fast as answers come.',
             closed(bodies.small, 64), REQUEST_METRICS),
    Workload('small-2', 'Small chat, two workers', 'The same; the contender has both cores, and '
             'shares them with the load.', closed(bodies.small, 64), REQUEST_METRICS, workers=2),
    Workload('stream-500', '500 streams', '300 tokens each, one every 20 ms: 25,000 events/s.',
             streams(500, 300, 20, 500), STREAM_METRICS),
    Workload('stream-2000', '2,000 streams', '300 tokens each, one every 20 ms: 100,000 events/s, '
             'about as many as one core can simulate and check: see direct.',
             streams(2000, 300, 20, 1000), STREAM_METRICS),
    Workload('held', 'Streams that one core holds', 'One token every 20 ms: the most streams that are '
             'all whole, their median token no more than 100 ms late (an overload grows it to seconds).', held, HELD_METRICS),
    Workload('agent', 'Agent bodies', '200 KB of history, 40 tools; 8 connections.',
             closed(bodies.agent, 8, peak=True), LARGE_METRICS),
    Workload('image', 'A large image', '5 MB of base64, one connection.',
             closed(bodies.pictures, 1, bodies.IMAGE_BYTES, peak=True), LARGE_METRICS, is_fresh=True),
    Workload('idle', '10,000 open streams', 'One token each, then silence.', idle, IDLE_METRICS,
             is_fresh=True),
    Workload('small-tls', 'Small chat, TLS upstream', 'nginx speaks HTTP/1.1 to it, claude-proxy '
             'HTTP/2.', closed(bodies.small, 64), REQUEST_METRICS, **TLS),
    Workload('stream-500-tls', '500 streams, TLS upstream', 'As above.',
             streams(500, 300, 20, 500), STREAM_METRICS, **TLS),
    Workload('stream-2000-tls', '2,000 streams, TLS upstream', 'As above.',
             streams(2000, 300, 20, 1000), STREAM_METRICS, **TLS),
    Workload('agent-tls', 'Agent bodies, TLS upstream', 'As above.',
             closed(bodies.agent, 8, peak=True), LARGE_METRICS, **TLS),
    Workload('image-tls', 'A large image, TLS upstream', 'As above.',
             closed(bodies.pictures, 1, bodies.IMAGE_BYTES, peak=True), LARGE_METRICS, is_fresh=True, **TLS),
    Workload('idle-tls', '10,000 open streams, TLS upstream', 'As above.', idle, IDLE_METRICS,
             is_fresh=True, **TLS),
    Workload('fixed', '8,000 requests', 'Ten connections; the shape of a published benchmark.',
             counted(lambda scale: 400 if scale.is_quick else 8000, 10), OPEN_METRICS),
    Workload('open', '10,000 requests/s', 'An open loop: times count from when a request was due. '
             'Bodies of 130 bytes; the shape of a published benchmark.',
             counted(lambda scale: 10000 * scale.seconds, 512, rate=10000, make=bodies.sized,
                     parts=(130,)), OPEN_METRICS),
    Workload('start', 'The process', 'From the start to the first answer; then idle.', start,
             START_METRICS, is_fresh=True, without=('direct',)),
    Workload('growth-streams', 'CPU an event, by open streams', '2,000 events/s in all.',
             growing_streams, STREAM_METRICS[:1] + STREAM_METRICS[-1:],
             points=(10, 100, 1000, 10000), axis='streams', without=('direct',)),
    Workload('growth-bytes', 'CPU a request, by the size of its body', 'Images in base64, '
             'one connection.', closed(bodies.pictured, 1), REQUEST_METRICS[:1] + REQUEST_METRICS[-1:],
             points=(1000, 10000, 100000, 1000000, 10000000), axis='bytes', without=('direct',)),
    Workload('long', 'Long streams', '20 streams of 10,000 tokens, one a millisecond: the first '
             'tenth and the last.', streams(20, 10000, 1, 1000),
             [Metric('cpu_last_us', 'CPU µs an event in the last tenth', 2),
              Metric('cpu_first_us', 'in the first', 2), STREAM_METRICS[-1]], without=('direct',)),
]}
