#!/bin/sh
# Cross-builds the program for 64-bit ARM in a minimal Debian 13 and runs its `--version` under
# qemu: the arm64 half of build.sh, without Docker and without an ARM machine.
set -eu
cd "$(dirname "$0")/.."
. deploy/lib.sh
need_root
need debootstrap qemu-aarch64-static git

work=$(mktemp -d "${TMPDIR:-/var/tmp}/claude-proxy-arm64.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

root=$work/root
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }

debian_root trixie "$root"
say "the cross compiler and the arm64 libraries"
{
    inside dpkg --add-architecture arm64 &&
        inside apt-get -qq update &&
        inside apt-get -qq -y --no-install-recommends install meson ninja-build pkgconf \
            gcc-aarch64-linux-gnu libc6-dev:arm64 libevent-dev:arm64 libnghttp2-dev:arm64 \
            libssl-dev:arm64 libseccomp-dev:arm64 libyyjson-dev:arm64 libllhttp-dev:arm64
} > "$work/install.log" 2>&1 || {
    tail -n 20 "$work/install.log" >&2
    die "could not install them"
}

say "building"
copy_tree "$root/src/claude-proxy"
cp "$(command -v qemu-aarch64-static)" "$root/usr/bin/"
{
    inside meson setup --cross-file /src/claude-proxy/deploy/arm64.ini -Dtests=false /src/build \
        /src/claude-proxy &&
        inside ninja -C /src/build
} > "$work/build.log" 2>&1 || {
    tail -n 40 "$work/build.log" >&2
    die "the build failed"
}

od -An -t u2 -j 18 -N 2 "$root/src/build/claude-proxy" | grep -qw 183 ||
    die "the program is not for 64-bit ARM"
version=$(inside qemu-aarch64-static /src/build/claude-proxy --version) ||
    die "--version failed under qemu"
say "$version"
expected=$(sed -n "s/^ *version: '\(.*\)',$/\1/p" meson.build)
case $version in
*"$expected"*) say "the arm64 program is fine" ;;
*) die "--version does not say $expected" ;;
esac
