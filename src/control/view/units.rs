//! Amounts as people say them.

/// Milliseconds with one digit after the point: `21.3 ms`. Seconds from ten of them on.
pub fn millis(us: i64) -> String {
    let tenths = us.unsigned_abs().saturating_add(50) / 100;
    let sign = if us < 0 { "-" } else { "" };
    match tenths {
        0..100_000 => format!("{sign}{}.{} ms", tenths / 10, tenths % 10),
        _ => format!("{sign}{}.{} s", tenths / 10_000, tenths / 1_000 % 10),
    }
}

/// A length of time in one unit, rounded down: `12 s`, `5 min`, `3 h`, `2 d`.
pub fn seconds(s: i64) -> String {
    let (amount, unit) = match s.max(0) {
        s @ 0..120 => (s, "s"),
        s @ 120..7_200 => (s / 60, "min"),
        s @ 7_200..172_800 => (s / 3_600, "h"),
        s => (s / 86_400, "d"),
    };
    format!("{amount} {unit}")
}

/// A count: exact up to four digits, then `12.3k`, `456k`, `7.8M`.
pub fn count(number: i64) -> String {
    if number < 10_000 { number.to_string() } else { scaled(number, 1_000, "") }
}

/// Bytes: `512 B`, `1.5 kB`, `23 MB`, in powers of 1,000 as everything on the wire.
pub fn bytes(number: i64) -> String {
    if number < 1_000 { format!("{} B", number.max(0)) } else { scaled(number, 1_000, "B") }
}

/// Bits a second: `512 bit/s`, `1.5 Mbit/s`.
pub fn bits(number: i64) -> String {
    if number < 1_000 { format!("{} bit/s", number.max(0)) } else { scaled(number, 1_000, "bit/s") }
}

/// Memory: as [`bytes`], in powers of 1,024 as the kernel's tools say it.
pub fn memory(number: i64) -> String {
    if number < 1_024 { format!("{} B", number.max(0)) } else { scaled(number, 1_024, "B") }
}

/// A share of 1,000: `0.3 %`.
pub fn permille(share: i64) -> String {
    format!("{}.{} %", share / 10, share % 10)
}

/// `part` of `whole` in percent: `62 %`; `-` of nothing.
pub fn percent(part: i64, whole: i64) -> String {
    if whole <= 0 { "-".into() } else { format!("{} %", part.saturating_mul(100) / whole) }
}

/// `3 links`, `1 link`.
pub fn plural(number: i64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

fn scaled(number: i64, step: i64, unit: &str) -> String {
    let (mut value, mut tenth, mut prefix) = (number, 0, "");
    for next in ["k", "M", "G", "T", "P"] {
        if value < step {
            break;
        }
        (tenth, value, prefix) = (value % step * 10 / step, value / step, next);
    }
    let gap = if unit.is_empty() { "" } else { " " };
    if value < 100 { format!("{value}.{tenth}{gap}{prefix}{unit}") } else { format!("{value}{gap}{prefix}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_well() {
        for (got, text) in [
            (millis(0), "0.0 ms"),
            (millis(21_349), "21.3 ms"),
            (millis(-950), "-1.0 ms"),
            (millis(9_999_900), "9999.9 ms"),
            (millis(61_234_000), "61.2 s"),
            (seconds(-1), "0 s"),
            (seconds(119), "119 s"),
            (seconds(120), "2 min"),
            (seconds(7_200), "2 h"),
            (seconds(200_000), "2 d"),
            (count(9_999), "9999"),
            (count(12_345), "12.3k"),
            (count(456_789), "456k"),
            (count(7_800_000), "7.8M"),
            (count(i64::MAX), "9223P"),
            (bytes(999), "999 B"),
            (bytes(1_500), "1.5 kB"),
            (bytes(123_456_789), "123 MB"),
            (bits(999), "999 bit/s"),
            (bits(12_345_678), "12.3 Mbit/s"),
            (memory(3 * 1_048_576), "3.0 MB"),
            (permille(3), "0.3 %"),
            (percent(62, 100), "62 %"),
            (percent(0, 0), "-"),
            (plural(1, "link"), "1 link"),
            (plural(0, "link"), "0 links"),
        ] {
            assert_eq!(got, text);
        }
    }
}
