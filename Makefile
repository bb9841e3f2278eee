# Keyslip's chores. `make` alone says what there is.

SHELL      := /bin/bash
PREFIX     ?= /usr
DESTDIR    ?=
LIBEXECDIR ?= $(PREFIX)/libexec/keyslip
HOST       := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
# The static programs: no dynamic loader, no relocation at start, so they begin in microseconds. They stay small: equal
# functions are one, and only short ones are inlined. They hash a few hundred bytes: asking the processor for its SHA
# instructions takes longer than that on a virtual machine, where each question is one to the hypervisor.
STATIC     := -C target-feature=+crt-static -C relocation-model=static -C link-arg=-Wl,--icf=all -C llvm-args=-inline-threshold=25 --cfg sha2_backend="soft"
BIN        := build/bin
TARGET     := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help setup build demo test test-security test-youki lint fuzz-smoke bench pages stage install uninstall deb tarball test-package clean

help:
	@echo 'make setup      install what this machine lacks (Debian packages, cargo-nextest)'
	@echo 'make build      build the programs into build/bin'
	@echo 'make demo       build, and show the main job on crun, runc and podman'
	@echo 'make test       everything, real engines included'
	@echo 'make test-security  what is made to do harm, and a summary of what was tried and held'
	@echo 'make test-youki youki, which is built for it first (15 minutes)'
	@echo 'make lint       rustfmt, clippy, cargo-deny'
	@echo 'make fuzz-smoke each fuzz target for a minute'
	@echo 'make bench      instruction counts of the static programs, and what they cost beside others'
	@echo 'make install    into DESTDIR and PREFIX; make uninstall takes it away'
	@echo 'make deb        a Debian package, in build/dist'
	@echo 'make tarball    an archive with a script that installs it, and checksums, in build/dist'
	@echo 'make test-package  the package in clean trees of Debian 12 and 13, from installing to purging'

setup:
	@tests/lab/setup

build:
	cargo build --quiet --release --locked --bin keyslip
	RUSTFLAGS='$(STATIC)' cargo build --quiet --release --locked --no-default-features --target $(HOST) --bin keyslip-runtime --bin keyslip-hook --bin keyslip-launch
	@mkdir -p $(BIN)
	@install -m 755 -s $(TARGET)/release/keyslip $(addprefix $(TARGET)/$(HOST)/release/,keyslip-runtime keyslip-hook keyslip-launch) $(BIN)/

demo:
	@tests/lab/setup demo
	@$(MAKE) --no-print-directory build
	@examples/demo/demo

test: setup stage
	@rm -rf $${CARGO_TARGET_DIR:-target}/tmp/{engines,agents,agents-shadows,security,documentation}
	cargo nextest run --locked --no-fail-fast
	@tests/matrix/table
	@tests/agents/table
	@tests/agents/page
	@tests/security/summary
	@tests/documentation/summary

# What docs/threat-model.md promises.
test-security: setup build
	@rm -rf $${CARGO_TARGET_DIR:-target}/tmp/security
	cargo nextest run --locked --no-fail-fast -E 'binary(security) | binary(faults) | binary(load) | binary(audit)'
	@tests/security/summary

# The rows of docs/engines.md that take too long to be made each time.
test-youki: setup build
	@tests/lab/youki
	cargo nextest run --locked --no-fail-fast --ignore-default-filter --test youki

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	@tests/lab/deny

# A minute for each reader of text that somebody else wrote.
fuzz-smoke: setup
	@tests/lab/fuzz 60

bench: setup build
	@benches/instructions
	@benches/compare $(ROUNDS)

# Man pages and completions, from the commands themselves and the commented configuration.
pages:
	@rm -rf build/share
	cargo run --quiet --locked --bin keyslip-manual -- build/share

# Everything that is installed, below build/stage.
stage: build pages
	@packaging/stage build/stage

install: stage
	@TREE=$(CURDIR)/build/stage PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' LIBEXECDIR='$(LIBEXECDIR)' packaging/install

# What the operator wrote in /etc/keyslip and the logins in /var/lib/keyslip stay. Engines must not be left with a
# runtime that is gone; what users installed for their own podman falls back to the real runtime by itself.
uninstall:
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' LIBEXECDIR='$(LIBEXECDIR)' packaging/install --uninstall

# VERSION and SOURCE_DATE_EPOCH take the place of Cargo.toml's version and the time of the last commit; MAINTAINER is who
# publishes it.
deb: stage
	@packaging/deb build/stage build/dist

tarball: stage
	@packaging/tarball build/stage build/dist

test-package: setup stage
	@tests/package/run

clean:
	rm -rf build target
