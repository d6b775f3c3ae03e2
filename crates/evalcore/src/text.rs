//! Text that others wrote, made fit for a terminal.
//!
//! Model answers, server messages and names are hostile: control sequences could move the cursor,
//! set a window's title or hide what stands there. Columns are counted as a terminal counts them.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// `text` without anything that drives a terminal or cannot be seen: escape sequences, control and
/// bidirectional characters, zero-width and other invisible ones are left out; line breaks and tabs
/// become one space each. What is fit already is borrowed.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().all(|character| !is_break(character) && !is_hidden(character)) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => skip_escape(&mut rest),
            '\u{9b}' => skip_parameters(&mut rest),
            _ if is_break(character) => kept.push(' '),
            _ if is_hidden(character) => {}
            _ => kept.push(character),
        }
    }
    Cow::Owned(kept)
}

/// `text` in at most `max_columns` columns: cut, with `…` at the end, where it is wider.
pub fn shorten(text: &str, max_columns: usize) -> Cow<'_, str> {
    if columns(text) <= max_columns {
        return Cow::Borrowed(text);
    }
    let Some(room) = max_columns.checked_sub(1) else {
        return Cow::Borrowed("");
    };
    let mut used = 0;
    let end = text.char_indices().find_map(|(at, character)| {
        used += columns_of(character);
        (used > room).then_some(at)
    });
    let kept = text[..end.unwrap_or(text.len())].trim_end();
    Cow::Owned(format!("{kept}…"))
}

/// How many columns a terminal gives to `text`, at most; an emoji of several characters may take
/// fewer.
pub fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

fn columns_of(character: char) -> usize {
    match character {
        '\u{fe0f}' => 1, // shows the character before it as an emoji, which is wide
        _ => character.width().unwrap_or(0),
    }
}

/// Skips what follows an escape character, as ECMA-48 has it.
fn skip_escape(rest: &mut std::str::Chars<'_>) {
    let after = rest.clone();
    match rest.next() {
        Some('[') => skip_parameters(rest),
        Some(']' | 'P' | 'X' | '^' | '_') => skip_string(rest),
        Some(' '..='/') => skip_while(rest, |character| matches!(character, ' '..='/')),
        Some('0'..='~') => {}
        _ => *rest = after, // no sequence at all
    }
}

/// Skips the parameters of a control sequence and the letter that ends it.
fn skip_parameters(rest: &mut std::str::Chars<'_>) {
    skip_while(rest, |character| matches!(character, ' '..='?'));
}

/// Skips a command string up to its end; one that never ends stops at the line's end.
fn skip_string(rest: &mut std::str::Chars<'_>) {
    loop {
        let before = rest.clone();
        match rest.next() {
            None | Some('\u{7}' | '\u{9c}') => return,
            Some('\u{1b}' | '\n' | '\r') => {
                *rest = before; // the escape begins the sequence that ends the string
                return;
            }
            Some(_) => {}
        }
    }
}

/// Skips all that `is_inside`, and one final character of a sequence where it follows.
fn skip_while(rest: &mut std::str::Chars<'_>, is_inside: impl Fn(char) -> bool) {
    loop {
        let before = rest.clone();
        match rest.next() {
            Some(character) if is_inside(character) => {}
            Some('0'..='~') => return,
            _ => {
                *rest = before;
                return;
            }
        }
    }
}

/// Ends a line or moves to a tab stop.
fn is_break(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Controls a terminal, changes the direction of text, or cannot be seen.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(printable(text), expected);
    }

    #[test]
    fn plain_text_is_borrowed() {
        assert!(matches!(printable("naïve 模型 👍🏽 ☁️"), Cow::Borrowed(_)));
    }

    #[test]
    fn escape_sequences_go_with_their_parameters() {
        check("\u{1b}[31mred\u{1b}[0m", "red");
        check("a\u{1b}[2J\u{1b}[1;1Hb", "ab");
        check("\u{9b}31mred", "red");
        check("\u{1b}]0;title\u{7}text", "text");
        check("\u{1b}]8;;https://a.example\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link");
        check("\u{1b}Pq#0\u{1b}\\after", "after");
        check("\u{1b}(Bx\u{1b}cy\u{1b}7z", "xyz");
    }

    #[test]
    fn sequences_that_never_end_take_no_more_than_their_line() {
        check("a\u{1b}", "a");
        check("a\u{1b}[", "a");
        check("a\u{1b}[12é", "aé");
        check("a\u{1b}]0;title\nnext", "a next");
        check("a\u{1b}\u{1b}[31mb", "ab");
    }

    #[test]
    fn breaks_become_spaces() {
        check("a\nb\r\nc\td\u{2028}e", "a b  c d e");
    }

    #[test]
    fn what_cannot_be_seen_goes() {
        check("user\u{202e}gpj\u{2066}.exe", "usergpj.exe");
        check("a\u{200b}b\u{feff}c\u{ad}d\0e\u{7f}f\u{8}g", "abcdefg");
        check("a\u{e0041}\u{e0042}b\u{3164}", "ab");
    }

    #[test]
    fn shortening_counts_wide_characters_twice() {
        assert_eq!(shorten("模型模型", 8), "模型模型");
        assert_eq!(shorten("模型模型", 7), "模型模…");
        assert_eq!(shorten("模型模型", 6), "模型…");
        assert_eq!(shorten("gpt-4o", 6), "gpt-4o");
        assert_eq!(shorten("gpt-4o mini", 8), "gpt-4o…");
        assert_eq!(shorten("gpt", 1), "…");
        assert_eq!(shorten("gpt", 0), "");
    }

    proptest! {
        #[test]
        fn nothing_printable_drives_a_terminal(text in "(\\PC|[\\x00-\\x1f\\x7f-\\x9f]|\\[|m|;|\u{202e})*") {
            let clean = printable(&text);
            prop_assert!(!clean.chars().any(|character| character.is_control() || is_hidden(character)));
            prop_assert_eq!(printable(&clean), clean.as_ref());
        }

        #[test]
        fn shortened_text_fits(text in any::<String>(), max_columns in 0..40usize) {
            let short = shorten(&text, max_columns);
            prop_assert!(columns(&short) <= max_columns);
            let clean = printable(&short);
            prop_assert!(clean.width() <= max_columns, "{} {:?}", clean.width(), clean);
        }
    }
}
