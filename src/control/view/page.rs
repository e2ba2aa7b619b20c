//! A page of a terminal: text at columns, colours, and lines that end at the edge.

use core::fmt;

use crate::control::{Form, Value};

/// Colours by meaning (ECMA-48 8.3.117).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Paint {
    #[default]
    Normal,
    Bold,
    Dim,
    Good,
    Bad,
    Warn,
}

impl Paint {
    const fn code(self) -> &'static str {
        match self {
            Paint::Normal => "",
            Paint::Bold => "\x1b[1m",
            Paint::Dim => "\x1b[2m",
            Paint::Good => "\x1b[32m",
            Paint::Bad => "\x1b[31m",
            Paint::Warn => "\x1b[33m",
        }
    }
}

/// Says that a line goes on beyond the edge.
const CUT: &str = "..";

pub struct Page {
    out: String,
    width: usize,
    color: bool,
    /// Where the next text belongs; blanks are written with it, so that no line ends in them.
    column: usize,
    /// Characters in the line so far.
    written: usize,
}

impl Page {
    pub fn new(form: Form) -> Self {
        let width = if form.width == 0 { usize::MAX } else { usize::from(form.width) };
        Page { out: String::new(), width, color: form.color, column: 0, written: 0 }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Where the next text would stand.
    pub fn column(&self) -> usize {
        self.column
    }

    pub fn put(&mut self, text: &str, paint: Paint) {
        let length = length(text);
        let room = self.width.saturating_sub(self.column);
        let start = self.column;
        self.column = self.column.saturating_add(length);
        if length == 0 || room == 0 {
            return;
        }
        (self.written..start).for_each(|_| self.out.push(' '));
        let painted = self.color && paint != Paint::Normal;
        if painted {
            self.out.push_str(paint.code());
        }
        // What comes from outside must not steer the terminal.
        let clean = text.chars().map(|c| if c.is_control() { '?' } else { c });
        match length <= room {
            true => self.out.extend(clean),
            false => {
                self.out.extend(clean.take(room.saturating_sub(CUT.len())));
                self.out.extend(CUT.chars().take(room));
            }
        }
        if painted {
            self.out.push_str("\x1b[0m");
        }
        self.written = self.column.min(self.width);
    }

    /// The next text begins at `column`, or where the line ends if that is further.
    pub fn go(&mut self, column: usize) {
        self.column = self.column.max(column);
    }

    pub fn end_line(&mut self) {
        self.out.push('\n');
        (self.column, self.written) = (0, 0);
    }

    pub fn line(&mut self, text: &str, paint: Paint) {
        self.put(text, paint);
        self.end_line();
    }

    /// Pieces with commas between them, from `indent` on, in as many lines as they need.
    pub fn flow(&mut self, indent: usize, Pieces(pieces): &Pieces) {
        for (number, (text, paint)) in pieces.iter().enumerate() {
            let comma = usize::from(number + 1 < pieces.len());
            if number > 0 && self.column + 1 + length(text) + comma > self.width {
                self.end_line();
            }
            match self.column {
                0 => self.go(indent),
                _ if number > 0 => self.column += 1,
                _ => self.go(indent),
            }
            self.put(text, *paint);
            if comma > 0 {
                self.put(",", Paint::Dim);
            }
        }
        self.end_line();
    }

    pub fn finish(self) -> String {
        self.out
    }
}

/// A table: every column as wide as its widest cell, two blanks between columns.
#[derive(Default)]
pub struct Table {
    rows: Vec<Vec<Cell>>,
    widths: Vec<usize>,
}

pub type Cell = (String, Paint);

/// The pieces of a line, or the cells of a row.
#[derive(Default)]
pub struct Pieces(pub Vec<Cell>);

impl Pieces {
    /// Text that is yet to be formatted takes the least room where there is something to say.
    #[inline(never)]
    pub fn say(&mut self, paint: Paint, text: fmt::Arguments) {
        self.0.push((text.to_string(), paint));
    }

