//! Congestion that is told without a loss: the mark of RFC 3168, for packets whose ends know it.

/// Not-ECT is 0: such ends know losses only. ECT(0) and ECT(1) become CE.
const CE: u8 = 0b11;

/// The first part of an IP packet with the mark Congestion Experienced; `None`: its ends would not know it, or it is no IP header.
pub fn marked(head: &[u8]) -> Option<Vec<u8>> {
    let mut head = head.to_vec();
    match head.as_mut_slice() {
        [first, tos, _, _, _, _, _, _, _, _, high, low, _, _, _, _, _, _, _, _, ..] if *first >> 4 == 4 => {
            let added = CE - (*tos & CE);
            if added == CE {
                return None;
            }
            *tos |= CE;
            // RFC 1624: what the word gained, the checksum loses. In ones' complement, where the carry comes back.
            let (less, borrow) = u16::from_be_bytes([*high, *low]).overflowing_sub(added.into());
            [*high, *low] = (less - u16::from(borrow)).to_be_bytes();
        }
        [first, class, ..] if *first >> 4 == 6 => {
            if *class >> 4 & CE == 0 {
                return None;
            }
            *class |= CE << 4;
        }
        _ => return None,
    }
    Some(head)
}

#[cfg(test)]
mod tests {
    use etherparse::{Ipv4Header, Ipv6Header};

    use super::*;

    #[test]
    fn a_mark_is_set_where_the_ends_know_it_and_the_checksum_stays_good() {
        // All checksums that a header can have: a hole in ones' complement would show.
        for identification in 0..=u16::MAX {
            for ecn in 0..4 {
                let mut header = Ipv4Header { identification, ..Ipv4Header::default() };
                header.dscp = 46.try_into().unwrap();
                header.ecn = ecn.try_into().unwrap();
                header.header_checksum = header.calc_header_checksum();
                let Some(marked) = marked(&header.to_bytes()) else {
                    assert_eq!(ecn, 0);
                    continue;
                };
                let (now, _) = Ipv4Header::from_slice(&marked).unwrap();
                assert_eq!((now.ecn.value(), now.dscp.value()), (3, 46));
                assert_eq!(now.header_checksum, now.calc_header_checksum(), "{identification} {ecn}");
                let as_before = Ipv4Header { ecn: header.ecn, header_checksum: header.header_checksum, ..now };
                assert_eq!(as_before, header);
            }
        }
    }

    #[test]
    fn a_traffic_class_is_marked_and_nothing_else() {
        for ecn in 0..4u8 {
            let header = Ipv6Header {
                traffic_class: 46 << 2 | ecn,
                flow_label: 0xabcde.try_into().unwrap(),
                ..Default::default()
            };
            let marked = marked(&header.to_bytes());
            assert_eq!(marked.is_some(), ecn != 0);
            if let Some(marked) = marked {
                let (now, _) = Ipv6Header::from_slice(&marked).unwrap();
                assert_eq!(now, Ipv6Header { traffic_class: 46 << 2 | 3, ..header });
            }
        }
    }

    #[test]
    fn what_is_no_header_is_not_marked() {
        assert_eq!(marked(&[]), None);
        assert_eq!(marked(&[0x45, 1, 0, 20]), None);
        assert_eq!(marked(&[0x60]), None);
        assert_eq!(marked(&[0xff; 60]), None);
    }
}
