#!/bin/sh
# The units under a real systemd: a minimal Debian in namespaces of its own, systemd as its process
# 1, the program of build/ installed as docs/running.md says, the simulator as upstream. Checks that
# the service starts and is closed in, reloads, is watched, drains, restarts without a lost request,
# and comes back after a crash and a boot. Clients run on this machine, in the network of that one.
#
# usage: deploy/check-systemd.sh [bookworm | trixie]     (this machine's, or a later one)
set -eu
cd "$(dirname "$0")/.."
. deploy/lib.sh

suite=${1:-$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)}
need_root
need debootstrap curl openssl python3 unshare nsenter setpriv findmnt
[ -x build/claude-proxy ] || die "build/claude-proxy is not there: make build"
groups=$(findmnt --noheadings --output TARGET --types cgroup2 | head -n 1)
[ -n "$groups" ] || die "no cgroup2 is mounted here"

work=$(mktemp -d "${TMPDIR:-/var/tmp}/claude-proxy-systemd.XXXXXX")
root=$work/root
group=$groups/$(basename "$work")
namespaces=
init=
load=

# Process 1 takes with it what runs in its namespaces, mounts and network included.
shut_down() {
    [ -z "$init" ] || kill -KILL "$init" 2>/dev/null || true
    [ -z "$namespaces" ] || wait "$namespaces" || true
    init=
    namespaces=
}
cleanup() {
    [ -z "$load" ] || kill "$load" 2>/dev/null || true
    shut_down
    [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} +
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# --- the machine ---

# The first shell of the namespaces: lays out what a container manager would, and becomes systemd.
# /proc/sys, /sys and the clock are this machine's, and out of its reach.
cat > "$work/init" <<'END'
set -eu
root=$1
mount --bind "$root" "$root"
cd "$root"
mount -t proc -o nosuid,nodev,noexec proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs tmp
mount -t tmpfs -o mode=755,nosuid tmpfs dev
for name in null zero full random urandom tty; do
    touch "dev/$name"
    mount --bind "/dev/$name" "dev/$name"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
pivot_root . .
umount -l .
exec env -i container=check PATH=/usr/sbin:/usr/bin:/sbin:/bin setpriv \
    --bounding-set=-sys_module,-sys_rawio,-sys_time,-syslog /lib/systemd/systemd
END

# Process 1 enters the group, the one that waits for it does not: no group has both processes and
# groups below it.
boot() {
    mkdir -p "$group"
    # shellcheck disable=SC2016 # the inner shell's own parameters
    unshare --fork --kill-child --pid --mount --uts --ipc --net sh -c '
        echo 0 > "$1/cgroup.procs"
        exec unshare --cgroup sh "$2" "$3"' sh "$group" "$work/init" "$root" \
        > "$work/init.log" 2>&1 &
    namespaces=$!
    wait_for 10 has_init || die "unshare started nothing: $(cat "$work/init.log")"
    wait_for 60 inside systemctl is-active multi-user.target || {
        cat "$work/init.log" >&2
        fail "systemd does not come up: $(inside systemctl is-system-running 2>&1)"
    }
}
# Before it is systemd, it still sees this machine's files.
has_init() {
    read -r init < "/proc/$namespaces/task/$namespaces/children" || [ -n "$init" ] || return 1
    [ "$(cat "/proc/$init/comm")" = systemd ]
}

# A command in there, as root.
inside() { nsenter --target "$init" --all -- "$@"; }
# A command of this machine in its network.
near() { nsenter --target "$init" --net -- "$@"; }

fail() {
    inside systemctl --no-pager status claude-proxy.service claude-proxy.socket >&2 || true
    inside journalctl --no-pager --lines 60 >&2 || true
    die "$@"
}

# --- what is asked of it ---

property() { inside systemctl show --value --property "$2" "$1"; }
pid() { property claude-proxy.service MainPID; }
is() { [ "$(property "claude-proxy.$1" ActiveState)" = "$2" ]; }
are_active() { is service active && is socket active; }
status_says() {
    case $(property claude-proxy.service StatusText) in *"$1"*) ;; *) return 1 ;; esac
}
# journal_of <unit>: its lines, those on their way included.
journal_of() {
    inside journalctl --sync
    inside journalctl --unit "$1" --output cat --no-pager
}
journal_says() { journal_of claude-proxy.service | grep -F "$1" >/dev/null; }
is_new() { [ "$(pid)" != 0 ] && [ "$(pid)" != "$1" ] && is service active; }

