//! Text that many read and say.

use core::str::FromStr;

/// Text that is no value of the kind asked for. The option table knows what would be one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invalid;

/// Decimal digits and nothing else, where `from_str` also takes a `+`.
pub fn number<N: FromStr>(text: &str) -> Option<N> {
    if text.bytes().all(|c| c.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The parts with commas between them, as sentences and nft's sets have it. std's `join` takes three times the room for each
/// type of parts.
pub fn commas<T: AsRef<str>>(parts: &[T]) -> String {
    let mut text = String::new();
    for part in parts {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(part.as_ref());
    }
    text
}

/// Letters, digits and hyphens, and underscores that some have (RFC 1123, 2.1; RFC 2181, 11). A last label of digits would
/// be a slip in an IPv4 address (RFC 3696, 2).
pub fn is_host_name(text: &str) -> bool {
    // RFC 1035, 2.3.4: 255 octets in a message are 253 in text.
    const LONGEST: usize = 253;
    let letter = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(letter) && !label.starts_with('-');
    let named = text.rsplit('.').next().is_some_and(|last| !last.bytes().all(|c| c.is_ascii_digit()));
    named && text.len() <= LONGEST && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_between() {
        assert_eq!([commas(&["a"]), commas(&["a", "b", "c"]), commas::<String>(&[])], ["a", "a, b, c", ""]);
    }

    #[test]
    fn names_of_hosts() {
        let long = ["a".repeat(63).as_str(); 4].join(".");
        for good in ["a", "vps.example.net", "3com.com", "_x.a-b.c1", &long[2..], "xn--bcher-kva.example"] {
            assert!(is_host_name(good), "{good}");
        }
        for bad in
            ["", ".", "a.", "a..b", "-a.b", "a b", "ä.example", "192.0.2.300", "1", &long, &"a".repeat(64), "[::1]"]
        {
            assert!(!is_host_name(bad), "{bad}");
        }
    }
}
