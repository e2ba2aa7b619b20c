//! UCI's grammar, as libuci's `file.c` reads it: text to sections, with the place of everything.
//!
//! Where libuci stops at its first error, this goes on with the next line, so that a user sees all of them. Compared
//! with libuci of December 2025 over 80,000 random files, it differs where that looks like an accident: `;` separates
//! commands anywhere (libuci refuses it at the start of a line and loses what follows an unquoted `word;`), and a
//! backslash before a line break is a blank between words. Names are the table's to judge.

use std::fmt::Write;

use super::fault::{MAX_FAULTS, nearest, of_mwan3, shown};

/// Bytes. A thousand rules of ten lines take a third of it; nothing larger was written for us.
pub const MAX_FILE: usize = 1 << 20;

/// A thousand rules, and as many sections of everything else.
pub const MAX_SECTIONS: usize = 2_000;

/// Our largest section knows about twenty; the bound keeps the search for an earlier entry of the same name short.
pub const MAX_ENTRIES: usize = 100;

/// A `config` line and what follows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Section {
    pub kind: String,
    /// `None` for an anonymous section.
    pub name: Option<String>,
    pub place: Place,
    pub entries: Vec<Entry>,
}

/// An option or a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub name: String,
    /// Written with `list`.
    pub list: bool,
    /// One for an option, at least one for a list; none of an option that was given nothing only, which sets nothing.
    pub values: Vec<Word>,
    pub place: Place,
}

/// A word with its quotes removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Word {
    pub text: String,
    pub place: Place,
}

/// Line and column, in characters; both start at 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub line: u32,
    pub column: u32,
}

/// Text that is not UCI.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyntaxError {
    pub place: Place,
    pub text: String,
}

/// The sections that could be read and every error on the way. Sections of the same name are merged, as libuci does.
pub fn parse(text: &str) -> (Vec<Section>, Vec<SyntaxError>) {
    let mut parser = Parser {
        lexer: Lexer::new(text),
        sections: Vec::new(),
        errors: Vec::new(),
        current: Current::None,
        is_full: false,
    };
    if text.len() > MAX_FILE {
        let text = format!("the file has {} bytes; at most {MAX_FILE} are read", text.len());
        parser.errors.push(SyntaxError { place: parser.lexer.place, text });
        return (parser.sections, parser.errors);
    }
    loop {
        match parser.command() {
            Ok(Next::Command) => {}
            Ok(Next::Eof) => break,
            Err(error) => {
                parser.errors.push(error);
                parser.lexer.skip_line();
                if parser.errors.len() > MAX_FAULTS || parser.is_full {
                    break;
                }
            }
        }
    }
    (parser.sections, parser.errors)
}

/// `text` as one word for [`parse`] and for libuci.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

enum Next {
    Command,
    Eof,
}

#[derive(Clone, Copy)]
enum Current {
    None,
    /// Index into the sections.
    Section(usize),
    /// After a header that could not be read: its options belong nowhere, and need no further error.
    Skipped,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    sections: Vec<Section>,
    errors: Vec<SyntaxError>,
    current: Current,
    is_full: bool,
}

