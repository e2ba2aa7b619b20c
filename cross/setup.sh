#!/bin/sh
# What the cross builds need: Debian's Rust with the source of std (OpenWrt's MIPS routers have no ready-made std: tier 3),
# and zig, whose linker and soft-float musl serve all five targets. Does nothing where all of it is there.
set -eu
. "$(dirname "$0")/common.sh"

missing=
for pair in /usr/lib/rustlib/src/rust/library/Cargo.lock:rust-web-src /usr/bin/cargo:cargo-web /usr/bin/rustc:rustc-web \
	/usr/bin/readelf:binutils /usr/bin/xz:xz-utils /usr/bin/qemu-mips-static:qemu-user-static; do
	[ -e "${pair%%:*}" ] || missing="$missing ${pair#*:}"
done
if [ -n "$missing" ]; then
	apt_install $missing
fi
if [ ! -x "$CROSS/venv/bin/python" ] || ! "$CROSS/venv/bin/python" -c 'import ziglang' 2>/dev/null; then
	command -v python3 >/dev/null && python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
	python3 -m venv "$CROSS/venv"
	# The newest that is known to work: zig's command line changes from one to the next.
	"$CROSS/venv/bin/pip" install --quiet ziglang==0.15.2
fi
