//! What there is to measure.

/// A metric family: its samples share a name, a type and a unit.
pub(super) struct Family {
    /// Without the prefix `cheaproute_`; ends in the unit, if there is one.
    pub name: &'static str,
    pub shape: Shape,
    /// One sentence, without a character that would need escaping.
    pub help: &'static str,
    /// Each sample: what tells it from its siblings, and the path of its value. In families of links a path starts at the
    /// link, in others at the whole document.
    pub samples: &'static [(Label, &'static [&'static str])],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Only grows, until the daemon starts anew.
    Counter(Unit),
    Gauge(Unit),
    /// Always 1; its labels say something. A sample's path is the label's value, and its label the name.
    Info,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    None,
    Bytes,
    Seconds,
    /// Seconds, from microseconds.
    Micros,
    /// A ratio from 0 to 1, from thousandths.
    Permille,
}

/// A label's name and value; an empty name stands for none.
pub(super) type Label = (&'static str, &'static str);
const ALONE: Label = ("", "");

use Shape::{Counter, Gauge, Info};

pub(super) const DAEMON: &[Family] = &[
    Family {
        name: "build",
        shape: Info,
        help: "The version that runs.",
        samples: &[(("version", ""), &["status", "version"])],
    },
    Family {
        name: "uptime_seconds",
        shape: Gauge(Unit::Seconds),
        help: "Time since the start of the daemon.",
        samples: &[(ALONE, &["status", "uptime_s"])],
    },
    Family {
        name: "resident_memory_bytes",
        shape: Gauge(Unit::Bytes),
        help: "Memory that the daemon occupies.",
        samples: &[(ALONE, &["status", "resident_bytes"])],
    },
    Family {
        name: "links",
        shape: Gauge(Unit::None),
        help: "Links that are enabled in the configuration.",
        samples: &[(ALONE, &["status", "links_total"])],
    },
    Family {
        name: "races_in_flight",
        shape: Gauge(Unit::None),
        help: "Races that are under way.",
        samples: &[(ALONE, &["status", "races", "in_flight"])],
    },
    Family {
        name: "races_capacity",
        shape: Gauge(Unit::None),
        help: "Races that can be under way at a time.",
        samples: &[(ALONE, &["status", "races", "capacity"])],
    },
    Family {
        name: "races_started",
        shape: Counter(Unit::None),
        help: "Races begun.",
        samples: &[(ALONE, &["status", "races", "started"])],
    },
    Family {
        name: "races_ended",
        shape: Counter(Unit::None),
        help: "Races over: won by a link, refused by the server, fell back to the best link, or silent, without any answer.",
        samples: &[
            (("outcome", "won"), &["status", "races", "won"]),
            (("outcome", "refused"), &["status", "races", "refused"]),
            (("outcome", "fell_back"), &["status", "races", "fell_back"]),
            (("outcome", "silent"), &["status", "races", "silent"]),
        ],
    },
    Family {
        name: "races_repeated",
        shape: Counter(Unit::None),
        help: "First packets that clients sent again during their race.",
        samples: &[(ALONE, &["status", "races", "repeats"])],
    },
    Family {
        name: "losers_reset",
        shape: Counter(Unit::None),
        help: "Resets sent to servers over links that lost.",
        samples: &[(ALONE, &["status", "races", "resets"])],
    },
    Family {
        name: "openings_passed",
        shape: Counter(Unit::None),
        help: "First packets that took the best link without a race: race table full, TCP Fast Open, no link to race over, \
               or another reason.",
        samples: &[
            (("reason", "full"), &["status", "races", "passed_full"]),
            (("reason", "fast_open"), &["status", "races", "passed_fast_open"]),
            (("reason", "no_link"), &["status", "races", "passed_no_link"]),
            (("reason", "other"), &["status", "races", "passed_other"]),
        ],
    },
    Family {
        name: "remembered_destinations",
        shape: Gauge(Unit::None),
        help: "Destinations whose last winner is remembered.",
        samples: &[(ALONE, &["status", "memory_entries"])],
    },
];

pub(super) const LINK: &[Family] = &[
    Family {
        name: "link",
        shape: Info,
        help: "The network device of a link.",
        samples: &[(("device", ""), &["device"])],
    },
    Family {
        name: "link_up",
        shape: Gauge(Unit::None),
        help: "Whether new connections may take the link, 1 or 0.",
        samples: &[(ALONE, &["used"])],
    },
    Family {
        name: "link_transitions",
        shape: Counter(Unit::None),
        help: "How often the link went up or down.",
        samples: &[(("to", "up"), &["transitions", "up"]), (("to", "down"), &["transitions", "down"])],
    },
    Family {
        name: "link_rtt_seconds",
        shape: Gauge(Unit::Micros),
        help: "Round-trip time, smoothed, as far as it is known.",
        samples: &[(ALONE, &["rtt_us"])],
    },
    Family {
        name: "link_jitter_seconds",
        shape: Gauge(Unit::Micros),
        help: "Mean deviation of the round-trip time.",
        samples: &[(ALONE, &["jitter_us"])],
    },
    Family {
        name: "link_loss_ratio",
        shape: Gauge(Unit::Permille),
        help: "Share of the last probes that nobody answered.",
        samples: &[(ALONE, &["loss_permille"])],
    },
    Family {
        name: "link_race_copies",
        shape: Counter(Unit::None),
        help: "First packets sent out of the link to race.",
        samples: &[(ALONE, &["races", "copies"])],
    },
    Family {
        name: "link_race_answers",
        shape: Counter(Unit::None),
        help: "Answers to races that came in by the link.",
        samples: &[(ALONE, &["races", "answers"])],
    },
    Family {
        name: "link_races_won",
        shape: Counter(Unit::None),
        help: "Races that the link won.",
        samples: &[(ALONE, &["races", "won"])],
    },
    Family {
        name: "link_races_silent",
        shape: Counter(Unit::None),
        help: "Races that another link won while this one never answered.",
        samples: &[(ALONE, &["races", "silent"])],
    },
    Family {
        name: "link_received_bytes",
        shape: Counter(Unit::Bytes),
        help: "Bytes received by the device of the link.",
        samples: &[(ALONE, &["rx_bytes"])],
    },
    Family {
        name: "link_sent_bytes",
        shape: Counter(Unit::Bytes),
        help: "Bytes sent by the device of the link.",
        samples: &[(ALONE, &["tx_bytes"])],
    },
];

pub(super) const PEER: &[Family] = &[
    Family {
        name: "peer",
        shape: Info,
        help: "The network device of a peer.",
        samples: &[(("device", ""), &["device"])],
    },
    Family {
        name: "peer_up",
        shape: Gauge(Unit::None),
        help: "Whether the peer is up, 1 or 0.",
        samples: &[(ALONE, &["state"])],
    },
    Family {
        name: "peer_clients",
        shape: Gauge(Unit::None),
        help: "Clients of a server that are there.",
        samples: &[(ALONE, &["clients_up"])],
    },
    Family {
        name: "peer_received_bytes",
        shape: Counter(Unit::Bytes),
        help: "Bytes of the packets that came through the peer.",
        samples: &[(ALONE, &["rx_bytes"])],
    },
    Family {
        name: "peer_sent_bytes",
        shape: Counter(Unit::Bytes),
        help: "Bytes of the packets that left through the peer.",
        samples: &[(ALONE, &["tx_bytes"])],
    },
    Family {
        name: "peer_packets",
        shape: Counter(Unit::None),
        help: "Packets that came more than once, waited for an earlier one, were not waited for any longer, came because they \
               were sent again, or were dropped for want of a path or of room.",
        samples: &[
            (("kind", "duplicate"), &["duplicates"]),
            (("kind", "reordered"), &["reordered"]),
            (("kind", "given_up"), &["given_up"]),
            (("kind", "dropped"), &["dropped"]),
            (("kind", "repaired"), &["repaired"]),
        ],
    },
    Family {
        name: "peer_queue",
        shape: Gauge(Unit::None),
        help: "Packets that wait to be sent to the peer.",
        samples: &[(ALONE, &["queue"])],
    },
];

pub(super) const PATH: &[Family] = &[
    Family {
        name: "path_up",
        shape: Gauge(Unit::None),
        help: "Whether a link reaches the peer, 1 or 0.",
        samples: &[(ALONE, &["state"])],
    },
    Family {
        name: "path_rtt_seconds",
        shape: Gauge(Unit::Micros),
        help: "Round-trip time to the peer over the link.",
        samples: &[(ALONE, &["rtt_us"])],
    },
    Family {
        name: "path_queue_seconds",
        shape: Gauge(Unit::Micros),
        help: "Time that what is sent waits in the link's queues.",
        samples: &[(ALONE, &["queue_us"])],
    },
    Family {
        name: "path_loss_ratio",
        shape: Gauge(Unit::Permille),
        help: "Share of the packets sent lately that were lost.",
        samples: &[(ALONE, &["loss_permille"])],
    },
    Family {
        name: "path_rate_bits_per_second",
        shape: Gauge(Unit::None),
        help: "What the link is found to carry, from the peer and to it.",
        samples: &[(("direction", "down"), &["down_bps"]), (("direction", "up"), &["up_bps"])],
    },
    Family {
        name: "path_received_bytes",
        shape: Counter(Unit::Bytes),
        help: "Bytes received from the peer over the link.",
        samples: &[(ALONE, &["rx_bytes"])],
    },
    Family {
        name: "path_sent_bytes",
        shape: Counter(Unit::Bytes),
        help: "Bytes sent to the peer over the link.",
        samples: &[(ALONE, &["tx_bytes"])],
    },
    Family {
        name: "path_retransmitted",
        shape: Counter(Unit::None),
        help: "Packets that the link lost, and that were sent again.",
        samples: &[(ALONE, &["retransmitted"])],
    },
    Family {
        name: "path_reordered",
        shape: Counter(Unit::None),
        help: "Packets that came over the link after a later one of it.",
        samples: &[(ALONE, &["reordered"])],
    },
];
