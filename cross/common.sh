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
# A first link has zig 0.15.2 compile its own libraries side by side, in threads that all write LLVM's table of targets, which is
# not made for that: at times one finds its own target missing, and the next try finds it.
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
		for try in 1 2 3 4 5; do
			failed=0
			said=\$("$CROSS/venv/bin/python" -m ziglang cc -target $zig -Os -fno-sanitize=all "\$@" 2>&1) || failed=\$?
			case \$said in *"No available targets are compatible"*) ;; *) break ;; esac
		done
		[ -z "\$said" ] || echo "\$said" >&2
		exit \$failed
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
