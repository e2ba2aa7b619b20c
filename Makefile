# Two commands are enough: `make demo` and `make test`. Both install what they need (Debian packages, as root).

CARGO ?= cargo

.PHONY: help demo demo-bond test test-luci test-vm cross lint pure check bench fuzz worlds setup clean packages release install uninstall

help:
	@echo 'make demo      races over two WANs in a lab on this machine, live (root, under a minute)'
	@echo 'make demo-bond one download over two links to a server of your own; one link dies, it goes on (root, under a minute)'
	@echo 'make test      everything: formatting, lints, unit, simulation and system tests (root)'
	@echo 'make test-luci of these, the pages of LuCI in a browser; pictures go to target/tmp/luci (root)'
	@echo 'make cross     the programs for routers, static, with their sizes (root, a minute a target)'
	@echo 'make test-vm   routers in emulators run them; part of make test (root, 8 minutes)'
	@echo 'make bench     what it costs, as ratios to the kernel alone (root, over half an hour)'
	@echo 'make fuzz      whatever takes bytes from outside, each for a minute, or SECONDS=600 (a C++ compiler)'
	@echo 'make worlds    races, bonds and probes in random worlds, other ones each time, for a minute, or SECONDS=600'
	@echo 'make packages  .ipk and .apk packages for OpenWrt, into target/cross/packages/'
	@echo 'make install   a systemd service on this machine (PREFIX, DESTDIR); make uninstall takes it away'
	@echo 'make clean     removes what was built'

# Without root it says so in one line: make would add one of its own to a failure.
demo demo-bond:
	@if [ "$$(id -u)" -ne 0 ]; then \
		echo 'cheaproute $@: it makes network namespaces: run it as root' >&2; \
	else \
		tests/setup.sh demo && echo 'cheaproute $@: to build it takes some minutes the first time' && \
		$(CARGO) test --release --quiet --test $@; \
	fi

# Emulated routers last: what fails fast fails first.
test: setup lint pure check
	@CARGO=$(CARGO) tests/fuzz/run.sh check
	@$(MAKE) --no-print-directory test-vm

lint:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path tests/fuzz/Cargo.toml --check
	$(CARGO) clippy --workspace --all-targets --quiet -- --deny warnings
	$(CARGO) clippy --manifest-path tests/fuzz/Cargo.toml --target-dir $(FUZZ)/lint --locked --quiet -- --deny warnings
	RUSTDOCFLAGS='--deny warnings --allow rustdoc::private-intra-doc-links' $(CARGO) doc --no-deps --document-private-items --quiet

SECONDS = 60
FUZZ = $(or $(CARGO_TARGET_DIR),target)/fuzz
fuzz:
	@CARGO=$(CARGO) tests/fuzz/run.sh $(SECONDS)

worlds:
	@CARGO=$(CARGO) tests/worlds.sh $(SECONDS)

# The cores must build without a line that talks to the kernel.
pure:
	$(CARGO) clippy --lib --no-default-features --quiet -- --deny warnings

# The same random worlds each time: what it says hangs on the program alone. `make worlds` looks for others.
check:
	PROPTEST_RNG_SEED=1 $(CARGO) test --workspace

# Part of `check`. With CHEAPROUTE_LUCI=DIR, a checkout of LuCI, it is LuCI's own scripts that run the pages.
test-luci: setup
	$(CARGO) test --test luci

# What is measured is what `make install` installs; and, for what a router's processors are worth, a program that is as slow as
# on one: its cipher is not optimized.
CIPHER = seal chacha20 poly1305 chacha20poly1305 universal-hash cipher inout
SLOW = $(or $(CARGO_TARGET_DIR),target)/slow
bench: setup release
	$(CARGO) build --release --bin cheaproute --target-dir $(SLOW) --config profile.release.opt-level=1 \
		$(foreach crate,$(CIPHER),--config profile.release.package.$(crate).opt-level=0)
	CHEAPROUTE_PROGRAM=$(abspath $(RELEASE))/cheaproute CHEAPROUTE_SLOW=$(abspath $(SLOW))/release/cheaproute \
		$(CARGO) bench --bench bench

cross:
	@cross/build.sh

test-vm: cross
	@cross/test.sh
	@cross/vm/run.sh

setup:
	@tests/setup.sh

