# To be sourced: what the log of an emulated router says. Its lines for us begin with "vm: ".

said() { # LOG WORD: what it said last of that
	sed -n "s/^vm: $2 //p" "$1" | tail -n 1
}
counted() { # LOG: "PASSED of ASKED", or nothing
	passed=$(said "$1" passed)
	echo "${passed%% at *}"
}
# Everything was asked, nothing failed, and it came to its end: an emulator ends well whatever happens inside.
all_passed() { # LOG
	count=$(counted "$1")
	[ -n "$count" ] && [ "${count% of *}" = "${count#* of }" ] && [ "$count" != '0 of 0' ] &&
		! grep -q '^vm: FAILED' "$1" && grep -q '^vm: end$' "$1"
}
