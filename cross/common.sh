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
