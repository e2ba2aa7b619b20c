# Two commands are enough: `make demo` and `make test`. Both install what they need (Debian packages, as root).

CARGO ?= cargo

.PHONY: help demo test test-luci lint pure check bench setup clean

help:
	@echo 'make demo    races over two WANs in a lab on this machine, live (root, under a minute)'
	@echo 'make test    everything: formatting, lints, unit, simulation and system tests (root)'
	@echo 'make test-luci   of these, the pages of LuCI in a browser; pictures go to target/tmp/luci (root)'
	@echo 'make bench   what it costs, as ratios to the kernel alone (root, 6 minutes)'
	@echo 'make clean   removes what was built'

# Without root it says so in one line: make would add one of its own to a failure.
demo:
	@if [ "$$(id -u)" -ne 0 ]; then \
		echo 'cheaproute demo: it makes network namespaces: run it as root' >&2; \
	else \
		tests/setup.sh && $(CARGO) test --release --quiet --test demo; \
	fi

test: setup lint pure check

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- --deny warnings
	RUSTDOCFLAGS='--deny warnings --allow rustdoc::private-intra-doc-links' $(CARGO) doc --no-deps --document-private-items --quiet

# The cores must build without a line that talks to the kernel.
pure:
	$(CARGO) clippy --lib --no-default-features --quiet -- --deny warnings

check:
	$(CARGO) test --workspace

# Part of `check`. With CHEAPROUTE_LUCI=DIR, a checkout of LuCI, it is LuCI's own scripts that run the pages.
test-luci: setup
	$(CARGO) test --test luci

bench: setup
	$(CARGO) bench --bench bench

setup:
	@tests/setup.sh

clean:
	$(CARGO) clean
