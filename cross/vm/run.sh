#!/bin/sh
# Runs the routers' own programs on the routers' processors: cross/vm/run.sh [TARGET..]
# Each target of machines.tsv boots in an emulator, with a kernel that has what routers' kernels have, and checks itself
# (guest/checks.sh). Big-endian MIPS, for which no kernel comes ready-made, runs what needs none. After cross/build.sh.
# What was fetched stays in target/cross/vm: a second run needs no network. CHEAPROUTE_VM=optional: what cannot be had is no failure.
set -eu
. "$(dirname "$0")/../common.sh"
. "$ROOT/cross/vm/verdict.sh"
VM=$CROSS/vm
mkdir -p "$VM"

# A boot and all checks take a third of this on a machine at rest.
LIMIT=300

skip() {
	echo "emulated routers: skipped: $1" >&2
	exit 0
}
for tool in apt-get dpkg; do
	command -v $tool >/dev/null || skip "they are made of Debian's packages, and there is no $tool here"
done

missing=
for pair in qemu-system-mipsel:qemu-system-mips qemu-system-arm:qemu-system-arm cpio:cpio depmod:kmod; do
	command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
if [ -n "$missing" ]; then
	[ "$(id -u)" -eq 0 ] || skip "root is needed to install$missing"
	# shellcheck disable=SC2086 # a list of packages
	apt_install $missing
fi

# The parts that are not ours, made once.
base() { # ARCHITECTURE KERNEL
	recipe=$(cat "$ROOT/cross/vm/base.sh" "$ROOT/cross/vm/modules.txt" | cksum)
	[ "$(cat "$VM/$1/recipe" 2>/dev/null)" != "$recipe" ] || return 0
	echo "emulated routers: fetching a kernel and programs for $1" >&2
	rm -rf "${VM:?}/$1"
	"$ROOT/cross/vm/base.sh" "$1" "$2" "$VM/$1" || return $?
	echo "$recipe" >"$VM/$1/recipe"
}

# The parts that are ours: a second archive, which the kernel unpacks over the first.
ours() { # TARGET
	tree=$VM/$1.tree
	rm -rf "$tree"
	mkdir -p "$tree/bin" "$tree/checks" "$tree/etc/config" "$tree/www/cgi-bin"
	cp "$CROSS/$1/cheaproute" "$tree/bin/"
	cp "$ROOT/cross/vm/guest/init" "$tree/"
	cp "$ROOT/cross/vm/guest/"*.sh "$ROOT/cross/vm/guest/"*.nft "$tree/checks/"
	cp "$ROOT/files/cheaproute.config" "$tree/checks/sample"
	cp "$ROOT/cross/vm/guest/config" "$tree/etc/config/cheaproute"
	cp "$ROOT/cross/vm/guest/cgi/"* "$tree/www/cgi-bin/"
	(cd "$tree" && find . | cpio --quiet --create --format newc --owner 0:0) | gzip -1 >"$VM/$1.cpio.gz"
	rm -rf "$tree"
}

results=$VM/results
: >"$results"
failed=0
row() {
	printf '%-16s %-22s %7s %7s %8s  %s\n' "$@" >>"$results"
}
unavailable() { # TARGET WHY
	row "$1" - - - - "$2"
	[ "${CHEAPROUTE_VM:-}" = optional ] || failed=1
}

virtual() { # TARGET ARCHITECTURE KERNEL EMULATOR CONSOLE MACHINE
	code=0
	base "$2" "$3" || code=$?
	case $code in
	0) ;;
	3) row "$1" - - - - "skipped: this Debian has no $3 for $2"; return ;;
	*) unavailable "$1" 'its packages cannot be had'; return ;;
	esac
	ours "$1"
	cat "$VM/$2/base.cpio.gz" "$VM/$1.cpio.gz" >"$VM/$1.initrd"
	log=$VM/$1.log
	begun=$(date +%s)
	# Time goes by instructions: on a busy host all goes slower in there, and nothing comes late.
	# shellcheck disable=SC2086 # the machine's options
	timeout -k 5 $LIMIT "$4" $6 -icount shift=3 -rtc clock=vm -m 256 -kernel "$VM/$2/kernel" -initrd "$VM/$1.initrd" \
		-append "console=$5 panic=-1 quiet" -display none -vga none -serial stdio -monitor none -nic none -no-reboot \
		</dev/null 2>&1 | tr -d '\r' >"$log" || true
	took=$(($(date +%s) - begun))
	if all_passed "$log"; then
		verdict='passed'
	else
		failed=1
		verdict='FAILED'
		echo "$1: its last words, of $log:" >&2
		grep '^vm: ok' "$log" >&2 || true
		grep -v '^vm: ok' "$log" | tail -n 60 >&2
	fi
	count=$(counted "$log")
	row "$1" "$(said "$log" kernel)" "$(said "$log" boot)" "$(said "$log" rss)" "$took" "${count:-none} $verdict"
}

# The program as such: it starts, and reads numbers and texts the right way round.
user() { # TARGET EMULATOR
	count=0
	program="$2 $CROSS/$1/cheaproute"
	$program --version | grep -q '^cheaproute [0-9]' && count=$((count + 1))
	$program check --config "$ROOT/files/cheaproute.config" >/dev/null && count=$((count + 1))
	# A fault is found, with its line.
	printf "config link 'wan'\n\toption weight '1001'\n" >"$VM/faulty"
	$program check --config "$VM/faulty" 2>&1 | grep -q 'faulty:2:' && count=$((count + 1))
	if [ $count -eq 3 ]; then
		row "$1" '(user mode)' - - - '3 of 3 passed'
	else
		row "$1" '(user mode)' - - - "$count of 3 FAILED"
		failed=1
	fi
}

wanted() {
	[ -z "$targets" ] || case " $targets " in *" $1 "*) ;; *) return 1 ;; esac
}
targets=$*
tab=$(printf '\t')
grep -v '^#' "$ROOT/cross/vm/machines.tsv" >"$VM/machines"
while IFS=$tab read -r target architecture kernel emulator console machine <&3; do
	wanted "$target" || continue
	virtual "$target" "$architecture" "$kernel" "$emulator" "$console" "$machine"
done 3<"$VM/machines"
! wanted mips_24kc || user mips_24kc qemu-mips-static

printf '%-16s %-22s %7s %7s %8s  %s\n' TARGET KERNEL 'BOOT s' 'RSS KB' 'TOTAL s' CHECKS
cat "$results"
echo 'hundredths of a second of 125 million instructions a second, for 100 MB from one side of the router to the other:'
for log in "$VM"/*.log; do
	[ ! -e "$log" ] || sed -n "s/^vm: throughput/$(basename "$log" .log):/p" "$log"
done
echo 'the same for 3 MB through a bond, both ends of which are on that processor:'
for log in "$VM"/*.log; do
	[ ! -e "$log" ] || sed -n "s/^vm: bond/$(basename "$log" .log):/p" "$log"
done
exit $failed
