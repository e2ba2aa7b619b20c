//! Numbers that have names: IANA's protocols and ICMP's types and codes, and the flags.

/// Names of numbers. The first name of a number is the one that is written; more may follow for reading.
pub type Names = &'static [(&'static str, u64)];

/// The number behind a name, in whatever case.
pub fn number(names: Names, name: &str) -> Option<u64> {
    names.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, number)| *number)
}

pub fn name(names: Names, number: u64) -> Option<&'static str> {
    names.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
}

/// The three bits in front of the fragment's offset (RFC 791 3.1).
pub const IP_FLAGS: Names = &[("DF", 2), ("MF", 1), ("reserved", 4)];

/// RFC 9293 3.1, and NS of RFC 3540.
pub const TCP_FLAGS: Names = &[
    ("FIN", 0x01),
    ("SYN", 0x02),
    ("RST", 0x04),
    ("PSH", 0x08),
    ("ACK", 0x10),
    ("URG", 0x20),
    ("ECE", 0x40),
    ("CWR", 0x80),
    ("NS", 0x100),
];

/// IANA's registry "Assigned Internet Protocol Numbers".
pub const PROTOCOLS: Names = &[
    ("TCP", 6),
    ("UDP", 17),
    ("ICMP", 1),
    ("ICMPv6", 58),
    ("IPv6-ICMP", 58),
    ("HOPOPT", 0),
    ("IGMP", 2),
    ("IPv4", 4),
    ("IPv6", 41),
    ("IPv6-Route", 43),
    ("IPv6-Frag", 44),
    ("GRE", 47),
    ("ESP", 50),
    ("AH", 51),
    ("IPv6-NoNxt", 59),
    ("IPv6-Opts", 60),
    ("EIGRP", 88),
    ("OSPFIGP", 89),
    ("OSPF", 89),
    ("IPIP", 94),
    ("PIM", 103),
    ("VRRP", 112),
    ("L2TP", 115),
    ("SCTP", 132),
    ("UDPLite", 136),
];

/// IANA's registry "ICMP Type Numbers".
pub const ICMP_TYPES: Names = &[
    ("echoReply", 0),
    ("destinationUnreachable", 3),
    ("destUnreachable", 3),
    ("sourceQuench", 4),
    ("redirect", 5),
    ("echoRequest", 8),
    ("echo", 8),
    ("routerAdvertisement", 9),
    ("routerSolicitation", 10),
    ("timeExceeded", 11),
    ("parameterProblem", 12),
    ("timestamp", 13),
    ("timestampReply", 14),
    ("informationRequest", 15),
    ("informationReply", 16),
    ("addressMaskRequest", 17),
    ("addressMaskReply", 18),
];

/// IANA's registry "ICMPv6 type Numbers".
pub const ICMP6_TYPES: Names = &[
    ("destinationUnreachable", 1),
    ("destUnreachable", 1),
    ("packetTooBig", 2),
    ("timeExceeded", 3),
    ("parameterProblem", 4),
    ("echoRequest", 128),
    ("echo", 128),
    ("echoReply", 129),
    ("listenerQuery", 130),
    ("listenerReport", 131),
    ("listenerDone", 132),
    ("routerSolicitation", 133),
    ("routerAdvertisement", 134),
    ("neighborSolicitation", 135),
    ("neighborAdvertisement", 136),
    ("redirect", 137),
    ("listenerReport2", 143),
];

const UNREACHABLE: Names = &[
    ("net", 0),
    ("host", 1),
    ("protocol", 2),
    ("port", 3),
    ("fragmentationNeeded", 4),
    ("fragNeeded", 4),
    ("sourceRouteFailed", 5),
    ("netUnknown", 6),
    ("hostUnknown", 7),
    ("sourceHostIsolated", 8),
    ("netProhibited", 9),
    ("hostProhibited", 10),
    ("netForTos", 11),
    ("hostForTos", 12),
    ("administrativelyProhibited", 13),
    ("adminProhibited", 13),
    ("hostPrecedenceViolation", 14),
    ("precedenceCutoff", 15),
];
const UNREACHABLE6: Names = &[
    ("noRoute", 0),
    ("administrativelyProhibited", 1),
    ("adminProhibited", 1),
    ("beyondScope", 2),
    ("address", 3),
    ("port", 4),
    ("sourcePolicy", 5),
    ("rejectRoute", 6),
];
const REDIRECT: Names = &[("net", 0), ("host", 1), ("tosAndNet", 2), ("tosAndHost", 3)];
const EXCEEDED: Names = &[("ttl", 0), ("hopLimit", 0), ("reassembly", 1)];
const EXCEEDED6: Names = &[("hopLimit", 0), ("ttl", 0), ("reassembly", 1)];
const PROBLEM: Names = &[("pointer", 0), ("missingOption", 1), ("badLength", 2)];
const PROBLEM6: Names = &[("header", 0), ("nextHeader", 1), ("option", 2)];

pub fn icmp_types(ipv6: bool) -> Names {
    if ipv6 { ICMP6_TYPES } else { ICMP_TYPES }
}

/// The names of a type's codes; of most there are none.
pub fn icmp_codes(ipv6: bool, kind: u64) -> Names {
    match (ipv6, kind) {
        (false, 3) => UNREACHABLE,
        (false, 5) => REDIRECT,
        (false, 11) => EXCEEDED,
        (false, 12) => PROBLEM,
        (true, 1) => UNREACHABLE6,
        (true, 3) => EXCEEDED6,
        (true, 4) => PROBLEM6,
        _ => &[],
    }
}

/// Types that hold the packet which they are about.
pub fn is_error(ipv6: bool, kind: u64) -> bool {
    if ipv6 { (1..=4).contains(&kind) } else { matches!(kind, 3 | 4 | 5 | 11 | 12) }
}
