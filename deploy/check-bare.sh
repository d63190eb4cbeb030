#!/bin/sh
# The fresh-machine claim: in a minimal Debian with nothing but make, git and certificates, a fresh
# clone of what is committed serves after `make run`, answers the README's examples, and passes
# `make test`.
#
# usage: deploy/check-bare.sh [--rounds N] [bookworm | trixie]     (N runs of `make test`; 1)
set -eu
cd "$(dirname "$0")/.."
. deploy/lib.sh

rounds=1
if [ "${1:-}" = --rounds ]; then
    rounds=$2
    shift 2
fi
suite=${1:-bookworm}
need_root
need debootstrap curl jq git python3 unshare pkill

work=$(mktemp -d "${TMPDIR:-/var/tmp}/claude-proxy-bare.XXXXXX")
root=$work/root
server=
# The server is a child of the shell that waits for it in the background: both end, and --kill-child
# takes what runs inside. (unshare holds SIGTERM back while it waits.)
stop_server() {
    pkill -KILL -P "$server" 2>/dev/null || true
    kill "$server" 2>/dev/null || true
}
cleanup() {
    [ -z "$server" ] || stop_server
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# Runs in the minimal system with process ids and mounts of its own: all that it started ends, and
# its /proc goes, when the command ends.
inside() {
    # shellcheck disable=SC2016 # the inner shell's own parameters
    unshare --mount --pid --fork --kill-child sh -c '
        mount -t proc proc "$0/proc"
        exec chroot "$0" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"' "$root" "$@"
}

debian_root "$suite" "$root"
inside sh -c 'apt-get -qq update &&
    apt-get -qq -y --no-install-recommends install make git ca-certificates &&
    update-ca-certificates' > "$work/prepare.log" 2>&1 || {
    tail -n 20 "$work/prepare.log" >&2
    die "could not install make, git and ca-certificates"
}
git clone -q --no-hardlinks . "$root/root/claude-proxy"
shared=${SHARED_DIR:-../shared}
[ ! -d "$shared" ] || cp -R "$shared" "$root/root/shared"

# --- make run, and the README's examples against it ---
port=$(free_port)
say "make run on a bare Debian ($suite)"
started=$(date +%s)
inside make -C /root/claude-proxy run "ARGS=--port $port" > "$work/run.log" 2>&1 &
server=$!
is_healthy() { curl -fsS "http://127.0.0.1:$port/health"; }
wait_for 300 is_healthy || {
    tail -n 40 "$work/run.log" >&2
    die "make run does not serve"
}
say "serves after $(($(date +%s) - started)) s: $(is_healthy)"

# Every block fenced as `sh run` goes to a file of its own, with this server's port.
awk -v folder="$work" '
    /^```sh run/ { file = sprintf("%s/example-%02d.sh", folder, ++n); next }
    /^```/ { file = "" }
    file { print > file }' README.md
for example in "$work"/example-*.sh; do
    [ -e "$example" ] || die "README.md has no block fenced as sh run"
    sed -i "s/localhost:8000/127.0.0.1:$port/g" "$example"
    answer=$(timeout 60 bash -eu -o pipefail "$example" 2>"$example.stderr") || {
        cat "$example" "$example.stderr" >&2
        die "the README's example failed"
    }
    say "$(basename "$example"): $(echo "$answer" | tr -s ' \n' ' ' | cut -c 1-160)"
    case $answer in
    '' | *'"error":'*) die "the README's example got no good answer" ;;
    esac
done
stop_server
wait "$server" || true
server=

# --- make test ---
round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    say "make test, round $round of $rounds"
    started=$(date +%s)
    inside make -C /root/claude-proxy test > "$work/test.log" 2>&1 || {
        tail -n 120 "$work/test.log" >&2
        die "make test failed"
    }
    grep -E '^(style|unit|unit-asan|structure|fuzz|e2e|e2e-asan|clients) |^skipped:' "$work/test.log"
    say "$(grep -E "^[0-9]+ passed, [0-9]+ failed" "$work/test.log" | tail -n 1) in $(($(date +%s) - started)) s"
done
say "a bare Debian ($suite) builds, serves and passes"
