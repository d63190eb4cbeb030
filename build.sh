#!/bin/sh
# Builds the image for amd64 and arm64 and pushes it to a registry, tagged with the version and
# `latest`:
#
#   CLAUDE_PROXY_API_DOCKER_REGISTRY_URI=https://your-registry-uri ./build.sh
set -eu
cd "$(dirname "$0")"

if [ -z "${CLAUDE_PROXY_API_DOCKER_REGISTRY_URI:-}" ]; then
    echo 'build.sh: CLAUDE_PROXY_API_DOCKER_REGISTRY_URI is not set: it names the registry to push' \
        'to, as in CLAUDE_PROXY_API_DOCKER_REGISTRY_URI=https://registry.example.com/team' >&2
    exit 2
fi
if ! docker buildx version >/dev/null 2>&1; then
    echo 'build.sh: needs Docker with buildx, which builds for several architectures' >&2
    exit 1
fi

# An image's name has no scheme and no slash at its end.
registry=${CLAUDE_PROXY_API_DOCKER_REGISTRY_URI#*://}
while [ "$registry" != "${registry%/}" ]; do
    registry=${registry%/}
done
if [ -z "$registry" ]; then
    echo "build.sh: CLAUDE_PROXY_API_DOCKER_REGISTRY_URI" \
        "($CLAUDE_PROXY_API_DOCKER_REGISTRY_URI) names no registry" >&2
    exit 2
fi
image=$registry/claude-proxy-api
version=$(sed -n "s/^ *version: '\(.*\)',$/\1/p" meson.build)

docker buildx build --platform linux/amd64,linux/arm64 --build-arg "VERSION=$version" \
    --tag "$image:$version" --tag "$image:latest" --push .
echo "pushed $image:$version and $image:latest"
