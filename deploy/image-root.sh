#!/bin/sh
# Completes the root folder of the image around the program installed in it: the shared libraries
# it is linked with, certificate authorities, and the few files that libc reads.
#
# usage: deploy/image-root.sh <root folder> <program, relative to it>
set -eu
root=$1
program=$2

# Libraries stand at their own path; on Debian /lib is a link to /usr/lib.
ldd "$root/$program" | grep -o '/[^ ]*' | while read -r library; do
    real=$(readlink -f "$library")
    target=$root/usr$(echo "$library" | sed 's,^/usr,,')
    mkdir -p "$(dirname "$target")"
    cp "$real" "$target"
    # What distroless images do too: scanners find here which packages the image holds.
    # (Debian 12 knows some of them by their path before /lib was a link.)
    owner=$(dpkg-query -S "$real" 2>/dev/null || dpkg-query -S "${real#/usr}")
    package=${owner%%:*}
    mkdir -p "$root/var/lib/dpkg/status.d"
    dpkg-query -s "$package" > "$root/var/lib/dpkg/status.d/$package"
done
for folder in lib lib64; do
    if [ -d "$root/usr/$folder" ]; then
        ln -sfn "usr/$folder" "$root/$folder"
    fi
done

mkdir -p "$root/etc/ssl/certs" "$root/tmp"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
chmod 1777 "$root/tmp"
# /etc/hosts first, then DNS: without this file libc would ask DNS alone.
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"
echo 'claude-proxy:x:65532:65532::/:/nonexistent' > "$root/etc/passwd"
echo 'claude-proxy:x:65532:' > "$root/etc/group"
