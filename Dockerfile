# Built on Debian 13, whose packages hold every dependency. The image is what the program needs and
# no more: the binary, its shared libraries, the certificate authorities. No shell, no root.
FROM debian:13-slim AS build
WORKDIR /src
COPY scripts/install-deps scripts/install-deps
RUN scripts/install-deps --build && rm -rf /var/lib/apt/lists/*
COPY meson.build meson_options.txt ./
COPY src src
COPY deploy/image-root.sh deploy/sbom deploy/
RUN meson setup build -Dtests=false --prefix=/usr/local \
    && ninja -C build \
    && meson install -C build --no-rebuild --strip --destdir /image \
    && deploy/image-root.sh /image usr/local/bin/claude-proxy \
    && mkdir -p /image/usr/share/doc/claude-proxy \
    && deploy/sbom /image/usr/local/bin/claude-proxy > /image/usr/share/doc/claude-proxy/sbom.cdx.json

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="claude-proxy" \
      org.opencontainers.image.description="OpenAI's Chat Completions API in front of Claude" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /image /
# By number, so that an orchestrator can see that it is not root.
USER 65532:65532
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s --retries=3 \
    CMD ["/usr/local/bin/claude-proxy", "health"]
ENTRYPOINT ["/usr/local/bin/claude-proxy"]
CMD ["serve"]
