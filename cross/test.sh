#!/bin/sh
# The library's unit and simulation tests on a processor that has its bytes the other way round, as the most common MIPS routers
# do, in an emulator that runs single programs. What needs the kernel is for the emulated routers, none of which is such a one.
set -eu
. "$(dirname "$0")/common.sh"
"$ROOT/cross/setup.sh"

linker test_mips mips-linux-musleabi -lgcc_s
rust_for_routers
export CARGO_TARGET_MIPS_UNKNOWN_LINUX_MUSL_LINKER="$CROSS/linkers/test_mips"
export CARGO_TARGET_MIPS_UNKNOWN_LINUX_MUSL_RUSTFLAGS='-Ctarget-feature=+crt-static -Clink-self-contained=no -Crelocation-model=static'
export CARGO_TARGET_MIPS_UNKNOWN_LINUX_MUSL_RUNNER=qemu-mips-static
# An emulator takes thirty times as long. What `make check` runs with more cases, and the longest simulations, need not be all here.
export CARGO_PROFILE_TEST_OPT_LEVEL=2 CARGO_PROFILE_TEST_DEBUG=0 PROPTEST_CASES=8 PROPTEST_RNG_SEED=1
cd "$ROOT"
timeout 900 /usr/bin/cargo test --quiet --locked --lib --target-dir "$CROSS/test" --target mips-unknown-linux-musl \
	-Zbuild-std=std,panic_unwind,test -- --test-threads "$(nproc)" --skip bond::simulation::table --skip bond::simulation::soak --skip bond::simulation::calls \
	>"$CROSS/test.log" 2>&1 || { tail -n 60 "$CROSS/test.log"; echo 'cross: tests on a big-endian MIPS failed' >&2; exit 1; }
sed -n 's/^test result: ok. /big-endian MIPS (user mode): tests: /p' "$CROSS/test.log"
