# A peer in the internet's namespace; checks.sh reads this in. No name of another check is used twice.

# Keys are made as people make them: that takes this processor's random numbers and key agreement.
ends() {
	for end in here there; do
		cheaproute genkey >/tmp/$end.key && cheaproute pubkey </tmp/$end.key >/tmp/$end.pub || return 1
	done
	cat >/tmp/there.config <<-END
		config cheaproute 'main'

		config peer 'home'
			option role 'server'
			option private_key_file '/tmp/there.key'
			option public_key '$(cat /tmp/here.pub)'
			option listen_port '7420'
			list address '10.74.20.1/24'
			list address 'fd74:20::1/64'
	END
	cp /etc/config/cheaproute /tmp/alone
	cat >>/etc/config/cheaproute <<-END

		config peer 'vps'
			option private_key_file '/tmp/here.key'
			option public_key '$(cat /tmp/there.pub)'
			list endpoint '198.51.100.1:7420'
			list address '10.74.20.2/24'
			list address 'fd74:20::2/64'
	END
}
tells() { # TEXT [OPTION..]
	text=$1
	shift
	cheaproute peers --json "$@" | tr -d ' \n' >/tmp/peers
	grep -- "$text" /tmp/peers || { cat /tmp/peers; return 1; }
}
bonds() {
	ends || return 1
	internet cheaproute run -c /tmp/there.config -s /tmp/there.sock >/tmp/there.log 2>&1 &
	far=$!
	eventually grep 'listening on UDP port 7420' /tmp/there.log && cheaproute reload &&
		eventually tells '"reason":"overwan1,wan2"' && eventually tells '"state":"up"' -s /tmp/there.sock &&
		ping -c 1 -W 5 10.74.20.1 && ping -c 1 -W 5 fd74:20::1
}
carries_data_bonded() {
	sum=$(md5sum </www/data)
	# A client's, behind the router's firewall; and the router's own.
	from=$(hundredths)
	down=$(client timeout 60 wget -q -O - http://10.74.20.1/data | md5sum)
	took=$(($(hundredths) - from))
	up=$(wget -q -O - 'http://[fd74:20::1]/cgi-bin/sum' --post-file /www/data)
	echo "sent $sum, came down $down, went up $up"
	echo "vm: bond $took" >/dev/console
	# Both paths had a part in it.
	[ "$down" = "$sum" ] && [ "$up" = "$sum" ] && tells '"name":"wan1",.*"name":"wan2",' && ! grep '"rx_bytes":0,' /tmp/peers
}
outlives_a_link() {
	head -c 6000000 /dev/zero >/www/zeros
	client timeout 60 wget -q -O /tmp/got http://10.74.20.1/zeros &
	download=$!
	sleep 0.5
	ip link set wan1 down
	wait $download
	result=$?
	cmp /tmp/got /www/zeros || result=1
	rm -f /tmp/got /www/zeros
	# The kernel forgot them.
	ip link set wan1 up
	ip address add fd77:1::2/64 dev wan1
	ip route replace default via 10.77.1.1 dev wan1
	ip route replace default via fd77:1::1 dev wan1
	return $result
}
separates() {
	cp /tmp/alone /etc/config/cheaproute
	kill -TERM $far
	cheaproute reload && ! ip link show bond0 && ! ip rule | grep bond0 && eventually uses 2
}
