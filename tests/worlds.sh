#!/bin/sh
# Tries the properties of the cores in worlds that nobody has seen yet: tests/worlds.sh [SECONDS]
# `make check` takes the same worlds every time, so that what it says hangs on the program alone. Here each turn has a seed of its own,
# which is named when one fails: PROPTEST_RNG_SEED=... cargo test --lib ... brings that world back.
set -eu
cd "$(dirname "$0")/.."
export CARGO_PROFILE_TEST_OPT_LEVEL=2
log=${CARGO_TARGET_DIR:-target}/worlds.log
ends=$(($(date +%s) + ${1:-60}))
turns=0
while [ $turns -eq 0 ] || [ "$(date +%s)" -lt "$ends" ]; do
	PROPTEST_RNG_SEED=$(od -An -N6 -tu8 /dev/urandom | tr -d ' ')
	export PROPTEST_RNG_SEED
	${CARGO:-cargo} test --quiet --lib -- race::simulation::no_world race::simulation::clients bond::simulation::random \
		probe::tests::properties probe::tests::troubles playback::tests::properties bond::order bond::session bond::handshake bond::squeeze \
		>"$log" 2>&1 || { tail -n 80 "$log"; echo "worlds: failed with PROPTEST_RNG_SEED=$PROPTEST_RNG_SEED" >&2; exit 1; }
	turns=$((turns + 1))
done
sed -n "s/^test result: ok. \([0-9]* passed\).*/worlds: \1, $turns times with different seeds/p" "$log"
