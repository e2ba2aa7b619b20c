# What an emulated router has to show; init reads it in. Each check is a function that is true and quick, or says why not.

asked=0
passed=0
check() { # SENTENCE COMMAND..
	sentence=$1
	shift
	asked=$((asked + 1))
	if "$@" >/tmp/said 2>&1; then
		passed=$((passed + 1))
		echo "vm: ok $sentence"
	else
		echo "vm: FAILED $sentence"
		tail -n 20 /tmp/said | sed 's/^/vm:     /'
		tail -n 5 /tmp/log 2>/dev/null | sed 's/^/vm:     log: /'
	fi
}
uptime() {
	cut -d . -f 1 /proc/uptime
}
eventually() { # COMMAND..
	limit=$(($(uptime) + 10))
	while [ "$(uptime)" -lt $limit ]; do
		"$@" && return
		sleep 0.5
	done
	echo "not in time: $*"
	return 1
}

# Cheaper than `ip netns exec`: all of this costs instructions.
client() {
	nsenter --net=/run/netns/client "$@"
}
internet() {
	nsenter --net=/run/netns/internet "$@"
}
fetch() { # ADDRESS/PATH [OPTION..]
	url=$1
	shift
	client timeout 8 wget -q -O - "$@" "http://$url"
}
delays() { # MILLISECONDS MILLISECONDS
	tc qdisc replace dev wan1 root netem delay "$1ms"
	tc qdisc replace dev wan2 root netem delay "$2ms"
	# What is on its way keeps its delay.
	sleep 0.3
}
SERVERS='198.51.100.1 [2001:db8:51::1]'

# The server sees which link a connection took.
taken() { # LINK
	for turn in 1 2 3; do
		for server in $SERVERS; do
			from=$(fetch "$server/cgi-bin/from")
			echo "$server was asked from '$from'"
			case $from in
			*10.77.$1.2* | *fd77:$1::2*) ;;
			*) return 1 ;;
			esac
		done
	done
}
newest_race() { # PROTOCOL LINK
	cheaproute races --json --count 1 | tr -d ' \n' >/tmp/race
	grep "\"protocol\":\"$1\".*\"outcome\":\"won\",\"link\":\"wan$2\",\"copies\":2" /tmp/race || { cat /tmp/race; return 1; }
}

