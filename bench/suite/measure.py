"""What the kernel says about processes, and the two load generators."""
import glob
import json
import os
import resource
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOAD = os.path.join(ROOT, 'build', 'bench', 'load', 'bench-load')
FILES_WANTED = 65536
CPUCLOCK_SCHED = 2  # of the kernel's posix-timers.h: nanoseconds on the CPU, all threads


class BenchError(Exception):
    """The benchmark cannot go on."""


class StartError(BenchError):
    """A contender does not come up."""


def raise_file_limit():
    """10,000 streams are 20,000 descriptors of a proxy; children inherit the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard, FILES_WANTED), max(hard, FILES_WANTED)))
    except (ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def streams_max():
    """How many streams a proxy can hold: two descriptors each, and some for itself."""
    return (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100) // 2


def cores():
    """(the contender's, the load generator's, the simulator's): the last two share where they must."""
    mine = sorted(os.sched_getaffinity(0))
    return mine[0], mine[1 % len(mine)], mine[min(2, len(mine) - 1)]


def set_niceness(niceness):
    """Of this process and of the children to come. Linux weighs sessions against each other first."""
    os.setpriority(os.PRIO_PROCESS, 0, niceness)
    if os.path.exists('/proc/self/autogroup'):
        with open('/proc/self/autogroup', 'w') as file:
            file.write(str(niceness))


def spawn(command, core, env=None, **how):
    """A child pinned to a core, or to a set of them, as nice as we are."""
    pinned = core if isinstance(core, set) else {core}
    niceness = os.getpriority(os.PRIO_PROCESS, 0)

    def prepare():
        os.sched_setaffinity(0, pinned)
        if niceness:
            set_niceness(niceness)
    return subprocess.Popen(command, env=env, preexec_fn=prepare, **how)


# --- CPU and memory of processes ----------------------------------------------------------------

def with_children(pid):
    """The process and all below it."""
    found = [pid]
    for path in glob.glob(f'/proc/{pid}/task/*/children'):
        try:
            with open(path) as file:
                for child in file.read().split():
                    found += with_children(int(child))
        except FileNotFoundError:
            pass
    return found


def cpu_us(pids):
    """Microseconds of CPU that these processes have used, in user space and in the kernel."""
    return sum(time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED) for pid in pids) * 1e6


def fields_kb(path):
    with open(path) as file:
        lines = [line.split() for line in file]
    return {line[0].rstrip(':'): int(line[1]) for line in lines if len(line) == 3 and line[2] == 'kB'}


def memory_kb(pids):
    """Resident memory, and that of it which nobody else has (unshared)."""
    resident = unshared = 0
    for pid in pids:
        fields = fields_kb(f'/proc/{pid}/smaps_rollup')
        resident += fields['Rss']
        unshared += fields['Private_Clean'] + fields['Private_Dirty']
    return resident, unshared


def forget_peak(pids):
    for pid in pids:
        with open(f'/proc/{pid}/clear_refs', 'w') as file:
            file.write('5')


def peak_kb(pids):
    """The highest that resident memory has been since forget_peak."""
    return sum(fields_kb(f'/proc/{pid}/status')['VmHWM'] for pid in pids)


def kernel_kb():
    """What the kernel holds for all sockets of the machine: their structures and their buffers."""
    with open('/proc/net/sockstat') as file:
        pages = next(int(line.split()[-1]) for line in file if line.startswith('TCP:'))
    return fields_kb('/proc/meminfo')['Slab'] + pages * os.sysconf('SC_PAGESIZE') // 1024


# --- load ---------------------------------------------------------------------------------------

def header_flags(contender, flag):
    return [word for line in contender.headers() for word in (flag, line)]


def wrk(contender, body, seconds, connections):
    """{requests, us, p50, p99, bad} of a closed loop, and cpu_us of the contender beside it."""
    script = os.path.join(ROOT, 'bench', 'suite', 'wrk.lua')
    command = ['wrk', '-t1', f'-c{connections}', f'-d{seconds}s', '-s', script]
    command += header_flags(contender, '-H') + [contender.url, '--', body]
    pids = contender.pids()
    before = cpu_us(pids)
    process = spawn(command, cores()[1], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output = process.communicate(timeout=seconds + 60)[0]
    used = cpu_us(pids) - before
    lines = [line for line in output.splitlines() if line.startswith('BENCH ')]
    if not lines:
        raise BenchError(f'wrk: {output.strip()}')
    return dict(json.loads(lines[0][len('BENCH '):]), cpu_us=used)


def load_command(contender, body, requests, connections, tokens=0, rate=0, timeout=120, hold=False):
    command = [LOAD, '--url', contender.url, '--form', contender.api, '--body', body,
               '--requests', str(requests), '--connections', str(connections),
               '--timeout', str(timeout)]
    command += header_flags(contender, '--header')
    command += [word for pid in contender.pids() for word in ('--pid', str(pid))]
    if tokens:
        command += ['--tokens', str(tokens)]
    if rate:
        command += ['--rate', str(rate)]
    if contender.ca:
        command += ['--ca', contender.ca]
    return command + (['--hold'] if hold else [])


def load(contender, body, requests, connections, **how):
    """One run of bench-load: its report (see bench/load/main.c)."""
    process = spawn(load_command(contender, body, requests, connections, **how), cores()[1],
                    stdout=subprocess.PIPE, text=True)
    return read_report(process)


def settle(pids, seconds_max=20):
    """Waits until processes are done with what nobody waits for any more."""
    for _ in range(seconds_max * 5):
        before = cpu_us(pids)
        time.sleep(0.2)
        if cpu_us(pids) - before < 0.02e6:
            return


def read_report(process):
    output = process.communicate(timeout=600)[0]
    if process.returncode != 0:
        raise BenchError(f'bench-load ended with {process.returncode}')
    return json.loads(output.splitlines()[-1])


class NotAllOpen(BenchError):
    def __init__(self, begun):
        super().__init__(f'only {begun} streams could be opened')
        self.begun = begun


class Held:
    """Streams that are opened and then held: a context in which all of them are open."""

    def __init__(self, contender, body, streams, **how):
        self.process = spawn(load_command(contender, body, streams, streams, hold=True, **how),
                             cores()[1], stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        said = self.process.stdout.readline().strip()
        if said != 'open':
            self.process.wait()
            raise NotAllOpen(json.loads(said)['begun'])
        return self

    def __exit__(self, *why):
        self.process.terminate()
        self.report = read_report(self.process)