# ask <scheme> <key> <message> <curl's options>: the answer to a request.
ask() {
    scheme=$1
    key=$2
    body='{"model": "claude-haiku-4-5", "stream": true,
           "messages": [{"role": "user", "content": "'$3'"}]}'
    shift 3
    near curl --silent --show-error --fail --no-buffer --max-time 90 "$@" \
        --header "Authorization: Bearer $key" --header 'Content-Type: application/json' \
        --data "$body" "$scheme://127.0.0.1:8000/v1/chat/completions"
}
# answers <scheme> <key> <curl's options>: whole, up to the last line.
answers() {
    scheme=$1
    key=$2
    shift 2
    ask "$scheme" "$key" 'Say hi' "$@" | grep -q '^data: \[DONE\]'
}

# The file is replaced, as an editor would.
settings() {
    {
        echo 'ANTHROPIC_API_KEY=upstream'
        echo 'ANTHROPIC_BASE_URL=http://127.0.0.1:8787'
        echo 'REQUESTS_PER_MINUTE=0'
        echo 'TOKENS_PER_MINUTE=0'
        echo 'CIRCUIT_BREAKER=off'
        printf '%s\n' "$@"
    } > "$work/env"
    if [ -d "$root/etc/claude-proxy" ]; then
        inside install -m 640 -g claude-proxy-settings /dev/stdin /etc/claude-proxy/env < "$work/env"
    fi
}
certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 \
        -subj "/CN=$1" -addext subjectAltName=IP:127.0.0.1 \
        -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
    for file in cert.pem key.pem; do
        inside install -m 640 -g claude-proxy-settings /dev/stdin "/etc/claude-proxy/$file" \
            < "$work/$file"
    done
}

# --- installed as docs/running.md says ---

debian_root "$suite" "$root" --include=systemd,dbus
mkdir -p "$root/root/claude-proxy/build" "$root/root/claude-proxy/deploy"
cp build/claude-proxy "$root/root/claude-proxy/build/"
cp deploy/claude-proxy.service deploy/claude-proxy.socket "$root/root/claude-proxy/deploy/"
ldd build/claude-proxy | grep -o '/[^ ]*' | while read -r library; do
    [ -e "$root$library" ] || cp -L "$library" "$root$library"
done
settings CLAUDE_PROXY_API_KEY=first
cp "$work/env" "$root/root/claude-proxy/.env"
awk '/^```/ { on = 0 } on { print } /^```sh$/ && !n++ { on = 1 }' docs/running.md \
    > "$root/root/claude-proxy/install.sh"
cat > "$root/etc/systemd/system/simulator.service" <<'END'
[Service]
ExecStart=/usr/local/bin/claude-proxy sim --port 8787
[Install]
WantedBy=multi-user.target
END

boot
say "$(inside systemctl --version | head -n 1) is up"
inside sh -euc 'cd /root/claude-proxy; . ./install.sh; systemctl enable --now simulator.service' \
    > "$work/install.log" 2>&1 || {
    cat "$work/install.log" >&2
    fail "the commands of docs/running.md fail"
}
are_active || fail "not active after enable --now"
status_says 'listening on port' || fail "the status does not say that it listens"
answers http first || fail "no answer after the installation"
say "installed as docs/running.md says, it answers"

# --- closed in ---

inside systemd-analyze verify claude-proxy.service claude-proxy.socket || fail "verify complains"
inside systemd-analyze security --no-pager --threshold=15 claude-proxy.service \
    > "$work/security" || fail "too open: $(tail -n 1 "$work/security")"
