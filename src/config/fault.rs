//! What is wrong with a configuration, said so that the user can put it right.

use core::fmt;

/// One thing that is wrong, or that is probably not meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    pub severity: Severity,
    /// From 1; `None` if the file as a whole is meant.
    pub line: Option<u32>,
    /// From 1, in characters; known for what is not UCI at all.
    pub column: Option<u32>,
    /// As the user wrote it: `link 'wan'`.
    pub section: Option<String>,
    pub option: Option<String>,
    /// The rest of the sentence: what is wrong and what would be right.
    pub text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// The configuration cannot be used.
    Fault,
    /// It can, but hardly as meant.
    Warning,
    /// Nothing is wrong: what became of another program's configuration.
    Note,
}

/// What a router's log ring of 64 KB holds. A file of rubbish must not become a heap of faults.
pub(crate) const MAX_FAULTS: usize = 500;

impl Fault {
    /// About the file as a whole.
    pub(crate) fn of_file(text: &str) -> Self {
        let (severity, text) = (Severity::Fault, text.into());
        Fault { severity, line: None, column: None, section: None, option: None, text }
    }

    /// With the file's name in front: `cheaproute:12: link 'wan': option 'weight': must be …`.
    pub fn in_file<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        InFile { fault: self, file }
    }
}

/// Without a file's name: `line 12: link 'wan': option 'weight': must be …`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, "line {line}, column {column}: ")?,
            (Some(line), None) => write!(f, "line {line}: ")?,
            _ => {}
        }
        self.write_rest(f)
    }
}

impl Fault {
    fn write_rest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if let Some(section) = &self.section {
            write!(f, "{section}: ")?;
        }
        if let Some(option) = &self.option {
            write!(f, "option {}: ", shown(option))?;
        }
        f.write_str(&self.text)
    }
}

struct InFile<'a> {
    fault: &'a Fault,
    file: &'a str,
}

impl fmt::Display for InFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file)?;
        match (self.fault.line, self.fault.column) {
            (Some(line), Some(column)) => write!(f, ":{line}:{column}: ")?,
            (Some(line), None) => write!(f, ":{line}: ")?,
            _ => f.write_str(": ")?,
        }
        self.fault.write_rest(f)
    }
}

/// What to say of a section type that is mwan3's and not ours.
pub(super) fn of_mwan3(kind: &str) -> Option<String> {
    let theirs = matches!(kind, "interface" | "member" | "globals");
    theirs.then(|| format!("'{kind}' is mwan3's: see cheaproute import-mwan3"))
}

/// The user's own text, quoted, on one line and of bounded length: faults end in a log.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 64;
    let mut out = String::from("'");
    for (number, c) in text.chars().enumerate() {
        match c {
            _ if number == LONGEST => {
                out.push('…');
                break;
            }
            '\'' | '"' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    out.push('\'');
    out
}

/// The candidate that `word` was probably meant to be: at most two slips away, and not a different word altogether.
pub(super) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    // Longer words are no typos; the bound keeps the search cheap on hostile files.
    const LONGEST: usize = 32;
    let word: Vec<char> = word.chars().take(LONGEST + 1).collect();
    if word.len() > LONGEST {
        return None;
    }
    candidates
        .iter()
        .copied()
        .filter(|candidate| candidate.len() <= LONGEST && candidate.len().abs_diff(word.len()) <= 2)
        .map(|candidate| (slips(&word, candidate), candidate))
        .filter(|(slips, candidate)| (1..=2).contains(slips) && *slips < candidate.len())
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, remove, replace or swap with a neighbour (optimal string alignment).
fn slips(from: &[char], to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut from_before = None;
    for (i, &a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        let mut left = i + 1;
        let mut to_before = None;
        for (j, &b) in to.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let mut cost = (at(&last, j) + usize::from(a != b)).min(at(&last, j + 1) + 1).min(left + 1);
            if from_before == Some(b) && to_before == Some(a) {
                cost = cost.min(at(&before, j.saturating_sub(1)) + 1);
            }
            row.push(cost);
            left = cost;
            to_before = Some(b);
        }
        from_before = Some(a);
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(from.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_word() {
        let words = ["weight", "metric", "device", "up", "tie"];
        for (typo, word) in [
            ("wieght", Some("weight")),
            ("wight", Some("weight")),
            ("metrics", Some("metric")),
            ("devcie", Some("device")),
            ("uo", Some("up")),
            ("timeout", None),
            ("x", None),
            ("weight", None),
            ("", None),
        ] {
            assert_eq!(nearest(typo, &words), word, "{typo}");
        }
    }

    #[test]
    fn slips_are_counted() {
        for (from, to, count) in
            [("", "ab", 2), ("ab", "", 2), ("ab", "ba", 1), ("kitten", "sitting", 3), ("a", "a", 0)]
        {
            assert_eq!(slips(&from.chars().collect::<Vec<_>>(), to), count, "{from} {to}");
        }
    }

    #[test]
    fn faults_name_their_place() {
        let fault = Fault {
            severity: Severity::Fault,
            line: Some(12),
            column: None,
            section: Some("link 'wan'".into()),
            option: Some("weight".into()),
            text: "must be 1".into(),
        };
        let shown = fault.in_file("cheaproute").to_string();
        assert_eq!(shown, "cheaproute:12: link 'wan': option 'weight': must be 1");
        assert_eq!(fault.to_string(), "line 12: link 'wan': option 'weight': must be 1");
    }

    #[test]
    fn shown_text_stays_on_one_line() {
        assert_eq!(shown("a\nb\x1b"), r"'a\nb\u{1b}'");
        assert_eq!(shown(&"x".repeat(100)).chars().count(), 67);
    }
}
