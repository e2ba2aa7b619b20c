//! What LuCI's build makes of the scripts: luci.mk has jsmin take the comments and blanks out.
//!
//! jsmin goes by single characters. It knows a regular expression by the character before it, and one that follows a word or an
//! arrow is arithmetic to it: a quote therein begins a string, which ends anywhere or, with an error and a file left behind, nowhere.

use std::fs;

use super::texts::scripts;

/// After one of these a slash begins a regular expression, as jsmin sees it.
const SEEN_AFTER: &str = "(,=:[!&|?+-~*/{};";

/// After these one begins in JavaScript as well.
const UNSEEN_AFTER: &str = "<>%^";
const WORDS: [&str; 11] =
    ["return", "typeof", "case", "of", "in", "instanceof", "delete", "void", "throw", "do", "else"];

/// The regular expressions in a script that jsmin does not see, without the slashes around them.
fn unseen(source: &str) -> Vec<String> {
    let text: Vec<char> = source.chars().collect();
    let (mut found, mut at, mut before, mut word) = (Vec::new(), 0, ' ', String::new());
    while at < text.len() {
        let (sign, next) = (text[at], text.get(at + 1).copied().unwrap_or(' '));
        let start = at + 1;
        match sign {
            '/' if next == '/' => {
                at = past(&text, at, "\n");
                continue;
            }
            '/' if next == '*' => {
                at = past(&text, at + 2, "*/");
                continue;
            }
            '"' | '\'' | '`' => at = closed(&text, start, sign),
            '/' if SEEN_AFTER.contains(before) => at = closed(&text, start, '/'),
            '/' if UNSEEN_AFTER.contains(before) || WORDS.contains(&word.as_str()) => {
                at = closed(&text, start, '/');
                found.push(text[start..at - 1].iter().collect());
            }
            _ => at += 1,
        }
        let part_of_word = |sign: char| sign.is_ascii_alphanumeric() || sign == '_' || sign == '$';
        if part_of_word(sign) {
            if start < 2 || !part_of_word(text[start - 2]) {
                // A property of that name is none of the words.
                word = if before == '.' { ".".to_owned() } else { String::new() };
            }
            word.push(sign);
        } else if !sign.is_whitespace() {
            word.clear();
        }
        if !sign.is_whitespace() {
            before = sign;
        }
    }
    found
}

fn past(text: &[char], from: usize, end: &str) -> usize {
    let end: Vec<char> = end.chars().collect();
    (from..text.len()).find(|at| text[*at..].starts_with(&end)).expect("an end of the comment") + end.len()
}

/// Behind the end of a string or, with a slash, of a regular expression, where brackets hold slashes.
fn closed(text: &[char], from: usize, end: char) -> usize {
    let (mut at, mut bracket) = (from, false);
    while bracket || text[at] != end {
        match text[at] {
            '\\' => at += 1,
            '[' if end == '/' => bracket = true,
            ']' => bracket = false,
            _ => {}
        }
        at += 1;
    }
    at + 1
}

/// Whether a regular expression comes through as it is where jsmin takes it for anything else: no string begins therein, no
/// comment (be it with the slash at its end), no other expression, and there is no blank to take out.
fn comes_through(expression: &str) -> bool {
    let text: Vec<char> = format!("{expression}/").chars().collect();
    let pairs = || text.windows(2).map(|pair| (pair[0], pair[1]));
    !expression.contains(['"', '\'', '`', ' ', '\t'])
        && !pairs().any(|(one, two)| one == '/' && (two == '/' || two == '*'))
        && !pairs().any(|(one, two)| two == '/' && SEEN_AFTER.contains(one))
}

#[test]
fn the_minifier_leaves_regular_expressions_alone() {
    let mut count = 0;
    for path in scripts() {
        for expression in unseen(&fs::read_to_string(&path).unwrap()) {
            assert!(comes_through(&expression), "{}: /{expression}/", path.display());
            count += 1;
        }
    }
    assert!(count > 5, "the scripts have some");
}

#[test]
fn what_the_minifier_would_break_is_found() {
    for (script, expected, through) in [
        ("const a = (b) => /[\"]/.test(b);", Some("[\"]"), false),
        ("return /it's/;", Some("it's"), false),
        ("return /a b/;", Some("a b"), false),
        ("return /a\\//;", Some("a\\/"), false),
        ("return\t/[+/]\"/;", Some("[+/]\""), false),
        ("return /[+/]/;", Some("[+/]"), false),
        ("x => /^\\/[^/]$/", Some("^\\/[^/]$"), true),
        ("a.match(/\"/) || b == /'/ ? [ /`/ ] : !/ /", None, false),
        ("'=> /\"/' + `=> /\"/` /* => /\"/ */ // => /\"/\n", None, false),
        ("a / b + \"/\"; x.return / 2 / \"2\"; returned / 2 / '2'", None, false),
    ] {
        let found = unseen(script);
        assert_eq!(found.first().map(String::as_str), expected, "{script}");
        assert!(found.iter().all(|expression| comes_through(expression) == through), "{script}");
    }
}