    pub fn cell(&mut self, cell: Cell) {
        self.0.push(cell);
    }

    /// An amount of a document's, or `-`.
    #[inline(never)]
    pub fn amount(&mut self, document: &Value, key: &str, paint: Paint, said: fn(i64) -> String) {
        self.cell((document.int(key).map_or_else(|| "-".into(), said), paint));
    }
}

impl Table {
    pub fn head(&mut self, names: &[&str]) {
        self.row(Pieces(names.iter().map(|name| (name.to_string(), Paint::Dim)).collect()));
    }

    pub fn row(&mut self, Pieces(cells): Pieces) {
        self.widths.resize(self.widths.len().max(cells.len()), 0);
        for (width, (text, _)) in self.widths.iter_mut().zip(&cells) {
            *width = length(text).max(*width);
        }
        self.rows.push(cells);
    }

    /// Gives up the columns of `order` one after another until the table fits into `width`.
    pub fn fit(&mut self, width: usize, order: &[usize]) {
        for column in order {
            if self.width() <= width {
                break;
            }
            if let Some(given_up) = self.widths.get_mut(*column) {
                *given_up = 0;
            }
        }
    }

    pub fn width(&self) -> usize {
        let total: usize = self.widths.iter().filter(|width| **width > 0).map(|width| width + 2).sum();
        total.saturating_sub(2)
    }

    /// Draws the row of that number; the columns of `right` are aligned there.
    pub fn draw(&self, number: usize, right: &[usize], page: &mut Page) {
        let mut start = 0;
        for (column, (text, paint)) in self.rows.get(number).into_iter().flatten().enumerate() {
            let width = self.widths.get(column).copied().unwrap_or(0);
            if width == 0 {
                continue;
            }
            let shift = if right.contains(&column) { width - length(text) } else { 0 };
            page.go(start + shift);
            page.put(text, *paint);
            start += width + 2;
        }
        page.end_line();
    }
}

/// Columns that `text` takes: names and addresses have no wide characters.
pub fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(width: u16, color: bool) -> Page {
        Page::new(Form { json: false, width, color })
    }

    #[test]
    fn lines_end_at_the_edge() {
        let mut narrow = page(10, true);
        narrow.put("abcdef", Paint::Good);
        narrow.go(7);
        narrow.put("ghijkl", Paint::Normal);
        narrow.put("never", Paint::Bad);
        narrow.end_line();
        narrow.line("0123456789", Paint::Normal);
        assert_eq!(narrow.finish(), "\x1b[32mabcdef\x1b[0m g..\n0123456789\n");
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let mut wide = page(0, false);
        wide.line("a\x1b[2Jb\nc\u{9b}", Paint::Bad);
        assert_eq!(wide.finish(), "a?[2Jb?c?\n");
    }

    #[test]
    fn pieces_flow() {
        let mut narrow = page(12, false);
        let pieces = ["one", "two", "three", "four"].map(|text| (text.to_string(), Paint::Dim));
        narrow.flow(2, &Pieces(pieces.into()));
        assert_eq!(narrow.finish(), "  one, two,\n  three,\n  four\n");
    }

    #[test]
    fn a_table_gives_up_columns() {
        let mut table = Table::default();
        for cells in [["NAME", "N", "MORE"], ["a", "10", "b"]] {
            table.row(Pieces(cells.map(|text| (text.to_string(), Paint::Normal)).into()));
        }
        let draw = |table: &Table| {
            let mut wide = page(0, false);
            (0..2).for_each(|row| table.draw(row, &[1], &mut wide));
            wide.finish()
        };
        assert_eq!(draw(&table), "NAME   N  MORE\na     10  b\n");
        table.fit(14, &[2]);
        assert_eq!(draw(&table), "NAME   N  MORE\na     10  b\n");
        table.fit(13, &[2]);
        assert_eq!(draw(&table), "NAME   N\na     10\n");
    }
}
