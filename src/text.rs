//! Text that many say.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_between() {
        assert_eq!([commas(&["a"]), commas(&["a", "b", "c"]), commas::<String>(&[])], ["a", "a, b, c", ""]);
    }
}
