# A thin front for Meson: every rule here is one or two commands that also work by hand.

BUILD := build
ARGS ?=
FUZZ_SECONDS ?= 60
SUITES ?=
ASAN_OPTIONS_MESON := -Db_sanitize=address,undefined -Db_lundef=false

.PHONY: help run build test asan fuzz coverage bench lint format docs sbom install clean deps

help:
	@echo "make run       install what is needed, build, and serve on port 8000 (a demo without"
	@echo "               ANTHROPIC_API_KEY); flags in ARGS, as in make run ARGS='--port 8080'"
	@echo "make test      install what is needed and run every test; SUITES='unit e2e' picks some"
	@echo "make build     build/claude-proxy"
	@echo "make asan      build-asan/claude-proxy with AddressSanitizer and UBSan; its unit tests"
	@echo "make fuzz      run each fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS)"
	@echo "make coverage  lines that the unit tests and the fuzz corpora reach, translate/ at least 95 %"
	@echo "make bench     measure the proxy beside nginx and other gateways (40 minutes), into"
	@echo "               docs/benchmarks/; ARGS=--quick is a look, ARGS='--only small' some of it"
	@echo "make lint      format, warnings of gcc and clang, clang-tidy, shellcheck, house rules"
	@echo "make format    lay out the C files with clang-format"
	@echo "make docs      write .env.example and docs/configuration.md from the option table"
	@echo "make sbom      build/sbom.cdx.json: the libraries of the program, as CycloneDX"
	@echo "make install   install under /usr/local (DESTDIR is honoured)"
	@echo "make clean     remove what was built"

run: build
	@scripts/run $(ARGS)

deps:
	@scripts/install-deps --build

build: deps
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD)
	@ninja -C $(BUILD)

test:
	@scripts/install-deps --test
	@tests/run $(SUITES)

asan: deps
	@test -f build-asan/build.ninja || meson setup build-asan $(ASAN_OPTIONS_MESON)
	@meson test -C build-asan --print-errorlogs

fuzz:
	@scripts/install-deps --test
	@scripts/fuzz $(FUZZ_SECONDS)

coverage:
	@scripts/install-deps --test
	@scripts/coverage $(ARGS)

bench: build
	@scripts/install-deps --bench
	@bench/run $(ARGS)

lint:
	@scripts/install-deps --test
	@scripts/lint

format:
	@find src fuzz examples bench -name '*.[ch]' -exec clang-format -i {} +

docs: build
	@ninja -C $(BUILD) docs

sbom: build
	@deploy/sbom $(BUILD)/claude-proxy > $(BUILD)/sbom.cdx.json
	@echo "$(BUILD)/sbom.cdx.json"

install: build
	@meson install -C $(BUILD)

clean:
	rm -rf build build-*
