# shellcheck shell=sh
# What the scripts that check the deployment share. Source it, after `set -eu`.

say() { printf '%s: %s\n' "$(basename "$0")" "$*"; }
die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

need_root() {
    [ "$(id -u)" -eq 0 ] || die "needs root, for chroot and mount"
}

# Fails when one of the commands is missing.
need() {
    for command; do
        command -v "$command" >/dev/null 2>&1 ||
            die "needs $command: scripts/install-deps --container brings it"
    done
}

# The Debian archive that this machine's own apt uses.
debian_mirror() {
    # shellcheck disable=SC2016 # apt fills in $(REPO_URI), not the shell
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
        'Origin: Debian' 'Label: Debian' 'Component: main' | head -n 1)
    [ -n "$mirror" ] || die "apt knows no Debian archive here: run apt-get update"
    echo "$mirror"
}

# debian_root <suite> <folder> [debootstrap's options]: a minimal Debian, with the way this
# machine's apt reaches its archive (proxies, logins, certificate authorities).
debian_root() {
    suite=$1
    root=$2
    shift 2
    say "a minimal Debian $suite in $root"
    debootstrap --variant=minbase "$@" "$suite" "$root" "$(debian_mirror)" > "$root.log" 2>&1 || {
        tail -n 20 "$root.log" >&2
        die "debootstrap failed"
    }
    cp -R /etc/apt/apt.conf.d /etc/apt/auth.conf.d "$root/etc/apt/"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    # Every installed machine has this one; debootstrap leaves it to the installer.
    printf '127.0.0.1 localhost\n::1 localhost\n' > "$root/etc/hosts"
    if [ -d /usr/local/share/ca-certificates ]; then
        mkdir -p "$root/usr/local/share"
        cp -R /usr/local/share/ca-certificates "$root/usr/local/share/"
    fi
}

# The tree as a fresh clone would have it, plus what is not committed yet.
copy_tree() {
    mkdir -p "$1"
    git ls-files -z --cached --others --exclude-standard |
        tar --null --files-from=- --create --file=- | tar --extract --file=- --directory="$1"
}

# A TCP port of the loopback that is free now.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_for <seconds> <command...>
wait_for() {
    tries=$(($1 * 10))
    shift
    while ! "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}
