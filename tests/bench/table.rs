//! The table: Markdown that reads well as plain text.

use std::fmt::Write;
use std::fs;

/// One figure.
pub struct Row {
    pub what: String,
    pub figure: String,
    /// Empty: the figure is for information.
    pub goal: &'static str,
    pub good: Option<bool>,
    /// What the figure is made of.
    pub detail: String,
}

impl Row {
    /// A figure with a goal.
    pub fn goal(what: impl Into<String>, figure: String, goal: &'static str, good: bool, detail: String) -> Self {
        Row { what: what.into(), figure, goal, good: Some(good), detail }
    }

    /// A figure for information.
    pub fn info(what: impl Into<String>, figure: String, detail: String) -> Self {
        Row { what: what.into(), figure, goal: "", good: None, detail }
    }
}

/// The rows below a heading, in aligned columns.
pub fn text(rows: &[Row]) -> String {
    let verdict = |row: &Row| row.good.map_or("", |good| if good { "pass" } else { "FAIL" });
    let mut cells = vec![["what", "figure", "goal", "", "made of"].map(str::to_owned)];
    cells.extend(rows.iter().map(|row| {
        [row.what.clone(), row.figure.clone(), row.goal.to_owned(), verdict(row).to_owned(), row.detail.clone()]
    }));
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = core::array::from_fn(width);
    let mut text = String::new();
    for (number, row) in cells.iter().enumerate() {
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text += "|\n";
        if number == 0 {
            widths.iter().for_each(|width| text += &format!("|{}", "-".repeat(width + 2)));
            text += "|\n";
        }
    }
    text
}

/// What the figures were taken on, in one line.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("")
        .trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = read("/proc/loadavg").split(' ').next().unwrap_or("?").to_owned();
    format!("{cores} cores ({model}), Linux {}, load {load} at the end", read("/proc/sys/kernel/osrelease").trim())
}