packages:
	cross/build.sh
	cross/package.py

# A service on a Debian, and playbacktun: `make install`, as root. PREFIX and DESTDIR are as usual; BINARY is a program that is
# built already, with playbacktun beside it or without.
PREFIX ?= /usr/local
UNITS = $(DESTDIR)$(PREFIX)/lib/systemd/system
USERS = $(DESTDIR)$(PREFIX)/lib/sysusers.d
RELEASE = $(or $(CARGO_TARGET_DIR),target)/install
ifndef BINARY
BINARY = $(RELEASE)/cheaproute
install: release
endif

# With the C library inside, where it comes in that form (Debian: always; Fedora: glibc-static): that takes 0.9 MB of memory less.
# Root may have no Rust: what was built before will do.
release:
	@if command -v $(CARGO) >/dev/null; then \
		host=$$(rustc -vV | sed -n 's/^host: //p'); \
		case $$(cc -print-file-name=libc.a) in /*) inside=+ ;; *) inside=- ;; esac; \
		flags="target.$$host.rustflags = ['-Ctarget-feature=$${inside}crt-static']"; \
		$(CARGO) build --release --bins --target $$host --config "$$flags" && \
		install -D -t $(RELEASE) $(RELEASE)/../$$host/release/cheaproute $(RELEASE)/../$$host/release/playbacktun; \
	elif [ ! -x $(BINARY) ]; then \
		echo 'cheaproute: no cargo: run `make release` as a user who has it' >&2; exit 1; \
	fi

PLAYBACKTUN = $(dir $(BINARY))playbacktun

install:
	@install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(UNITS) $(USERS) $(DESTDIR)/etc/config
	@install -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/sbin/cheaproute
	@[ ! -x $(PLAYBACKTUN) ] || install -m 0755 $(PLAYBACKTUN) $(DESTDIR)$(PREFIX)/bin/playbacktun
	@for unit in cheaproute.service cheaproute-cleanup.service; do \
		sed 's|/usr/local/sbin|$(PREFIX)/sbin|' files/$$unit >$(UNITS)/$$unit && chmod 0644 $(UNITS)/$$unit || exit; \
	done
	@install -m 0644 files/cheaproute.sysusers $(USERS)/cheaproute.conf
	@install -D -m 0644 files/cheaproute.vps.config $(DESTDIR)$(PREFIX)/share/doc/cheaproute/vps.config
	@[ -e $(DESTDIR)/etc/config/cheaproute ] || install -m 0640 files/cheaproute.config $(DESTDIR)/etc/config/cheaproute
	@[ -e $(DESTDIR)/etc/cheaproute.user ] || install -m 0644 files/cheaproute.user $(DESTDIR)/etc/cheaproute.user
	@[ -n '$(DESTDIR)' ] || { \
		systemd-sysusers $(USERS)/cheaproute.conf && chgrp cheaproute /etc/config/cheaproute && \
		if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi; }
	@echo 'Edit /etc/config/cheaproute, try it with `cheaproute check`, then: systemctl enable --now cheaproute'
	@[ -n '$(DESTDIR)' ] || ! systemctl is-active -q cheaproute 2>/dev/null || \
		echo 'What runs is still the old program: systemctl restart cheaproute'
	@echo 'For the far end of a bond, copy $(PREFIX)/share/doc/cheaproute/vps.config there first'

uninstall:
	@[ -n '$(DESTDIR)' ] || [ ! -d /run/systemd/system ] || systemctl disable --now cheaproute || true
	@[ -n '$(DESTDIR)' ] || [ ! -x $(PREFIX)/sbin/cheaproute ] || $(PREFIX)/sbin/cheaproute cleanup || true
	@rm -f $(DESTDIR)$(PREFIX)/sbin/cheaproute $(DESTDIR)$(PREFIX)/bin/playbacktun
	@rm -f $(UNITS)/cheaproute.service $(UNITS)/cheaproute-cleanup.service $(USERS)/cheaproute.conf
	@rm -rf $(DESTDIR)$(PREFIX)/share/doc/cheaproute
	@[ -n '$(DESTDIR)' ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload || true
	@echo 'Kept: /etc/config/cheaproute, /etc/cheaproute.user, /etc/cheaproute.key (if made), and the system user cheaproute'

clean:
	$(CARGO) clean
