#!/bin/sh
# What the packages feed's CI runs on an installed package: test.sh PACKAGE VERSION. There is no ubus and no kernel module
# there. What is looked for is printed: the log of that CI is to have the version.

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

case "$1" in
cheaproute)
	cheaproute --version | grep -xF "cheaproute $2" || fail "--version does not say $2 but $(cheaproute --version)"
	cheaproute check -c /usr/share/cheaproute/cheaproute.config || fail "the sample configuration has faults"
	/bin/sh -n /etc/init.d/cheaproute || fail "the init script is broken"
	;;
playbacktun)
	playbacktun --version | grep -xF "playbacktun $2" || fail "--version does not say $2 but $(playbacktun --version)"
	;;
esac
