# To be sourced: where things are.
ROOT=$(cd "$(dirname "$0")" && until [ -e Cargo.lock ]; do cd ..; done && pwd)
CROSS=${CARGO_TARGET_DIR:-$ROOT/target}/cross
mkdir -p "$CROSS"

apt_install() {
	if [ "$(id -u)" -ne 0 ]; then
		echo "cross: as root: apt-get install $*" >&2
		exit 1
	fi
	echo "cross: installing $*" >&2
	apt-get -qq update || true
	DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "$@" >/dev/null
}

# The rows of the targets' table: all of them, or those whose first word is an argument.
targets() {
	for row in $(grep -v '^#' "$ROOT/cross/targets.tsv" | tr '\t' ,); do
		name=${row%%,*}
		if [ $# -eq 0 ]; then
			echo "$row"
		fi
		for wanted in "$@"; do
			[ "$wanted" != "$name" ] || echo "$row"
		done
	done
}

# A linker of that name: zig, for one of its targets. The other arguments are libraries that Rust asks for in vain.
linker() { # NAME ZIG-TARGET [LIBRARY]..
	place=$CROSS/linkers/$1 zig=$2
	shift 2
	mkdir -p "$CROSS/linkers" "$CROSS/zig"
	cat >"$place" <<-END
		#!/bin/sh
		for argument; do
			shift
			case " $* " in *" \$argument "*) continue ;; esac
			set -- "\$@" "\$argument"
		done
		exec "$CROSS/venv/bin/python" -m ziglang cc -target $zig -Os -fno-sanitize=all "\$@"
	END
	chmod +x "$place"
}

# For every cargo of these scripts. It is Debian's Rust, which has the matching source of std.
# RUST_LIBC_UNSTABLE_MUSL_V1_2_3: musl's 64-bit time_t on 32-bit machines, so that clocks are right after 2038.
rust_for_routers() {
	export ZIG_LOCAL_CACHE_DIR="$CROSS/zig" ZIG_GLOBAL_CACHE_DIR="$CROSS/zig"
	export PATH="/usr/bin:$PATH" RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 RUST_LIBC_UNSTABLE_MUSL_V1_2_3=1
	unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
}
