//! HTTP as far as a probe needs it (RFC 9112): a request, and whether the answer is the empty page that was asked for.
//!
//! | the answer | is |
//! |---|---|
//! | status 204 | good |
//! | status 200 with an empty body: a length of 0, or no length and an end right after the head | good |
//! | a status from 400 on but 511: the server has troubles of its own | none: the probe is lost |
//! | any other status (a redirect, say), a page, or what is no HTTP at all | wrong: a captive portal, mostly |
//! | an end or silence before that is known | none: the probe is lost |
//!
//! These are the rules of Android's and most other systems' checks for captive portals.

use super::target::Page;

/// The most of an answer that is kept. A head that is still open then is no empty page's.
pub const LENGTH: usize = 2048;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Not yet known.
    Open,
    Good,
    Wrong,
    /// It ended before it said anything, or is about the server only.
    Silent,
}

/// The request for a page.
pub fn request(page: &Page) -> Vec<u8> {
    let agent = concat!("cheaproute/", env!("CARGO_PKG_VERSION"));
    let (path, host) = (&page.path, page.authority());
    let lines = ["GET ", path, " HTTP/1.1\r\nHost: ", &host, "\r\nUser-Agent: ", agent];
    let mut text = lines.concat();
    text += "\r\nAccept: */*\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n";
    text.into_bytes()
}

/// Judges what of an answer came so far; `ended`: nothing more will.
pub fn judge(bytes: &[u8], ended: bool) -> Verdict {
    let open = || match (ended, bytes.len() >= LENGTH) {
        (true, _) => Verdict::Silent,
        (_, true) => Verdict::Wrong,
        _ => Verdict::Open,
    };
    if !bytes.iter().zip(b"HTTP/1.").all(|(got, expected)| got == expected) {
        return Verdict::Wrong;
    }
    // RFC 9112, 4: `HTTP/1.1 204 reason`.
    let Some(head) = bytes.get(..13) else { return open() };
    let [.., digit, b' ', a, b, c, after] = *head else { return Verdict::Wrong };
    if !digit.is_ascii_digit() || !matches!(after, b' ' | b'\r' | b'\n') {
        return Verdict::Wrong;
    }
    match [a, b, c] {
        [b'2', b'0', b'4'] => Verdict::Good,
        [b'2', b'0', b'0'] => body(bytes, ended).unwrap_or_else(open),
        // RFC 6585, 6: network authentication required.
        [b'5', b'1', b'1'] => Verdict::Wrong,
        [b'4' | b'5', _, _] => Verdict::Silent,
        _ => Verdict::Wrong,
    }
}

/// Of an answer with status 200; `None` while its head is open.
fn body(bytes: &[u8], ended: bool) -> Option<Verdict> {
    let mut length = None;
    let mut rest = bytes;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (line, after) = rest.split_at_checked(end + 1)?;
        let line = line.trim_ascii();
        rest = after;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at_checked(colon)?;
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"Content-Length") {
            length = Some(!value.is_empty() && value.iter().all(|digit| *digit == b'0'));
        } else if name.eq_ignore_ascii_case(b"Transfer-Encoding") {
            // In chunks comes what has no length yet: a page.
            length = Some(false);
        }
    }
    Some(match (length, rest.is_empty(), ended) {
        (Some(true), true, _) | (None, true, true) => Verdict::Good,
        (None, true, false) => Verdict::Open,
        _ => Verdict::Wrong,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Target;
    use proptest::prelude::*;

    #[test]
    fn requests_have_their_bytes() {
        let Ok(Target::Http(page)) = "http:a.example:8080/x".parse() else { panic!() };
        let text = String::from_utf8(request(&page)).unwrap();
        assert!(text.starts_with("GET /x HTTP/1.1\r\nHost: a.example:8080\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n"));
    }

    #[test]
    fn an_empty_page_is_good_and_nothing_else() {
        use Verdict::{Good, Open, Silent, Wrong};
        for (text, open, ended) in [
            ("", Open, Silent),
            ("HTT", Open, Silent),
            ("HTTP/1.1 20", Open, Silent),
            ("HTTP/1.1 204", Open, Silent),
            ("HTTP/1.1 204 ", Good, Good),
            ("HTTP/1.0 204\r\n", Good, Good),
            ("HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", Good, Good),
            ("HTTP/1.1 302 Found\r\nLocation: http://portal/\r\n", Wrong, Wrong),
            ("HTTP/1.1 511 Network Authentication Required\r\n", Wrong, Wrong),
            ("HTTP/1.1 404 ", Silent, Silent),
            ("HTTP/1.1 503 ", Silent, Silent),
            ("HTTP/1.1 600 ", Wrong, Wrong),
            ("HTTP/1.1 2040", Wrong, Wrong),
            ("HTTP/2.0 204 x", Wrong, Wrong),
            ("HTTP/1.x 204 x", Wrong, Wrong),
            ("<html>", Wrong, Wrong),
            ("SSH-2.0-OpenSSH", Wrong, Wrong),
            ("HTTP/1.1 200 OK\r\n", Open, Silent),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", Open, Silent),
            ("HTTP/1.1 200 OK\r\ncontent-length:  0 \r\n\r\n", Good, Good),
            ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", Good, Good),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx", Wrong, Wrong),
            ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", Wrong, Wrong),
            ("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", Wrong, Wrong),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Wrong, Wrong),
            ("HTTP/1.1 200 OK\r\n\r\n", Open, Good),
            ("HTTP/1.1 200 OK\r\n\r\n<html>", Wrong, Wrong),
        ] {
            assert_eq!((judge(text.as_bytes(), false), judge(text.as_bytes(), true)), (open, ended), "{text:?}");
        }
        let mut long = b"HTTP/1.1 200 OK\r\nA: ".to_vec();
        long.resize(LENGTH, b'a');
        assert_eq!(judge(&long, false), Wrong);
    }

    proptest! {
        /// No bytes panic, and what is decided stays so, whatever comes after it.
        #[test]
        fn more_bytes_change_no_redirect(
            status in 0u16..1000,
            tail in proptest::collection::vec(any::<u8>(), 0..100),
            cut in 0usize..120,
        ) {
            let mut bytes = format!("HTTP/1.1 {status:03} x\r\n").into_bytes();
            bytes.extend(&tail);
            bytes.truncate(cut);
            let verdict = judge(&bytes, false);
            if bytes.len() >= 13 && status != 200 {
                prop_assert_eq!(verdict, match status {
                    204 => Verdict::Good,
                    400..=510 | 512..=599 => Verdict::Silent,
                    _ => Verdict::Wrong,
                });
            }
            prop_assert_ne!(judge(&bytes, true), Verdict::Open);
            let _ = (judge(&tail, false), judge(&tail, true));
        }
    }
}