journal_says '"message":"sandbox","files":"on","system_calls":"on"' ||
    fail "the program's own sandbox is not on"
process=$(inside cat "/proc/$(pid)/status")
for wanted in 'NoNewPrivs:	1' 'Seccomp:	2' 'CapPrm:	0000000000000000' 'CapEff:	0000000000000000' \
    'CapBnd:	0000000000000000' 'CapAmb:	0000000000000000'; do
    echo "$process" | grep -qx "$wanted" || fail "the process lacks: $wanted"
done
echo "$process" | grep -q '^Uid:	6[0-9]\{4\}	' || fail "the user is not a dynamic one"

# The same unit with another program: what it tries must fail, but for what the proxy needs.
cat > "$root/usr/local/bin/probe" <<'END'
#!/usr/bin/perl
# Calls by the numbers of x86-64 and of the machines whose numbers are the generic ones.
my $is_old = `uname -m` =~ /x86_64/;
sub call { my ($old, $new, @rest) = @_; return syscall($is_old ? $old : $new, @rest) >= 0 }
sub can_write { return open(my $file, '>', "$_[0]/probe") }
my %can = (
    'read the settings' => sub { open(my $f, '<', '/etc/claude-proxy/env') },
    'open a TCP socket' => sub { socket(my $s, 2, 1, 0) },
    'write its own /tmp' => sub { can_write('/tmp') },
);
my %cannot = (
    (map { my $folder = $_; ("write $folder", sub { can_write($folder) }) }
        qw(/ /etc /etc/claude-proxy /usr/local/bin /var/lib /var/log /home /root /run /dev
           /sys/fs/cgroup /proc/sys/kernel)),
    'see /tmp of others' => sub { -e '/tmp/of-others' },
    'see /home' => sub { -e '/home/of-others' },
    'see other processes' => sub { -e '/proc/1/status' },
    'see the machine in /proc' => sub { -e '/proc/cpuinfo' || -e '/proc/kallsyms' },
    'see devices' => sub { -e '/dev/tty1' || -e '/dev/kmsg' || -e '/dev/mem' },
    'make memory executable' => sub { call(9, 222, 0, 4096, 7, 0x22, -1, 0) },
    'enter a user namespace' => sub { call(272, 97, 0x10000000) },
    'mount' => sub { call(165, 40, my $n = 'none', my $to = '/tmp', my $t = 'tmpfs', 0, 0) },
    'trace' => sub { call(101, 117, 0, 0, 0, 0) },
    'change its personality' => sub { call(135, 92, 0x40000) },
    'send raw packets' => sub { socket(my $s, 17, 3, 0) },
    'open a Bluetooth socket' => sub { socket(my $s, 31, 5, 0) },
    'set a user id' => sub { open(my $f, '>', '/tmp/set') && chmod(04755, '/tmp/set') },
    'signal others' => sub { kill(0, 1) },
);
my $bad = 0;
for (sort keys %can) { $can{$_}->() or print("cannot $_: $!\n"), $bad++ }
for (sort keys %cannot) { $cannot{$_}->() and print("can $_\n"), $bad++ }
printf("%d things done, %d refused\n", scalar(keys %can), scalar(keys %cannot)) unless $bad;
exit($bad != 0);
END
chmod 755 "$root/usr/local/bin/probe"
sed -e 's,^ExecStart=.*,ExecStart=/usr/local/bin/probe,' -e 's/^Type=.*/Type=oneshot/' \
    -e '/^Restart/d' -e '/^WatchdogSec/d' deploy/claude-proxy.service \
    > "$root/etc/systemd/system/probe.service"
inside sh -c 'touch /tmp/of-others /home/of-others; systemctl daemon-reload'
inside systemctl start probe.service || {
    journal_of probe.service >&2
    fail "the unit holds too little, or too much"
}
probed=$(journal_of probe.service | grep refused) || fail "the probe says nothing"
say "closed in: $probed; $(sed -n 's/^[^A-Za-z]*\(Overall exposure[^:]*: [0-9.]*\).*/\1/p' "$work/security")"

