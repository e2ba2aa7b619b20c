//! JSON (RFC 8259) back to a [`Value`], for the view that computes with the daemon's figures.

use super::Value;

/// Deeper than any document of the daemon.
const DEPTH: usize = 8;

/// One document. Entries whose key is not in `known` are left out; so is nothing else: `None` if `text` is no JSON, is nested
/// too deeply, or has a number that is no integer of 64 bits.
pub fn read(text: &str, known: &[&'static str]) -> Option<Value> {
    let mut reader = Reader { rest: text, known };
    let value = reader.value(DEPTH)?;
    reader.blanks();
    reader.rest.is_empty().then_some(value)
}

struct Reader<'t, 'k> {
    rest: &'t str,
    known: &'k [&'static str],
}

impl Reader<'_, '_> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    /// Takes `token` if it comes next.
    fn takes(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        self.blanks();
        let depth = depth.checked_sub(1)?;
        match self.rest.as_bytes().first()? {
            b'{' => self.map(depth),
            b'[' => self.list(depth),
            b'"' => self.text().map(Value::Text),
            b'-' | b'0'..=b'9' => {
                let end = self.rest.find(|c: char| !(c == '-' || c.is_ascii_digit()));
                let (number, rest) = self.rest.split_at_checked(end.unwrap_or(self.rest.len()))?;
                // A fraction or exponent that follows is no token, so the document is refused.
                self.rest = rest;
                number.parse().ok().map(Value::Int)
            }
            _ if self.takes("null") => Some(Value::Null),
            _ if self.takes("true") => Some(Value::Bool(true)),
            _ if self.takes("false") => Some(Value::Bool(false)),
            _ => None,
        }
    }

    fn map(&mut self, depth: usize) -> Option<Value> {
        let mut entries = Vec::new();
        self.items('{', '}', &mut |reader| {
            let key = reader.text()?;
            reader.blanks();
            if !reader.takes(":") {
                return None;
            }
            let value = reader.value(depth)?;
            entries.extend(reader.known.iter().find(|known| **known == key).map(|known| (*known, value)));
            Some(())
        })?;
        Some(Value::Map(entries))
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        self.items('[', ']', &mut |reader| {
            items.push(reader.value(depth)?);
            Some(())
        })?;
        Some(Value::List(items))
    }

    fn items(&mut self, open: char, close: char, each: &mut dyn FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.rest = self.rest.strip_prefix(open)?;
        self.blanks();
        if let Some(rest) = self.rest.strip_prefix(close) {
            self.rest = rest;
            return Some(());
        }
        loop {
            self.blanks();
            each(self)?;
            self.blanks();
            if let Some(rest) = self.rest.strip_prefix(close) {
                self.rest = rest;
                return Some(());
            }
            self.rest = self.rest.strip_prefix(',')?;
        }
    }

    fn text(&mut self) -> Option<String> {
        self.rest = self.rest.strip_prefix('"')?;
        let mut text = String::new();
        loop {
            let end = self.rest.find(['"', '\\'])?;
            let (plain, rest) = self.rest.split_at_checked(end)?;
            text.push_str(plain);
            let mut chars = rest.chars();
            if chars.next() == Some('"') {
                self.rest = chars.as_str();
                return Some(text);
            }
            let escaped = chars.next()?;
            self.rest = chars.as_str();
            text.push(match escaped {
                '"' | '\\' | '/' => escaped,
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => self.unit()?,
                _ => return None,
            });
        }
    }

    /// Four digits after `\u`. Our writer escapes control characters only, so the halves of pairs (which no `char` can be)
    /// need no better reading than one of the replacement character each.
    fn unit(&mut self) -> Option<char> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        self.rest = rest;
        let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| hex)?;
        Some(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::control::json;

    const KEYS: [&str; 3] = ["a", "b", "c"];

    #[test]
    fn what_is_no_document_is_refused() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "1.5",
            "1e3",
            "--1",
            "9223372036854775808",
            "\"\\x\"",
            "\"",
            "nul",
            "1 2",
            "\"\\u12\"",
            "\"\\u+123\"",
            "[[[[[[[[[1]]]]]]]]]",
        ] {
            assert_eq!(read(text, &KEYS), None, "{text}");
        }
        let value =
            Value::Map(vec![("a", Value::List(vec![1u32.into(), Value::Null])), ("b", "\u{e9}/\u{1}\u{fffd}".into())]);
        assert_eq!(read(" { \"a\" : [1 , null], \"z\":{}, \"b\":\"\u{e9}\\/\\u0001\\uD800\" }\n", &KEYS), Some(value));
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<String>().prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let entry = (prop::sample::select(&KEYS[..]), inner.clone());
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::List),
                prop::collection::vec(entry, 0..4).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in values(), pretty: bool) {
            prop_assert_eq!(read(&json::write(&value, pretty), &KEYS), Some(value));
        }

        #[test]
        fn nothing_panics(text in "[\\[\\]{}:,\"\\\\u0-9a-f .-]{0,40}|.*") {
            let _ = read(&text, &KEYS);
        }
    }
}
