//! TCP's options: their bytes taken apart. As bytes they are kept, as a list they are written.

/// One option (RFC 9293 3.2, RFC 7323, RFC 2018).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TcpOption {
    Eol,
    Nop,
    MaxSegmentSize(u16),
    WindowScale(u8),
    SackPermitted,
    /// Left and right edges.
    SelectedAck(Vec<(u32, u32)>),
    /// The sender's clock, and what it echoes.
    Timestamp(u32, u32),
    Other(u8, Vec<u8>),
}

/// The most that a TCP header holds: 15 words of 4 bytes, of which 5 are the fixed part.
pub const LONGEST: usize = 40;

impl TcpOption {
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            TcpOption::Eol => out.push(0),
            TcpOption::Nop => out.push(1),
            TcpOption::MaxSegmentSize(size) => {
                out.extend([2, 4]);
                out.extend(size.to_be_bytes());
            }
            TcpOption::WindowScale(scale) => out.extend([3, 3, *scale]),
            TcpOption::SackPermitted => out.extend([4, 2]),
            TcpOption::SelectedAck(edges) => {
                out.extend([5, (2 + edges.len() * 8) as u8]);
                out.extend(edges.iter().flat_map(|(left, right)| [left.to_be_bytes(), right.to_be_bytes()]).flatten());
            }
            TcpOption::Timestamp(value, echo) => {
                out.extend([8, 10]);
                out.extend([value.to_be_bytes(), echo.to_be_bytes()].iter().flatten());
            }
            TcpOption::Other(kind, data) => {
                out.extend([*kind, (2 + data.len()) as u8]);
                out.extend(data);
            }
        }
    }
}

/// The options in a header, `None` if their lengths do not add up. Zeroes that only pad the last word are left out.
pub fn split(mut bytes: &[u8]) -> Option<Vec<TcpOption>> {
    let mut options = Vec::new();
    while let [kind, rest @ ..] = bytes {
        let padding = bytes.len() < 4 && bytes.iter().all(|byte| *byte == 0);
        match kind {
            0 if padding => break,
            0 | 1 => {
                options.push(if *kind == 0 { TcpOption::Eol } else { TcpOption::Nop });
                bytes = rest;
                continue;
            }
            _ => {}
        }
        let (length, _) = rest.split_first()?;
        let (option, others) = bytes.split_at_checked((*length).into())?;
        let data = option.get(2..)?;
        options.push(match (kind, data) {
            (2, [a, b]) => TcpOption::MaxSegmentSize(u16::from_be_bytes([*a, *b])),
            (3, [scale]) => TcpOption::WindowScale(*scale),
            (4, []) => TcpOption::SackPermitted,
            (5, data) if data.len() % 8 == 0 => {
                TcpOption::SelectedAck(data.chunks_exact(8).map(|edge| (word(edge, 0), word(edge, 4))).collect())
            }
            (8, data) if data.len() == 8 => TcpOption::Timestamp(word(data, 0), word(data, 4)),
            _ => TcpOption::Other(*kind, data.to_vec()),
        });
        bytes = others;
    }
    Some(options)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_be_bytes(*word))
}

/// With zeroes up to the end of the last word.
pub fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