start() {
	cheaproute run >/tmp/log 2>&1 &
	daemon=$!
	eventually grep 'racing over 2 links' /tmp/log && eventually heartbeat
}
heartbeat() {
	nft list set inet cheaproute alive | grep expires
}
# All that a daemon changes in the kernel.
settled() {
	nft -s list ruleset
	for family in -4 -6; do
		ip $family rule
		# Their order is that in which devices came up.
		ip $family route show table all | sed 's/ expires [0-9]*sec//' | sort
	done
	grep . /proc/sys/net/ipv4/conf/*/rp_filter
}
unchanged() { # FILE: what was settled before
	settled >/tmp/now
	diff "$1" /tmp/now
}

says_what_is_missing() {
	code=0
	timeout 20 cheaproute run >/tmp/log 2>&1 || code=$?
	echo "exit $code"
	[ $code -eq 4 ] && [ "$(wc -l </tmp/log)" -eq 1 ] && grep 'install kmod-nft-queue' /tmp/log && unchanged /tmp/before
}
starts_with_nft_queue() {
	insmod "$later"
	start
	cheaproute status --json | tr -d ' \n' >/tmp/status
	cat /tmp/status
	grep '"queueing":"nft"' /tmp/status && nft list table inet cheaproute | grep 'queue flags bypass'
}
resets() {
	internet nft list chain inet seen input | sed -n 's/.*packets \([0-9]*\).*/\1/p'
}
more_resets() {
	[ "$(resets)" -gt "$resets" ]
}
# State 3 of the kernel's table is SYN_RECV.
none_half_open() {
	! internet cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == "03"' | grep .
}
resets_losers() {
	for server in $SERVERS; do
		resets=$(resets)
		fetch "$server/cgi-bin/from"
		eventually more_resets && eventually none_half_open || return 1
	done
}
carries_data() {
	head -c 2250000 /dev/urandom | base64 >/www/data
	sum=$(md5sum </www/data)
	for server in $SERVERS; do
		down=$(fetch "$server/data" | md5sum)
		up=$(fetch "$server/cgi-bin/sum" --post-file /www/data)
		echo "$server: sent $sum, came down $down, went up $up"
		[ "$down" = "$sum" ] && [ "$up" = "$sum" ] || return 1
	done
}
refused() {
	client timeout 3 wget -O - http://198.51.100.1:81/ 2>&1 | grep -i refused
}
echoes() {
	client ping -c 1 -W 5 198.51.100.1 && newest_race icmp 2 &&
		client ping -c 1 -W 5 2001:db8:51::1 && newest_race icmp 2
}
listens() {
	internet cat /proc/net/udp | grep ':0035 '
}
asks_once() {
	echo answer | internet timeout 10 netcat -u -l 198.51.100.1 53 &
	eventually listens
	answer=$(echo question | client timeout 5 netcat -u -W 1 198.51.100.1 53)
	echo "answered '$answer'"
	[ "$answer" = answer ] && newest_race udp 2
}
# What a flowtable forwards the rules do not see; and by a bridge's port it goes on after the route has changed.
seen_by_rules() {
	nft list chain inet shortcut forward | sed -n 's/.*packets \([0-9]*\).*/\1/p'
}
unseen() {
	seen=$(seen_by_rules)
	sleep 1
	[ "$(seen_by_rules)" = "$seen" ]
}
echo_listens() {
	internet cat /proc/net/tcp | grep ':0007 .* 0A '
}
talks() {
	kill -0 $talker
}
talks_no_more() {
	! talks
}
resets_what_is_offloaded() {
	nft -f /checks/offload.nft
	internet timeout 30 netcat -l 198.51.100.1 7 >/tmp/heard &
	eventually echo_listens
	while sleep 0.2; do echo line; done | client timeout 30 netcat 198.51.100.1 7 &
	talker=$!
	eventually [ -s /tmp/heard ] && eventually unseen && talks || return 1
	# In silence: what the link is to carry is gone.
	tc qdisc replace dev port2 root netem loss 100%
	eventually uses 1 && eventually talks_no_more
	result=$?
	tc qdisc del dev port2 root
	nft delete table inet shortcut
	eventually uses 2 && return $result
}
uses() { # NUMBER: of links
	cheaproute status --json | tr -d " " | grep "\"links_up\":$1,"
}
# After races, transfers and a peer: as much as it ever takes.
is_small() {
	kilobytes=$(sed -n 's/VmRSS:[^0-9]*\([0-9]*\).*/\1/p' /proc/$daemon/status)
	echo "vm: rss $kilobytes" >/dev/console
	echo "VmRSS is '$kilobytes' KB"
	[ "$kilobytes" -gt 0 ] && [ "$kilobytes" -le 3072 ]
}
leaves_a_lost_link() {
	ip link set wan2 down
	eventually uses 1 && taken 1
}
takes_it_again() {
	ip link set wan2 up
	# The kernel forgot it.
	ip address add fd77:2::2/64 dev wan2
	eventually uses 2 && eventually taken 2
}
reloads() {
	sed -i "/'wan2'/a option handicap '1s'" /etc/config/cheaproute
	cheaproute reload && eventually taken 1
}
keeps_what_it_has() {
	cp /etc/config/cheaproute /tmp/good
	echo "option nonsense '1'" >>/etc/config/cheaproute
	! cheaproute reload 2>/tmp/complaint && grep nonsense /tmp/complaint && taken 1
	result=$?
	sed "/handicap/d" /tmp/good >/etc/config/cheaproute
	cheaproute reload && eventually taken 2 && return $result
}
hangs_harmlessly() {
	kill -STOP $daemon
	taken 1
	result=$?
	kill -CONT $daemon
	eventually heartbeat
	[ $result -eq 0 ] && taken 2
}
dies_harmlessly() {
	kill -KILL $daemon
	taken 1
}
starts_over() {
	start && taken 2
}
works_in_2039() {
	date -u -s @2200000000
	[ "$(date +%Y)" = 2039 ] && taken 2 && cheaproute status && kill $daemon && wait $daemon && start && taken 2
}
ended() {
	! grep -q 'State:[^Z]*$' /proc/$daemon/status
}
leaves_nothing() {
	kill -TERM $daemon
	eventually ended && wait $daemon || { echo "exit $?"; return 1; }
	# Debian's 32-bit ip, unlike the program under test, never comes back from 2039.
	date -u -s @1700000000
	unchanged /tmp/before && taken 1
}

