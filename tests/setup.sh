#!/bin/sh
# Installs what the lab needs, if it is missing; with `demo`, what the demos need of that. The lab makes network namespaces, so all of this is for root only.
set -eu
if [ "$(id -u)" -ne 0 ]; then
    echo "cheaproute: the lab makes network namespaces: run this as root" >&2
    exit 1
fi
missing='' browser=''
tools='nft:nftables ip:iproute2 conntrack:conntrack cc:gcc'
if [ "${1:-}" != demo ]; then
    tools="$tools iptables:iptables ping:iputils-ping c++:g++ python3:python3 busybox:busybox setpriv:util-linux tshark:tshark"
    command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || browser=chromium
fi
for tool in $tools; do
    command -v "${tool%%:*}" >/dev/null 2>&1 || missing="$missing ${tool#*:}"
done
[ -z "$missing$browser" ] && exit 0
echo "cheaproute: installing$missing $browser"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086 # a list of packages
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
# Not every architecture has one.
if [ -n "$browser" ]; then
    apt-get install -y -qq --no-install-recommends chromium >/dev/null ||
        echo "cheaproute: chromium cannot be installed: LuCI's pages go untested" >&2
fi
