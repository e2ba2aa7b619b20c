#!/bin/sh
# Fuzzes whatever takes bytes from outside, guided by what each input reaches: tests/fuzz/run.sh [SECONDS [TARGET]..]
# Every target in src/bin gets SECONDS (60), as many at a time as there are processors. What an earlier run found worth keeping is in
# target/fuzz/corpus, and where the next one begins; an input that fails is in target/fuzz/found, and becomes a line of seeds.txt.
# With `check` for SECONDS it is a test: 20,000 inputs for each target, as good as the same every time.
# Stable Rust will do: the counters are LLVM's (SanitizerCoverage), and without unsafe code there is nothing for its sanitizers.
set -eu
cd "$(dirname "$0")/../.."
dir=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')

if [ "${1:-}" = --one ]; then
	target=$3
	corpus=$dir/corpus/$target length=-max_total_time=$2
	exactly=
	# What a fuzzer does next hangs on addresses as well.
	[ "$2" != check ] || corpus=$(mktemp -d "$dir/$target.XXXXXX") length='-runs=20000 -seed=1 -entropic=0' exactly='setarch -R'
	failed=0
	# shellcheck disable=SC2086 # two words
	$exactly "$dir/build/$host/release/$target" "$corpus" "$dir/seeds/$target" $length -max_len=4096 -timeout=10 -rss_limit_mb=1024 \
		-artifact_prefix="$dir/found/$target-" -print_final_stats=1 >"$dir/$target.log" 2>&1 || failed=1
	[ "$2" != check ] || rm -rf "$corpus"
	if [ $failed -eq 0 ]; then
		awk -v name="$target" '/number_of_executed_units/ { inputs = $2 } / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") reached = $(i + 1) }
			END { printf "fuzz: %-9s %8d inputs, %5d branches reached\n", name, inputs, reached }' "$dir/$target.log"
	else
		tail -n 60 "$dir/$target.log"
		echo "fuzz: $target failed" >&2
	fi
	exit $failed
fi

seconds=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- $(ls tests/fuzz/src/bin | sed 's/\.rs$//')

coverage=-Cpasses=sancov-module
for option in level=4 inline-8bit-counters pc-table trace-compares; do
	coverage="$coverage -Cllvm-args=-sanitizer-coverage-$option"
done
RUSTFLAGS="$coverage" CARGO_TARGET_DIR="$dir/build" ${CARGO:-cargo} build --quiet --locked --release \
	--manifest-path tests/fuzz/Cargo.toml --target "$host"

# What each begins with: lines of seeds.txt (target, name, bytes), and files that are here anyway.
rm -rf "$dir/seeds"
for target; do mkdir -p "$dir/found" "$dir/corpus/$target" "$dir/seeds/$target"; done
mkdir -p "$dir/seeds/config" "$dir/seeds/playback"
cp files/*.config tests/data/mwan3.config "$dir/seeds/config"
cp tests/packets/*.json "$dir/seeds/playback"
python3 - "$dir/seeds" <<'END'
import pathlib, sys
for line in open("tests/fuzz/seeds.txt"):
    if line.strip() and not line.startswith("#"):
        target, name, digits = line.split(maxsplit=2)
        directory = pathlib.Path(sys.argv[1], target)
        directory.mkdir(exist_ok=True)
        (directory / name).write_bytes(bytes.fromhex(digits))
END
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 tests/fuzz/run.sh --one "$seconds"
