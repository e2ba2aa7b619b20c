//! TCP options, which the lab's packets leave out.

use lab::{Direction, Packet, Watch};

/// A TCP option's kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Option_ {
    Mss = 2,
    WindowScale = 3,
}

/// The value of an option of a TCP frame.
pub fn tcp_option(frame: &[u8], wanted: Option_) -> Option<u64> {
    let ip = frame.get(14..)?;
    let header = if ip[0] >> 4 == 4 { usize::from(ip[0] & 15) * 4 } else { 40 };
    let tcp = ip.get(header..)?;
    let mut options = tcp.get(20..usize::from(tcp[12] >> 4) * 4)?;
    while let [kind, rest @ ..] = options {
        match kind {
            0 => return None,
            1 => options = rest,
            kind => {
                let (option, others) = options.split_at_checked(usize::from(rest[0]).max(2))?;
                if *kind == wanted as u8 {
                    return Some(option[2..].iter().fold(0, |value, byte| value << 8 | u64::from(*byte)));
                }
                options = others;
            }
        }
    }
    None
}

/// The MSS of the first packet that went this way and looks as wanted.
pub fn mss(watch: &Watch, direction: Direction, wanted: impl Fn(&Packet) -> bool) -> Option<u64> {
    let (seen, _) = watch.wait_for(direction, super::ms(1000), wanted)?;
    tcp_option(&seen.frame, Option_::Mss)
}

/// Likewise its window scale.
pub fn window_scale(watch: &Watch, direction: Direction, wanted: impl Fn(&Packet) -> bool) -> Option<u64> {
    let (seen, _) = watch.wait_for(direction, super::ms(1000), wanted)?;
    tcp_option(&seen.frame, Option_::WindowScale)
}
