#!/bin/sh
# Builds the programs for OpenWrt's targets, static, and reports their sizes: cross/build.sh [TARGET]..
# They end up in target/cross/TARGET/. Fails if one is over its budget or is not what its routers can run.
set -eu
. "$(dirname "$0")/common.sh"
"$ROOT/cross/setup.sh"

rows=$(targets "$@")
[ -n "$rows" ] || { echo "cross: no such target; there are: $(targets | cut -d, -f1 | xargs)" >&2; exit 2; }

# What these save on mipsel: position-dependent code 60 KB, no unwind tables 32, and a panic that ends the program at once,
# without a message, 45; that no hook waits for it (silent_panics) saves the code that would print.
flags="-Ctarget-feature=+crt-static -Clink-self-contained=no -Crelocation-model=static -Cforce-unwind-tables=no \
	-Zunstable-options -Cpanic=immediate-abort --cfg=silent_panics"
# Where registers are few and nothing is done in vectors: constants are made where they are used instead of moved out of loops
# and onto the stack 21 KB (armv7: 8), and copies stand where blocks end, not in blocks of their own 3.6 (1).
narrow_flags="-Cllvm-args=-disable-machine-licm -Cllvm-args=-disable-phi-elim-edge-splitting"
# MIPS has no scheduler that minds registers: the order of the source 7; a call at the end is a jump 5; Rust itself asks
# whether a divisor is zero 0.4; registers are spilled where that takes the least room 0.9. (Filling the slots behind branches from
# where they lead, -disable-mips-df-succbb-search=false, saves 13 more, but flash holds it packed, and xz makes it 1.6 larger; so
# would -disable-machine-sink, 4.4 and 0.7.)
# MIPS16's instructions of two bytes do not pass Rust, whose LLVM has no encoder for them; by its assembly text, edited, and GNU's tools
# the daemon runs and is 27 % smaller (685,292 bytes), but packed 8 % larger, so flash would hold less.
mips_flags="-Cllvm-args=-pre-RA-sched=source -Cllvm-args=-mips-tail-calls -Cllvm-args=-mno-check-zero-division \
	-Cllvm-args=-split-spill-mode=size"
# Instructions of two bytes where they do, which every ARMv7 has (Thumb-2): 208 KB.
arm_flags="-Ctarget-feature=+thumb-mode"

arguments=
for row in $rows; do
	IFS=, read -r name rust zig _ <<-END
		$row
	END
	arguments="$arguments --target $rust"
	# Rust asks for GCC's unwinder, which nothing needs where a panic ends the program. -Os is for the libc, which zig compiles.
	linker "$name" "$zig" -lgcc_s -lunwind
	variable=$(echo "CARGO_TARGET_${rust}" | tr 'a-z-' 'A-Z_')
	export "${variable}_LINKER=$CROSS/linkers/$name"
	case $name in
	mips*) export "${variable}_RUSTFLAGS=$flags $narrow_flags $mips_flags" ;;
	arm_*) export "${variable}_RUSTFLAGS=$flags $narrow_flags $arm_flags" ;;
	*) export "${variable}_RUSTFLAGS=$flags" ;;
	esac
done

# std's own smaller algorithms save 45 KB on mipsel. But copying is Rust's own, and compiled for speed: zig's copies byte by byte where
# size counts, which was a quarter of a bond's instructions on mipsel. 1.2 KB for 8 % of a download's time there, 22 % on ARMv7.
rust_for_routers
# shellcheck disable=SC2086
/usr/bin/cargo build --manifest-path "$ROOT/Cargo.toml" --locked --quiet --profile router --bins --target-dir "$CROSS/build" \
	-Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size,compiler-builtins-mem \
	--config profile.router.package.compiler_builtins.opt-level=3 $arguments

failed=0
printf '%-16s %-12s %9s %9s %9s %9s\n' TARGET PROGRAM BYTES BUDGET XZ BUDGET
for row in $rows; do
	IFS=, read -r name rust zig daemon packed tool <<-END
		$row
	END
	mkdir -p "$CROSS/$name"
	for program in cheaproute playbacktun; do
		budget=$daemon most=$packed
		[ $program = cheaproute ] || budget=$tool most=$tool
		file=$CROSS/$name/$program
		cp "$CROSS/build/$rust/router/$program" "$file"
		header=$(readelf -hlA "$file")
		python3 "$ROOT/cross/sstrip.py" "$file"
		size=$(wc -c <"$file")
		flash=$(xz -9ec <"$file" | wc -c)
		printf '%-16s %-12s %9d %9d %9d %9d\n' "$name" "$program" "$size" "$budget" "$flash" "$most"
		if [ "$size" -gt "$budget" ] || [ "$flash" -gt "$most" ]; then
			echo "cross: $program for $name is over its budget" >&2
			failed=1
		fi
		lacks() { echo "$header" | grep -q "$1" || { echo "cross: $program for $name: not $2" >&2; failed=1; }; }
		! echo "$header" | grep -q INTERP || { echo "cross: $program for $name: not static" >&2; failed=1; }
		case $name in
		mips_*) lacks 'big endian' 'big-endian' ; lacks 'Soft float' 'soft float' ; lacks mips32r2 'for mips32r2' ;;
		mipsel_*) lacks 'little endian' 'little-endian' ; lacks 'Soft float' 'soft float' ; lacks mips32r2 'for mips32r2' ;;
		arm_*) lacks 'hard-float ABI\|VFP registers' 'hard float' ;;
		esac
		# Starting is something that a user-mode emulator can show.
		emulator=$(echo "${rust%%-*}" | sed 's/^armv7$/arm/')
		"qemu-$emulator-static" "$file" --version | grep -q "^$program [0-9]" || { echo "cross: $program for $name does not start" >&2; failed=1; }
	done
done
exit $failed
