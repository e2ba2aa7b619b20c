//! A [`Value`] as JSON (RFC 8259).

use core::fmt::Write;

use super::Value;

/// One document and a newline: with indentation for people, or on one line.
pub fn write(value: &Value, pretty: bool) -> String {
    let mut writer = Writer { out: String::new(), pretty, depth: 0 };
    writer.value(value);
    writer.out.push('\n');
    writer.out
}

struct Writer {
    out: String,
    pretty: bool,
    depth: usize,
}

impl Writer {
    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(true) => self.out.push_str("true"),
            Value::Bool(false) => self.out.push_str("false"),
            Value::Int(number) => {
                let _ = write!(self.out, "{number}"); // writing into a String cannot fail
            }
            Value::Text(text) => push_text(&mut self.out, text),
            Value::List(items) if items.is_empty() => self.out.push_str("[]"),
            Value::Map(entries) if entries.is_empty() => self.out.push_str("{}"),
            Value::List(items) => {
                self.out.push('[');
                for (number, item) in items.iter().enumerate() {
                    self.next(number);
                    self.value(item);
                }
                self.end(']');
            }
            Value::Map(entries) => {
                self.out.push('{');
                for (number, (key, item)) in entries.iter().enumerate() {
                    self.next(number);
                    push_text(&mut self.out, key);
                    self.out.push_str(if self.pretty { ": " } else { ":" });
                    self.value(item);
                }
                self.end('}');
            }
        }
    }

    fn next(&mut self, number: usize) {
        match number {
            0 => self.depth += 1,
            _ => self.out.push(','),
        }
        self.line();
    }

    fn end(&mut self, bracket: char) {
        self.depth -= 1;
        self.line();
        self.out.push(bracket);
    }

    fn line(&mut self) {
        if self.pretty {
            self.out.push('\n');
            (0..self.depth).for_each(|_| self.out.push_str("  "));
        }
    }
}

/// A text between quotes. Beyond what RFC 8259 7 demands, DEL and the C1 controls are escaped too: terminals obey them.
pub fn push_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        for (text, json) in [
            ("", r#""""#),
            ("a\"b\\c/d", r#""a\"b\\c/d""#),
            ("\n\r\t", r#""\n\r\t""#),
            ("\0\u{8}\u{c}\u{1b}[31m\u{1f}", r#""\u0000\u0008\u000c\u001b[31m\u001f""#),
            ("\u{7f}\u{9b}", r#""\u007f\u009b""#),
            ("µ 漢 😀", r#""µ 漢 😀""#),
        ] {
            assert_eq!(write(&text.into(), false).trim_end(), json);
        }
    }

    #[test]
    fn documents_are_compact_or_pretty() {
        let value = Value::Map(vec![
            ("a", Value::List(vec![Value::Int(i64::MIN), Value::Null])),
            ("b", Value::Map(vec![("c", true.into()), ("d", false.into())])),
            ("e", Value::List(vec![])),
            ("f", Value::Map(vec![])),
        ]);
        let compact = r#"{"a":[-9223372036854775808,null],"b":{"c":true,"d":false},"e":[],"f":{}}"#;
        assert_eq!(write(&value, false), format!("{compact}\n"));
        let pretty = "{\n  \"a\": [\n    -9223372036854775808,\n    null\n  ],\n  \"b\": {\n    \"c\": true,\n    \"d\": \
                      false\n  },\n  \"e\": [],\n  \"f\": {}\n}\n";
        assert_eq!(write(&value, true), pretty);
    }
}