impl Parser<'_> {
    fn command(&mut self) -> Result<Next, SyntaxError> {
        let Some(keyword) = self.lexer.keyword()? else { return Ok(Next::Eof) };
        match keyword.text.as_str() {
            "config" | "c" => self.config(keyword.place)?,
            "option" | "o" => self.entry(keyword.place, false)?,
            "list" | "l" => self.entry(keyword.place, true)?,
            // libuci takes the file's name for the package's, whatever this says.
            "package" | "p" => {
                self.required("package", "a name")?;
                self.end()?;
            }
            other => {
                let near = nearest(other, &["config", "option", "list", "package"]);
                if matches!(near, Some("config")) {
                    self.current = Current::Skipped;
                }
                let hint = near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
                let text = format!("a line starts with config, option, list or package, not {}{hint}", shown(other));
                return Err(SyntaxError { place: keyword.place, text });
            }
        }
        Ok(Next::Command)
    }

    fn config(&mut self, place: Place) -> Result<(), SyntaxError> {
        self.current = Current::Skipped;
        let kind = self.required("config", "a section type")?.text;
        let name = self.lexer.word()?.filter(|word| !word.text.is_empty());
        self.end()?;
        let earlier = name.as_ref().and_then(|name| self.named(&name.text));
        self.current = Current::Section(match (earlier, name) {
            (Some((index, earlier)), Some(name)) if earlier.kind != kind => {
                let line = self.sections.get(index).map_or(0, |section| section.place.line);
                let other = if kind == "link" { &earlier.kind } else { &kind };
                let theirs = of_mwan3(other).filter(|_| kind == "link" || earlier.kind == "link");
                let hint = theirs.unwrap_or_else(|| format!("a {} needs another name", shown(&kind)));
                let (is, earlier) = (shown(&name.text), shown(&earlier.kind));
                let text = format!("section {is} is already a {earlier} (line {line}); {hint}");
                return Err(SyntaxError { place: name.place, text });
            }
            (Some((index, _)), _) => index,
            (None, name) => {
                if self.sections.len() >= MAX_SECTIONS {
                    self.is_full = true;
                    let text = format!("more than {MAX_SECTIONS} sections; the rest is not read");
                    return Err(SyntaxError { place, text });
                }
                let name = name.map(|name| name.text);
                self.sections.push(Section { kind, name, place, entries: Vec::new() });
                self.sections.len() - 1
            }
        });
        Ok(())
    }

    fn named(&self, name: &str) -> Option<(usize, &Section)> {
        self.sections.iter().enumerate().find(|(_, section)| section.name.as_deref() == Some(name))
    }

    fn entry(&mut self, place: Place, list: bool) -> Result<(), SyntaxError> {
        let keyword = if list { "list" } else { "option" };
        let Word { text: name, place: named } = self.required(keyword, "a name")?;
        // libuci refuses the whole file for it. `option mode='race'`, as `uci show` prints it, is no setting.
        if !name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
            let text = "a name is of letters, digits and '_', with a blank after it: option mode 'race'";
            return Err(SyntaxError { place: named, text: text.into() });
        }
        let after = self.lexer.place;
        let value = self.lexer.word()?.unwrap_or(Word { text: String::new(), place: after });
        self.end()?;
        let section = match self.current {
            Current::Section(index) => self.sections.get_mut(index),
            Current::Skipped => return Ok(()),
            Current::None => None,
        };
        let Some(section) = section else {
            let text = format!("{keyword} {} stands before the first config line", shown(&name));
            return Err(SyntaxError { place, text });
        };
        match section.entries.iter().position(|entry| entry.name == name) {
            // libuci: as if the line were not there. It does not unset an earlier value.
            Some(_) if !list && value.text.is_empty() => {}
            Some(index) => {
                if let Some(entry) = section.entries.get_mut(index) {
                    if !list {
                        entry.values.clear();
                        entry.place = place;
                    }
                    entry.list = list;
                    entry.values.push(value);
                }
            }
            None if section.entries.len() >= MAX_ENTRIES => {
                let text = format!("more than {MAX_ENTRIES} different options in one section");
                self.current = Current::Skipped;
                return Err(SyntaxError { place, text });
            }
            None => {
                let values = if list || !value.text.is_empty() { vec![value] } else { Vec::new() };
                section.entries.push(Entry { name, list, values, place });
            }
        }
        Ok(())
    }

    fn required(&mut self, keyword: &str, what: &str) -> Result<Word, SyntaxError> {
        let place = self.lexer.place;
        match self.lexer.word()? {
            Some(word) if !word.text.is_empty() => Ok(word),
            word => {
                let place = word.map_or(place, |word| word.place);
                Err(SyntaxError { place, text: format!("{keyword} needs {what}") })
            }
        }
    }

    /// libuci minds no empty word here.
    fn end(&mut self) -> Result<(), SyntaxError> {
        while let Some(word) = self.lexer.word()? {
            if !word.text.is_empty() {
                let text = format!("{} is one word too many; a value with blanks needs quotes", shown(&word.text));
                return Err(SyntaxError { place: word.place, text });
            }
        }
        Ok(())
    }
}

