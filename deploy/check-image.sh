#!/bin/sh
# Builds the Dockerfile without Docker, with buildah, and checks the image: it serves, it is healthy,
# it is not root, it holds no shell and nothing of .env. The base image is made with debootstrap
# under the name that the Dockerfile gives. Prints the image's size.
set -eu
cd "$(dirname "$0")/.."
. deploy/lib.sh
need_root
need buildah debootstrap curl git python3

work=$(mktemp -d "${TMPDIR:-/var/tmp}/claude-proxy-image.XXXXXX")
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# Its own store: the machine's other images are not touched.
image_tool() {
    buildah --root "$work/store" --runroot "$work/store-run" --storage-driver vfs "$@"
}

base=$(sed -n 's/^FROM \(\S*\) AS build$/\1/p' Dockerfile)
debian_root trixie "$work/base"
container=$(image_tool from scratch)
image_tool add --quiet "$container" "$work/base" / >/dev/null
image_tool commit --quiet --rm "$container" "docker.io/library/$base" >/dev/null
rm -rf "$work/base"

# A key in the tree's .env must not get into the image.
copy_tree "$work/tree"
canary=canary-$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
echo "ANTHROPIC_API_KEY=$canary" > "$work/tree/.env"

say "building the Dockerfile on $base"
version=$(sed -n "s/^ *version: '\(.*\)',$/\1/p" meson.build)
image_tool bud --quiet --isolation chroot --format docker --pull-never \
    --build-arg "VERSION=$version" --tag claude-proxy-api "$work/tree" > "$work/build.log" 2>&1 || {
    tail -n 40 "$work/build.log" >&2
    die "the build failed"
}

# --- what the image says of itself and holds ---
config() { image_tool inspect --type image --format "{{$1}}" claude-proxy-api; }
case $(config .Docker.Config.User) in
[1-9]*:[1-9]*) ;;
*) die "the image's user is not a number other than root" ;;
esac
config .Docker.Config.Healthcheck.Test | grep -q 'claude-proxy health' || die "no HEALTHCHECK"
config .Docker.Config.Entrypoint | grep -q '^\[/usr/local/bin/claude-proxy\]$' || die "no ENTRYPOINT"

container=$(image_tool from --pull-never claude-proxy-api)
root=$(image_tool mount "$container")
for shell in bin/sh usr/bin/sh bin/bash usr/bin/bash usr/bin/busybox; do
    [ ! -e "$root/$shell" ] || die "the image holds a shell: $shell"
done
if grep -rqF "$canary" "$work/store"; then
    die "the key of .env got into a layer"
fi

# --- it runs ---
program=/usr/local/bin/claude-proxy
user=$(config .Docker.Config.User)
in_container() {
    image_tool run --isolation chroot --user "$user" \
        --env ANTHROPIC_API_KEY=none --env CLAUDE_PROXY_API_KEY=key "$container" -- "$@"
}

say "$(in_container "$program" --version)"

# served <subcommand> <path> <curl's options>: starts the program, asks it once, stops it.
served() {
    subcommand=$1
    path=$2
    shift 2
    port=$(free_port)
    in_container "$program" "$subcommand" --port "$port" > "$work/$subcommand.log" 2>&1 &
    server=$!
    wait_for 10 in_container "$program" health --port "$port" || {
        cat "$work/$subcommand.log" >&2
        die "$subcommand: not healthy within 10 seconds"
    }
    say "GET /health: $(curl -fsS "http://127.0.0.1:$port/health")"
    [ "$path" = /health ] ||
        say "POST $path: $(curl -fsS "http://127.0.0.1:$port$path" -H 'Authorization: Bearer key' "$@")"
    stop_server "$subcommand"
}

# buildah does not hand SIGTERM on: the program is the process in the container with its name.
stop_server() {
    for folder in /proc/[0-9]*; do
        [ "$(readlink "$folder/root" 2>/dev/null)" = / ] && continue
        case $({ tr '\0' ' ' < "$folder/cmdline"; } 2>/dev/null) in
        "$program $1 --port $port "*) kill -TERM "${folder#/proc/}" ;;
        esac
    done
    wait "$server" || die "$1: ended with exit code $? on SIGTERM"
    server=
}

served serve /health
served demo /v1/chat/completions -H 'Content-Type: application/json' \
    -d '{"model": "claude-3-haiku-20240307", "messages": [{"role": "user", "content": "Hello"}]}'

unpacked=$(du -s --block-size=1K --apparent-size "$root" | cut -f 1)
packed=$(tar -C "$root" -c . | gzip | wc -c)
say "size: $((unpacked / 1024)) MB, $((packed / 1048576)) MB compressed"
say "the image is fine"
