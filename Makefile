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

.PHONY: help setup build demo test test-security test-youki lint fuzz-smoke bench install uninstall clean

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

test: setup build
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

install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)/etc/keyslip $(addprefix $(DESTDIR)$(PREFIX)/lib/systemd/,system user)
	install -m 755 $(BIN)/keyslip $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(BIN)/keyslip-runtime $(BIN)/keyslip-hook $(BIN)/keyslip-launch $(DESTDIR)$(LIBEXECDIR)/
	ln -sfn $(PREFIX)/bin/keyslip $(DESTDIR)$(LIBEXECDIR)/keyslip
	install -m 644 config/systemd/keyslip-tmpfs.service config/systemd/keyslip-refresh.service config/systemd/keyslip-refresh.timer $(DESTDIR)$(PREFIX)/lib/systemd/system/
	install -m 644 config/systemd/user/keyslip-refresh.service config/systemd/keyslip-refresh.timer $(DESTDIR)$(PREFIX)/lib/systemd/user/
	test -e $(DESTDIR)/etc/keyslip/keyslip.toml || install -m 644 config/keyslip.toml $(DESTDIR)/etc/keyslip/
	LIBEXECDIR='$(DESTDIR)$(LIBEXECDIR)' config/link-engines

# What the operator wrote in /etc/keyslip and the logins in /var/lib/keyslip stay. Engines must not be left with a
# runtime that is gone; what users installed for their own podman falls back to the real runtime by itself.
uninstall:
	if [ -z '$(DESTDIR)' ] && [ -x '$(PREFIX)/bin/keyslip' ]; then '$(PREFIX)/bin/keyslip' uninstall --all; fi
	rm -rf $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(PREFIX)/bin/keyslip $(DESTDIR)$(PREFIX)/lib/systemd/system/keyslip-tmpfs.service
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/lib/systemd/,$(addprefix system/keyslip-refresh.,service timer) $(addprefix user/keyslip-refresh.,service timer))
	if cmp -s config/keyslip.toml $(DESTDIR)/etc/keyslip/keyslip.toml; then rm $(DESTDIR)/etc/keyslip/keyslip.toml; fi
	rmdir --ignore-fail-on-non-empty $(DESTDIR)/etc/keyslip 2>/dev/null || true

clean:
	rm -rf build target
