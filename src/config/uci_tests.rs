use proptest::prelude::*;

use super::*;

/// Sections as one line each, to compare with.
fn read(text: &str) -> Vec<String> {
    let (sections, errors) = parse(text);
    assert_eq!(errors, [], "{text:?}");
    let words = |words: &[Word]| words.iter().map(|word| word.text.clone()).collect::<Vec<_>>().join("|");
    let entry =
        |entry: &Entry| format!(" {}{}={}", entry.name, if entry.list { "[]" } else { "" }, words(&entry.values));
    let section = |section: &Section| {
        let entries: String = section.entries.iter().map(entry).collect();
        format!("{}.{}:{entries}", section.kind, section.name.as_deref().unwrap_or("?"))
    };
    sections.iter().map(section).collect()
}

/// Errors as `line:column text`.
fn errors(text: &str) -> Vec<String> {
    let (_, errors) = parse(text);
    errors.into_iter().map(|error| format!("{}:{} {}", error.place.line, error.place.column, error.text)).collect()
}

#[test]
fn what_libuci_reads() {
    for (text, sections) in [
        ("", vec![]),
        ("# only a comment", vec![]),
        ("config foo", vec!["foo.?:"]),
        ("config foo\n", vec!["foo.?:"]),
        ("config foo 'bar' # comment\n\toption a 'b' # another\n", vec!["foo.bar: a=b"]),
        ("package x\n\nconfig foo bar\noption a b", vec!["foo.bar: a=b"]),
        ("package 'x-y'\r\nconfig foo\r\n\toption a b\r\n", vec!["foo.?: a=b"]),
        (r"config foo; option a b; list l c; list l d;", vec!["foo.?: a=b l[]=c|d"]),
        ("c foo\no a b\nl m c", vec!["foo.?: a=b m[]=c"]),
        (
            r#"config foo
                option single 'it'\''s'
                option double "a\"b"
                option plain a\ b\#c
                option mixed a'b c'"d e"f"#,
            vec!["foo.?: single=it's double=a\"b plain=a b#c mixed=ab cd ef"],
        ),
        ("config foo\noption a b#c\noption d '#;'", vec!["foo.?: a=b d=#;"]),
        ("config foo\noption a 'one\ntwo'", vec!["foo.?: a=one\ntwo"]),
        ("config foo\noption a \"one\\\ntwo\"\noption b \\\n c", vec!["foo.?: a=onetwo b=c"]),
        ("config foo\noption a 'x\\y'\noption b 'ö'", vec![r"foo.?: a=x\y b=ö"]),
        (
            "config foo x\noption a 1\nconfig bar y\nconfig foo x\noption a 2\noption b 3",
            vec!["foo.x: a=2 b=3", "bar.y:"],
        ),
        ("config foo\noption a 'x' '' \\", vec!["foo.?: a=x"]),
        ("config foo\nconfig foo", vec!["foo.?:", "foo.?:"]),
        ("config foo ''\noption a 1\noption a ''\noption b", vec!["foo.?: a=1 b="]),
        ("config foo\noption a ''\noption a 1\noption a ''", vec!["foo.?: a=1"]),
        ("config foo\noption a 1\nlist a 2\nlist b 1\noption b 2", vec!["foo.?: a[]=1|2 b=2"]),
    ] {
        assert_eq!(read(text), sections, "{text:?}");
    }
}

