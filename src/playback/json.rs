//! JSON (RFC 8259) to a tree that knows where each value stands.

use std::fmt;

/// Deeper than any packet: a packet in an ICMP error takes three levels, and may hold another.
const DEPTH: usize = 24;

/// Where something stands in a text, both from 1; the column counts characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    pub line: u32,
    pub column: u32,
}

/// What is wrong with a text, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    pub place: Place,
    /// The field with those around it, such as `icmp.packet.ip.ttl`; empty if it is about none.
    pub path: String,
    /// What was expected.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        let colon = if self.path.is_empty() { "" } else { ": " };
        write!(f, "{line}:{column}: {}{colon}{}", self.path, self.text)
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    pub place: Place,
    pub tree: Tree,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Tree {
    Null,
    Bool(bool),
    /// As it was written: how it is to be read depends on the field.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    pub key: String,
    pub place: Place,
    pub node: Node,
}

/// The values of a text: those of its only array, or one after another, with commas between them or without.
pub fn read(text: &str) -> Result<Vec<Node>, Fault> {
    let mut reader = Reader { rest: text.chars(), place: Place { line: 1, column: 1 }, path: Vec::new() };
    let mut nodes = Vec::new();
    loop {
        reader.blanks();
        if reader.peek().is_none() {
            break;
        }
        nodes.push(reader.value(DEPTH)?);
        reader.blanks();
        if reader.peek() == Some(',') {
            reader.next();
        }
    }
    match nodes.as_mut_slice() {
        [Node { tree: Tree::List(items), .. }] => Ok(core::mem::take(items)),
        _ => Ok(nodes),
    }
}

struct Reader<'t> {
    rest: core::str::Chars<'t>,
    place: Place,
    path: Vec<String>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        match c {
            '\n' => self.place = Place { line: self.place.line.saturating_add(1), column: 1 },
            _ => self.place.column = self.place.column.saturating_add(1),
        }
        Some(c)
    }

    fn blanks(&mut self) {
        // Some editors put a byte order mark in front.
        while self.peek().is_some_and(|c| matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{feff}')) {
            self.next();
        }
    }

    fn fault<T>(&self, place: Place, text: impl Into<String>) -> Result<T, Fault> {
        Err(Fault { place, path: self.path.join("."), text: text.into() })
    }

    /// For a character that fits nowhere.
    fn expected<T>(&self, what: &str) -> Result<T, Fault> {
        let found = match self.peek() {
            None => "the file ends here".to_owned(),
            Some('"') => "there is a '\"': is a quote too many?".to_owned(),
            Some(c) => format!("there is {c:?}"),
        };
        self.fault(self.place, format!("expected {what}, but {found}"))
    }

    fn value(&mut self, depth: usize) -> Result<Node, Fault> {
        self.blanks();
        let place = self.place;
        let Some(depth) = depth.checked_sub(1) else {
            return self.fault(place, "nested too deeply");
        };
        let tree = match self.peek() {
            Some('{') => self.map(depth)?,
            Some('[') => self.list(depth)?,
            Some('"') => Tree::Text(self.text()?),
            Some('-' | '0'..='9') => Tree::Number(self.word(|c| matches!(c, '-' | '+' | '.' | '0'..='9' | 'e' | 'E'))),
            Some('a'..='z' | 'A'..='Z') => {
                let word = self.word(|c| c.is_ascii_alphanumeric());
                match &*word {
                    "null" => Tree::Null,
                    "true" => Tree::Bool(true),
                    "false" => Tree::Bool(false),
                    _ => return self.fault(place, format!("{word} is no value: texts stand between quotes")),
                }
            }
            _ => return self.expected("a value"),
        };
        Ok(Node { place, tree })
    }

    fn word(&mut self, fits: impl Fn(char) -> bool) -> String {
        let mut word = String::new();
        while let Some(c) = self.peek().filter(|c| fits(*c)) {
            word.push(c);
            self.next();
        }
        word
    }

    fn map(&mut self, depth: usize) -> Result<Tree, Fault> {
        self.next();
        let mut entries: Vec<Entry> = Vec::new();
        self.blanks();
        if self.peek() == Some('}') {
            self.next();
            return Ok(Tree::Map(entries));
        }
        loop {
            self.blanks();
            let place = self.place;
            if self.peek() != Some('"') {
                return self.expected("a field's name between quotes");
            }
            let key = self.text()?;
            self.path.push(key.clone());
            if entries.iter().any(|entry| entry.key == key) {
                return self.fault(place, "stands here for the second time");
            }
            self.blanks();
            if self.peek() != Some(':') {
                return self.expected("':' behind the field's name");
            }
            self.next();
            let node = self.value(depth)?;
            entries.push(Entry { key, place, node });
            self.blanks();
            match self.peek() {
                Some(',') => drop(self.next()),
                Some('}') => {
                    self.path.pop();
                    self.next();
                    return Ok(Tree::Map(entries));
                }
                _ => return self.expected("',' or '}' behind the value"),
            }
            self.path.pop();
        }
    }

    fn list(&mut self, depth: usize) -> Result<Tree, Fault> {
        self.next();
        let mut items = Vec::new();
        self.blanks();
        if self.peek() == Some(']') {
            self.next();
            return Ok(Tree::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.blanks();
            match self.peek() {
                Some(',') => drop(self.next()),
                Some(']') => {
                    self.next();
                    return Ok(Tree::List(items));
                }
                _ => return self.expected("',' or ']' behind the value"),
            }
        }
    }

    fn text(&mut self) -> Result<String, Fault> {
        let start = self.place;
        self.next();
        let mut text = String::new();
        loop {
            let place = self.place;
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escaped(place)?),
                None | Some('\n' | '\r') => {
                    return self
                        .fault(start, "this quote opens a text that does not end on its line: is it one too many?");
                }
                Some(c) if c < ' ' => return self.fault(place, format!("expected {c:?} to be written as an escape")),
                Some(c) => text.push(c),
            }
        }
    }

    fn escaped(&mut self, place: Place) -> Result<char, Fault> {
        Ok(match self.next() {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => match self.unit() {
                Some(high @ 0xD800..0xDC00) if self.next() == Some('\\') && self.next() == Some('u') => {
                    let low = self.unit().filter(|low| (0xDC00..0xE000).contains(low));
                    let pair = low.and_then(|low| char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)));
                    match pair {
                        Some(c) => c,
                        None => return self.fault(place, "expected the other half of the pair behind \\u"),
                    }
                }
                Some(unit) if char::from_u32(unit).is_some() => char::from_u32(unit).unwrap_or_default(),
                _ => return self.fault(place, "expected four hexadecimal digits of a character behind \\u"),
            },
            _ => return self.fault(place, "expected one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u0000"),
        })
    }

    fn unit(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |unit, _| Some(unit * 16 + self.next()?.to_digit(16)?))
    }
}
