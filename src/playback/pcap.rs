//! Files of packets, as tcpdump and Wireshark write them (draft-ietf-opsawg-pcap).

/// Bytes of the file's header, and of each packet's.
const HEADER: usize = 24;
const RECORD: usize = 16;
/// Packets without anything in front of IP (LINKTYPE_RAW).
const RAW: u32 = 101;
/// Larger records than tcpdump ever writes: the file is damaged.
const LARGEST: u32 = 262_144;

/// One IP packet of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Captured<'b> {
    /// Microseconds since 1970.
    pub time: u64,
    pub bytes: &'b [u8],
}

/// What is in a file, and how many packets were left out because they are none of IP.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Capture<'b> {
    pub packets: Vec<Captured<'b>>,
    pub others: usize,
    /// The last packet is not all there: whoever wrote the file was interrupted.
    pub torn: bool,
}

/// The IP packets of a file, or what is wrong with it.
pub fn read(bytes: &[u8]) -> Result<Capture<'_>, String> {
    let magic: [u8; 4] = bytes.first_chunk().copied().ok_or("is no pcap file: it is too short")?;
    let (big, nanos) = match magic {
        [0xA1, 0xB2, 0xC3, 0xD4] => (true, false),
        [0xD4, 0xC3, 0xB2, 0xA1] => (false, false),
        [0xA1, 0xB2, 0x3C, 0x4D] => (true, true),
        [0x4D, 0x3C, 0xB2, 0xA1] => (false, true),
        [0x0A, 0x0D, 0x0D, 0x0A] => return Err("is a pcapng file: convert it with `editcap -F pcap OLD NEW`".into()),
        _ => return Err("is no pcap file".into()),
    };
    let word = |bytes: &[u8], at: usize| {
        let word = bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
        if big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
    };
    let (header, mut rest) = bytes.split_at_checked(HEADER).ok_or("ends within its header")?;
    // The upper bits tell of check sequences.
    let link = word(header, 20) & 0x0FFF_FFFF;
    if !is_known(link) {
        return Err(format!(
            "is of link type {link}, which is not known here: expected Ethernet, Linux cooked or raw IP"
        ));
    }
    let mut capture = Capture::default();
    while !rest.is_empty() {
        let Some((record, more)) = rest.split_at_checked(RECORD) else {
            capture.torn = true;
            break;
        };
        let length = word(record, 8);
        if length > LARGEST {
            return Err("is damaged: a packet in it is longer than any".into());
        }
        let Some((frame, more)) = more.split_at_checked(length as usize) else {
            capture.torn = true;
            break;
        };
        rest = more;
        let micros = if nanos { word(record, 4) / 1_000 } else { word(record, 4) };
        let time = u64::from(word(record, 0)) * 1_000_000 + u64::from(micros);
        match ip(link, frame).filter(|bytes| !bytes.is_empty() && bytes.len() <= super::LONGEST) {
            Some(bytes) => capture.packets.push(Captured { time, bytes }),
            None => capture.others += 1,
        }
    }
    Ok(capture)
}

fn is_known(link: u32) -> bool {
    matches!(link, 0 | 1 | 12 | 14 | RAW | 108 | 113 | 228 | 229 | 276)
}

/// The IP packet of a frame.
fn ip(link: u32, frame: &[u8]) -> Option<&[u8]> {
    let at = match link {
        RAW | 12 | 14 | 228 | 229 => return Some(frame),
        0 | 108 => 4,
        1 => {
            let mut at = 12;
            // Tags of 802.1Q and 802.1ad.
            while matches!(frame.get(at..at + 2)?, [0x81, 0x00] | [0x88, 0xA8]) {
                at += 4;
            }
            is_ip(frame.get(at..at + 2)?).then_some(at + 2)?
        }
        113 => is_ip(frame.get(14..16)?).then_some(16)?,
        276 => is_ip(frame.get(0..2)?).then_some(20)?,
        _ => return None,
    };
    frame
        .get(at..)
        .map(without_padding)
        .filter(|bytes| matches!(bytes.first(), Some(first) if matches!(first >> 4, 4 | 6)))
}

fn is_ip(ethertype: &[u8]) -> bool {
    matches!(ethertype, [0x08, 0x00] | [0x86, 0xDD])
}

/// Ethernet fills up short frames: what is behind the packet's own end is none of it.
pub fn without_padding(bytes: &[u8]) -> &[u8] {
    let length = |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |two| u16::from_be_bytes(*two));
    let end = match bytes.first().map(|first| first >> 4) {
        Some(4) => usize::from(length(2)),
        Some(6) => 40 + usize::from(length(4)),
        _ => return bytes,
    };
    // Below its own header's length it is no length: zero is of segments that the hardware cuts (TSO).
    if end < 20 || end == 40 { bytes } else { bytes.get(..end).unwrap_or(bytes) }
}

/// The header of a file of IP packets without more.
pub fn header() -> Vec<u8> {
    let words = [0xA1B2_C3D4, 2 << 16 | 4, 0, 0, super::LONGEST as u32, RAW];
    words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect()
}

/// One packet, at a time in microseconds since 1970.
pub fn record(time: u64, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u32;
    let words = [(time / 1_000_000) as u32, (time % 1_000_000) as u32, length, length];
    words.iter().flat_map(|word| word.to_be_bytes()).chain(bytes.iter().copied()).collect()
}