struct Lexer<'a> {
    rest: &'a str,
    place: Place,
    /// Where the first quoted word that contains a line break starts: the likely home of a forgotten quote.
    long_quote: Option<Place>,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Self {
        Lexer { rest: text, place: Place { line: 1, column: 1 }, long_quote: None }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        if c == '\n' {
            self.place = Place { line: self.place.line.saturating_add(1), column: 1 };
        } else {
            self.place.column = self.place.column.saturating_add(1);
        }
        Some(c)
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|c| c != '\n') {}
    }

    /// The first word of a command, which libuci takes as it stands, without quotes. `None` at the end of the file.
    fn keyword(&mut self) -> Result<Option<Word>, SyntaxError> {
        loop {
            match self.peek() {
                None => return Ok(None),
                Some('#') => self.skip_line(),
                Some(c) if c == ';' || is_blank(c) => {
                    self.next();
                }
                Some(_) => break,
            }
        }
        let place = self.place;
        let mut text = String::new();
        while let Some(c) = self.peek().filter(|c| *c != ';' && !is_blank(*c)) {
            text.push(c);
            self.next();
        }
        Ok(Some(Word { text, place }))
    }

    /// The next word of this command. At its end `None`, again and again: the `;` or line break is left for
    /// [`Lexer::keyword`].
    fn word(&mut self) -> Result<Option<Word>, SyntaxError> {
        loop {
            match self.peek() {
                None | Some('\n' | ';') => return Ok(None),
                Some('#') => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.next();
                    }
                }
                Some(c) if is_blank(c) => {
                    self.next();
                }
                Some('\\') if self.line_continues() => {}
                Some(_) => break,
            }
        }
        let mut word = Word { text: String::new(), place: self.place };
        while let Some(c) = self.peek() {
            match c {
                '\'' | '"' => self.quoted(c, &mut word.text)?,
                '\\' if self.line_continues() => {}
                '\\' => {
                    self.next();
                    word.text.extend(self.next());
                }
                '#' | ';' => break,
                '\0' => return Err(SyntaxError { place: self.place, text: "a zero byte".into() }),
                c if is_blank(c) => break,
                c => {
                    word.text.push(c);
                    self.next();
                }
            }
        }
        Ok(Some(word))
    }

    fn quoted(&mut self, mark: char, text: &mut String) -> Result<(), SyntaxError> {
        let start = self.place;
        self.next();
        while let Some(c) = self.peek() {
            match c {
                '\0' => return Err(SyntaxError { place: self.place, text: "a zero byte".into() }),
                '\\' if mark == '"' && self.line_continues() => {}
                '\\' if mark == '"' => {
                    self.next();
                    text.extend(self.next());
                }
                c => {
                    self.next();
                    if c == mark {
                        return Ok(());
                    }
                    if c == '\n' {
                        self.long_quote.get_or_insert(start);
                    }
                    text.push(c);
                }
            }
        }
        let mut message = format!("the quote {mark} is never closed");
        if let Some(long) = self.long_quote.filter(|long| long.line != start.line) {
            let _ = write!(message, "; the quote at line {} goes over several lines: look there first", long.line);
        }
        Err(SyntaxError { place: start, text: message })
    }

    /// Takes a backslash and the line break after it, if that is what comes.
    fn line_continues(&mut self) -> bool {
        let after = self.rest.strip_prefix("\\\n").or_else(|| self.rest.strip_prefix("\\\r\n"));
        if let Some(after) = after {
            self.rest = after;
            self.place = Place { line: self.place.line.saturating_add(1), column: 1 };
        }
        after.is_some()
    }
}

/// C's `isspace`.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

#[cfg(test)]
#[path = "uci_tests.rs"]
mod tests;