#[test]
fn what_it_refuses() {
    for (text, wrong) in [
        ("config", "1:7 config needs a section type"),
        ("config ''", "1:8 config needs a section type"),
        ("config a b c", "1:12 'c' is one word too many; a value with blanks needs quotes"),
        ("option a b", "1:1 option 'a' stands before the first config line"),
        ("config a\n  option", "2:9 option needs a name"),
        ("config a\n\toption b c d # e", "2:13 'd' is one word too many; a value with blanks needs quotes"),
        (
            "config a\noption mode='race'",
            "2:8 a name is of letters, digits and '_', with a blank after it: option mode 'race'",
        ),
        ("config a\nlist ö 1", "2:6 a name is of letters, digits and '_', with a blank"),
        ("config a\noption b 'c", "2:10 the quote ' is never closed"),
        ("config a\noption b \"c\\", "2:10 the quote \" is never closed"),
        ("config a\noption b c\0", "2:11 a zero byte"),
        ("package", "1:8 package needs a name"),
        (
            "confgi a\noption b c",
            "1:1 a line starts with config, option, list or package, not 'confgi'; did you mean 'config'?",
        ),
        ("'config' a", "1:1 a line starts with config, option, list or package, not ''config''"),
        ("config a x\nconfig b x\noption c d", "2:10 section 'x' is already a 'a' (line 1); a 'b' needs another name"),
    ] {
        let found = errors(text);
        assert_eq!(found.len(), 1, "{text:?} {found:?}");
        assert!(found.iter().all(|found| found.starts_with(wrong)), "{text:?} {found:?}");
    }
}

#[test]
fn a_forgotten_quote_is_found() {
    let found = errors("config a\noption b 'c\noption d 'e'\noption f 'g'\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found.iter().all(|found| found.contains("the quote at line 2 goes over several lines")), "{found:?}");
}

#[test]
fn reading_goes_on_after_an_error() {
    let (sections, errors) = parse("foo\nconfig a\noption\noption b 1\nlist\nconfig b\n");
    assert_eq!(errors.len(), 3);
    assert_eq!(sections.len(), 2);
    assert_eq!(sections.first().map(|section| section.entries.len()), Some(1));
}

#[test]
fn everything_has_its_place() {
    let (sections, _) = parse("\n  config a # x\n\tlist \"o\" 'ö' \n\tlist o two\n");
    let a = &sections[0];
    assert_eq!(a.place, Place { line: 2, column: 3 });
    assert_eq!(a.entries[0].place, Place { line: 3, column: 2 });
    let places: Vec<_> = a.entries[0].values.iter().map(|value| (value.place.line, value.place.column)).collect();
    assert_eq!(places, [(3, 11), (4, 9)]);
}

#[test]
fn sizes_are_bounded() {
    assert_eq!(errors(&" ".repeat(MAX_FILE + 1)).len(), 1);
    let (sections, errors) = parse(&"config a\n".repeat(MAX_SECTIONS + 5));
    assert_eq!((sections.len(), errors.len()), (MAX_SECTIONS, 1));
    let options: String = (0..MAX_ENTRIES + 5).map(|n| format!("option o{n} 1\n")).collect();
    let (sections, errors) = parse(&format!("config a\n{options}config b\noption c d"));
    assert_eq!((sections[0].entries.len(), sections[1].entries.len(), errors.len()), (MAX_ENTRIES, 1, 1));
    assert!(parse(&"x\n".repeat(100_000)).1.len() <= MAX_FAULTS + 1);
}

/// Rubbish that is nearly UCI.
fn nearly() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "config", "option", "list", "package", " ", "\n", "\t", "'", "\"", "\\", "#", ";", "\r\n", "a", "b", "link",
        "wan", "\0", "ä", "enabled", "1", "policy", "rule",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        parse(&text);
    }

    #[test]
    fn nor_does_nearly_uci(text in nearly()) {
        parse(&text);
        let _ = crate::config::read(&text);
    }

    #[test]
    fn nor_do_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = crate::config::read(&bytes);
    }

    #[test]
    fn quoting_is_undone(text in "[^\0]+") {
        let (sections, errors) = parse(&format!("config a\noption b {}", quote(&text)));
        prop_assert_eq!(&errors, &[]);
        prop_assert_eq!(&sections[0].entries[0].values[0].text, &text);
    }

    #[test]
    fn double_quotes_are_undone(text in "[^\0]+") {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        let (sections, errors) = parse(&format!("config a\noption b \"{escaped}\""));
        prop_assert_eq!(&errors, &[]);
        prop_assert_eq!(&sections[0].entries[0].values[0].text, &text);
    }
}