. /checks/bond.sh

# How long a large download takes in instructions, for time goes by those: what the rules cost a known connection is in it
# without the noise of a real machine.
hundredths() {
	cut -d ' ' -f 1 /proc/uptime | tr -d .
}
seconds() {
	from=$(hundredths)
	client timeout 60 wget -q -O /dev/null http://198.51.100.1/zeros || return 1
	echo $(($(hundredths) - from))
}
measure() { # FILE: for hundredths of a second, the median of five
	truncate -s 100M /www/zeros
	for turn in 1 2 3 4 5; do seconds; done | sort -n | sed -n 3p >"$1"
	rm /www/zeros
	[ -s "$1" ]
}
download_goes_on() {
	before=$(cat /sys/class/net/lan0/statistics/tx_packets)
	measure /tmp/with || return 1
	packets=$(($(cat /sys/class/net/lan0/statistics/tx_packets) - before))
	# What fw4 does with option flow_offloading.
	nft -f /checks/offload.nft && measure /tmp/offloaded || return 1
	nft delete table inet shortcut || return 1
	echo "vm: throughput with $(cat /tmp/with), with and offloaded $(cat /tmp/offloaded), without $(cat /tmp/without), with one ip rule $(cat /tmp/rule), packets $((packets / 5))" >/dev/console
}

settled >/tmp/before
measure /tmp/without
# The first rule ever makes the kernel look up every packet's source as well (fib4_has_custom_rules), for good.
ip rule add pref 5000 fwmark 1 lookup main
ip rule del pref 5000
measure /tmp/rule
check 'lacking nft_queue it says so in one line, and touches nothing' says_what_is_missing
check 'the sample configuration is good' cheaproute check --config /checks/sample
check 'it starts, and queues by nft' starts_with_nft_queue
delays 150 20
check 'the faster link wins, by IPv4 and IPv6' taken 2
delays 20 150
check 'when delays swap, so do the winners' taken 1
delays 150 20
check 'losers are reset, no server keeps them half-open' resets_losers
check '3 MB go down and up unharmed' carries_data
tc qdisc del dev wan1 root
tc qdisc del dev wan2 root
check 'large downloads go on' download_goes_on
check 'a peer is there, over both links' bonds
check '3 MB go down and up through it unharmed' carries_data_bonded
check 'a download through it outlives a link' outlives_a_link
check 'without it nothing of it is left' separates
delays 150 20
check 'a closed port refuses at once' refused
check 'pings are raced, by IPv4 and IPv6' echoes
check 'a datagram to port 53 is raced' asks_once
check 'it takes 3 MB of memory at most' is_small
check 'an offloaded connection is reset when its link falls silent' resets_what_is_offloaded
check 'a link that goes down is left' leaves_a_lost_link
check 'a link that comes up is taken again' takes_it_again
check 'a reload changes what it changes' reloads
check 'a faulty reload changes nothing' keeps_what_it_has
check 'hanging, it stops nobody' hangs_harmlessly
check 'killed, it stops nobody' dies_harmlessly
check 'it starts over what a kill left' starts_over
check 'after 2038 it races, and starts' works_in_2039
check 'stopped, it leaves no table, rule, route or setting' leaves_nothing
echo "vm: passed $passed of $asked at $(uptime)"
