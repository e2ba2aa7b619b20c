# Two commands are enough: `make demo` and `make test`. Both install what they need (Debian packages, as root).

CARGO ?= cargo

.PHONY: help demo test lint pure check bench cross test-vm setup clean

help:
	@echo 'make demo    races over two WANs in a lab on this machine, live (root, under a minute)'
	@echo 'make test    everything: formatting, lints, unit, simulation and system tests (root)'
	@echo 'make cross   the programs for routers, static, with their sizes (root, a minute a target)'
	@echo 'make test-vm routers in emulators run them; part of make test (root, 5 minutes)'
	@echo 'make bench   what it costs, as ratios to the kernel alone (root, 6 minutes)'
	@echo 'make clean   removes what was built'

# Without root it says so in one line: make would add one of its own to a failure.
demo:
	@if [ "$$(id -u)" -ne 0 ]; then \
		echo 'cheaproute demo: it makes network namespaces: run it as root' >&2; \
	else \
		tests/setup.sh && $(CARGO) test --release --quiet --test demo; \
	fi

# Emulated routers last: what fails fast fails first.
test: setup lint pure check
	@$(MAKE) --no-print-directory test-vm

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- --deny warnings
	RUSTDOCFLAGS='--deny warnings --allow rustdoc::private-intra-doc-links' $(CARGO) doc --no-deps --document-private-items --quiet

# The cores must build without a line that talks to the kernel.
pure:
	$(CARGO) clippy --lib --no-default-features --quiet -- --deny warnings

check:
	$(CARGO) test --workspace

bench: setup
	$(CARGO) bench --bench bench

cross:
	@cross/build.sh

test-vm: cross
	@cross/vm/run.sh

setup:
	@tests/setup.sh

clean:
	$(CARGO) clean
