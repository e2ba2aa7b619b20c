#!/bin/sh
# Makes the parts of an emulated router that are not ours: cross/vm/base.sh ARCHITECTURE KERNEL DIRECTORY
# leaves DIRECTORY/kernel and DIRECTORY/base.cpio.gz, from packages of this machine's Debian for that architecture. Exit 3: this
# Debian has no such kernel.
set -eu
. "$(dirname "$0")/../common.sh"
architecture=$1 kernel=$2 directory=$3

# nft, ip, tc and what they need; a date that knows of 2038, and an nc that knows UDP, which busybox has not.
packages="busybox-static nftables libnftables1 libnftnl11 libmnl0 libjansson4 libgmp10 libedit2 libbsd0 libmd0 libtinfo6
	libxtables12 iproute2 libbpf1 libelf1 libcap2 libselinux1 libpcre2-8-0 zlib1g libc6 libgcc-s1 coreutils netcat-openbsd"
programs='busybox nft ip tc date nc.openbsd'

work=$(mktemp -d "$CROSS/vm/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/apt/lists/partial" "$work/cache/archives/partial" "$work/debs" "$work/root" "$work/base" "$directory"
: >"$work/apt/status"

# A private state: the foreign architecture stays unknown to the machine's own packages.
apt() {
	command=$1
	shift
	"$command" -qq -o "APT::Architecture=$architecture" -o "APT::Architectures::=$architecture" -o "Dir::State=$work/apt" \
		-o "Dir::State::status=$work/apt/status" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root \
		-o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Update::Error-Mode=any "$@"
}
# Mirrors change while one reads them.
persistently() {
	for pause in 2 5 10 0; do
		"$@" >"$work/log" 2>&1 && return
		sleep $pause
	done
	cat "$work/log" >&2
	return 1
}
# A part of the archive that is just being renewed need not be the one with our packages.
complete=true
persistently apt apt-get update || complete=false
image=$(apt apt-cache depends "$kernel" 2>/dev/null | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -n 1)
if [ -z "$image" ]; then
	$complete && exit 3 || exit 1
fi
cd "$work/debs"
# shellcheck disable=SC2086 # a list of packages
persistently apt apt-get download "$image" $packages
for deb in *.deb; do
	dpkg -x "$deb" "$work/root"
done

cd "$work/root"
mkdir -p "$work/base/bin" "$work/base/lib" "$work/base/modules"
# Their order on the path is ours; what the foreign loader wants is all in /lib.
for program in $programs; do
	cp -L "$(find bin sbin usr/bin usr/sbin -name "$program" | head -n 1)" "$work/base/bin/"
done
mv "$work/base/bin/nc.openbsd" "$work/base/bin/netcat"
find lib usr/lib -maxdepth 2 -name '*.so*' | while read -r library; do
	cp -L "$library" "$work/base/lib/" 2>/dev/null || true
done
version=$(ls lib/modules)
depmod -b "$work/root" "$version"
number=10
# The order of the list, each after what it needs.
for module in $(cat "$ROOT/cross/vm/modules.txt"); do
	for file in $(modprobe -d "$work/root" -S "$version" --show-depends "$module" | awk '$1 == "insmod" { print $2 }'); do
		name=$(basename "$file")
		if [ -z "$(find "$work/base/modules" -name "*-$name")" ]; then
			cp "$file" "$work/base/modules/$number-$name"
			number=$((number + 1))
		fi
	done
done
cd "$work/base"
mkdir -p dev proc sys run tmp etc/config var
ln -s lib lib64
ln -s busybox bin/sh
find . | cpio --quiet --create --format newc --owner 0:0 | gzip -1 >"$directory/base.cpio.gz"
cp "$work/root/boot/vmlinu"* "$directory/kernel"