# --- ready when it listens, and not before ---

inside systemctl stop claude-proxy.socket claude-proxy.service
for _ in 1 2 3 4 5; do
    inside systemctl start claude-proxy.service
    answers http first || fail "active before it listened"
    inside systemctl stop claude-proxy.service
done
settings CLAUDE_PROXY_API_KEY=first PORT=8787 # the simulator's
if inside systemctl start claude-proxy.service 2>/dev/null; then
    fail "active although it cannot listen"
fi
inside systemctl stop claude-proxy.service
settings CLAUDE_PROXY_API_KEY=first
inside systemctl start claude-proxy.socket
is service inactive || fail "the socket alone started the service"
answers http first || fail "the first client did not start the service"
is service active || fail "the service is not active after its first client"
say "ready when it listens; the first client starts it"

# --- reloads ---

certificate one
settings CLAUDE_PROXY_API_KEY=second TLS_CERT=/etc/claude-proxy/cert.pem \
    TLS_KEY=/etc/claude-proxy/key.pem
inside systemctl restart claude-proxy.service
cp "$work/cert.pem" "$work/one.pem"
answers https second --cacert "$work/one.pem" || fail "no answer over TLS"
before=$(pid)
certificate two
settings CLAUDE_PROXY_API_KEY=restart-test TLS_CERT=/etc/claude-proxy/cert.pem \
    TLS_KEY=/etc/claude-proxy/key.pem
inside systemctl reload claude-proxy.service
wait_for 5 answers https restart-test --cacert "$work/cert.pem" ||
    fail "not served with the new key and certificate"
! answers https second --cacert "$work/cert.pem" 2>/dev/null || fail "the old key still holds"
! answers https restart-test --cacert "$work/one.pem" 2>/dev/null || fail "the old certificate"
echo 'MODEL_TEMPERATURE=8' >> "$root/etc/claude-proxy/env"
inside systemctl reload claude-proxy.service
wait_for 5 status_says 'the reload failed' || fail "the status does not say that a reload failed"
answers https restart-test --cacert "$work/cert.pem" || fail "a bad reload was fatal"
sed -i '/^MODEL_TEMPERATURE/d' "$root/etc/claude-proxy/env"
inside systemctl reload claude-proxy.service
wait_for 5 eval '! status_says failed' || fail "the status still says that a reload failed"
[ "$(pid)" = "$before" ] || fail "a reload started another process"
say "reloads settings and certificate; the status tells of a bad file"

# The drop-in of docs/running.md, where systemd knows it.
version=$(inside systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
dropins=$root/etc/systemd/system/claude-proxy.service.d
mkdir -p "$dropins"
if [ "$version" -ge 253 ]; then
    awk '/^```/ { on = 0 } on { print } /^```ini$/ && !n++ { on = 1 }' docs/running.md \
        > "$dropins/reload.conf"
    inside systemctl daemon-reload
    inside systemctl restart claude-proxy.service
    for key in third fourth fifth restart-test; do
        settings "CLAUDE_PROXY_API_KEY=$key" TLS_CERT=/etc/claude-proxy/cert.pem \
            TLS_KEY=/etc/claude-proxy/key.pem
        inside systemctl reload claude-proxy.service
        answers https "$key" --cacert "$work/cert.pem" || fail "the reload was not waited for"
    done
    say "Type=notify-reload waits until a reload is over"
fi

# --- restarts under load ---

cat > "$work/load.py" <<'END'
import importlib.machinery, importlib.util, json, signal, sys, threading
loader = importlib.machinery.SourceFileLoader('restart_test', sys.argv[1])
module = importlib.util.module_from_spec(importlib.util.spec_from_loader('restart_test', loader))
loader.exec_module(module)
is_over = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: is_over.set())
load = module.Load(8000, 16)
is_over.wait(120)
load.stop()
print(json.dumps({'answered': load.answered, 'failed': len(load.failed), 'cut': load.cut}))
print(*load.failed[:5], sep='\n', file=sys.stderr)
sys.exit(1 if load.failed or load.cut or not load.answered else 0)
END
# Without near: the signal is for Python, not for a shell around it.
nsenter --target "$init" --net -- python3 -B "$work/load.py" scripts/restart-test \
    > "$work/load.log" 2>&1 &
