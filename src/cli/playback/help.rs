//! What the help of `playbacktun` says.

pub const HELP: &str = r#"playbacktun: plays packets that are written as JSON into a TUN device

Usage: playbacktun [OPTION].. IFACE FILE      play them
       playbacktun --check FILE               only look for faults
       playbacktun --to-pcap PCAP FILE        write them for Wireshark instead
       playbacktun --from-pcap PCAP           make JSON of a capture
       playbacktun --record IFACE             make JSON of what passes a device

To the kernel the packets come from a network behind IFACE: routing, nft and conntrack
treat them as any others. IFACE is created, and vanishes at the end; one that `ip tuntap`
made is taken and stays. FILE may be - for standard input.

Options:
  -a, --address ADDR/LEN  give IFACE this address (again for more), and set it up
  -u, --up                set IFACE up; else it is waited for until somebody does
  -i, --interval MS       between packets that say no time of their own (default 0)
  -l, --loop              begin anew at the end, after the interval or 1 s
  -n, --count N           with --loop: so many times; with --record: so many packets
  -e, --expect FILE       packets that must come back out of IFACE, in any order
  -w, --wait MS           how long they have got after the last packet (default 1000);
                          without --expect: how long IFACE stays
  -c, --check             look for faults, and send nothing
  -t, --to-pcap PCAP      write the packets to a file
  -f, --from-pcap PCAP    read packets from a file
  -r, --record            hear IFACE
  -o, --output FILE       where --from-pcap and --record write (default: standard output)
  -h, --help              show this
  -V, --version           show the version

A packet, all of whose fields may be left out but the addresses:
  {
    "time": 0.25,
    "ip": {"ttl": 64, "flags": ["DF"], "source": "192.168.1.7", "destination": "1.1.1.1"},
    "tcp": {"sourcePort": 40000, "destPort": 80, "seqNumber": 1, "flags": ["SYN"],
            "options": [{"maxSegmentSize": 1460}, "sackPermitted"]},
    "data": {"type": "text", "data": ["GET / HTTP/1.0\r\n", "\r\n"]}
  }

Packets stand in an array or one after another. Their fields:
  (itself)  comment, time (seconds since the start), cut (only so many bytes are sent)
  ip        version, tos, flowLabel, id, flags (DF MF), fragmentOffset (in 8 bytes), ttl,
            protocol (name or number), source, destination, options (hexadecimal)
  tcp       sourcePort, destPort, seqNumber, ackNumber, flags (FIN SYN RST PSH ACK URG ECE
            CWR NS), reserved, windowSize, urgentPointer, options: "NOP", "EOL",
            "sackPermitted", {"maxSegmentSize": 1460}, {"windowScale": 7},
            {"selectedAck": [[1, 2]]}, {"timestamp": [1, 0]}, {"kind": 254, "data": "00"}
  udp       sourcePort, destPort
  icmp      type and code (name or number), identifier, sequenceNumber, nextHopMtu,
            gateway, pointer, rest (the second word, of any type), and packet: the one
            that an error is about, with the same fields again. In IPv6 it is ICMPv6.
  data      type ("text" or "hex") and data (a list of lines)
  raw       the same, instead of tcp, udp, icmp and data; without ip, the whole packet
Numbers may be texts such as "0x1f". IPv6 fragments have an id, flags or fragmentOffset.
Lengths and checksums are computed. To send wrong ones: headerLength, totalLength,
payloadLength and checksum of ip, dataOffset and checksum of tcp, length and checksum of
udp, checksum of icmp. In --expect, fields that are left out match anything; time, cut and
comment are not looked at.

Exit codes:
  0  done, and everything expected came
  1  failed, or something expected did not come: the message says what
  2  the command line is wrong
  3  a file has faults, or cannot be read
  4  the system lacks something: permission, a kernel module, a device

Notes:
  Who forwards the packets needs a route back to their sources, or the answers do not come
  to IFACE: --address 192.168.1.1/24 makes one. Sources that are routed elsewhere are
  dropped where rp_filter is 1.
  What --record hears of a packet that this machine made may lack its checksum, which
  hardware would fill in; it is written as it is.

Examples:
  playbacktun --check packets.json
  playbacktun -a 192.168.1.1/24 tun0 packets.json --expect answers.json
  playbacktun --record br-lan -n 20 -o packets.json
  playbacktun packets.json --to-pcap packets.pcap && wireshark packets.pcap
"#;