load=$!
restarts=0
while [ "$restarts" -lt 10 ]; do
    sleep 0.5
    inside systemctl restart claude-proxy.service || fail "a restart failed"
    inside systemctl reload claude-proxy.service || fail "a reload failed"
    restarts=$((restarts + 1))
done
kill -USR1 "$load"
wait "$load" || fail "restarts under load: $(cat "$work/load.log")"
load=
say "$restarts restarts under load: $(head -n 1 "$work/load.log")"

# --- hangs and crashes ---

before=$(pid)
started=$(date +%s)
inside sh -c "kill -STOP $before"
wait_for 60 is_new "$before" || fail "the watchdog did not start it anew"
journal_of claude-proxy.service | grep 'Watchdog timeout' >/dev/null || fail "not by the watchdog"
answers https restart-test --cacert "$work/cert.pem" || fail "no answer after the watchdog"
say "hung for $(($(date +%s) - started)) s, started anew by the watchdog"
for _ in 1 2 3 4 5 6 7; do
    before=$(pid)
    inside sh -c "kill -KILL $before"
    wait_for 10 is_new "$before" || fail "not started anew after a crash"
done
is socket active || fail "crashes closed the port"
cp "$root/etc/claude-proxy/env" "$work/env.good"
settings PORT=none
! inside systemctl restart claude-proxy.service 2>/dev/null || fail "bad settings were taken"
sleep 8
inside install -m 640 -g claude-proxy-settings /dev/stdin /etc/claude-proxy/env < "$work/env.good"
answers https restart-test --cacert "$work/cert.pem" ||
    fail "who came while the settings were bad got no answer"
say "comes back after 7 crashes in a row, and after bad settings; the port stays"

# --- the drain ---

# drained <seconds of DRAIN_TIMEOUT> <events>: stops it while a stream of so many, one a second, is
# open; prints the seconds that the stop took.
drained() {
    cp "$work/env.good" "$root/etc/claude-proxy/env"
    echo "DRAIN_TIMEOUT=$1" >> "$root/etc/claude-proxy/env"
    inside systemctl restart claude-proxy.service
    rm -f "$work/stream"
    ask https restart-test "Go [[sim: words=$2 gap=1s]]" --insecure > "$work/stream" 2>/dev/null &
    load=$!
    wait_for 10 test -s "$work/stream" || return 1
    started=$(date +%s)
    inside systemctl stop claude-proxy.socket claude-proxy.service
    wait "$load" || true
    load=
    [ "$(property claude-proxy.service Result)" = success ] || return 1
    echo "$(($(date +%s) - started))"
}
# A manager with less patience than the drain may take.
printf '[Service]\nTimeoutStopSec=3\n' > "$dropins/stop.conf"
inside systemctl daemon-reload
took=$(drained 60 10) || fail "no stream, or killed while it drained"
grep -q '^data: \[DONE\]' "$work/stream" || fail "the drain cut a stream"
say "a stream of 10 s ended whole, in a stop of $took s"
took=$(drained 2 60) || fail "no stream, or killed while it drained"
case $took in
[1-5]) ;;
*) fail "DRAIN_TIMEOUT=2 took $took seconds" ;;
esac
say "DRAIN_TIMEOUT=2: stopped after $took s"

# --- the next boot ---

shut_down
boot
wait_for 20 answers https restart-test --cacert "$work/cert.pem" || fail "no answer after a boot"
are_active || fail "not active after a boot"
say "active after a boot"
say "the units work under systemd in Debian $suite"
