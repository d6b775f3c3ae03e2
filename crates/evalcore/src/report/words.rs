//! Numbers, times and lists in words, for a terminal.

use std::borrow::Cow;
use std::fmt::Display;

use chrono::{DateTime, NaiveDateTime, TimeZone};

use crate::text;

/// The last second of the year 9999.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Lines given to one text that others wrote; the task file has all of it.
pub(super) const MAX_LINES: usize = 3;

/// `3m 12s`: the two largest units.
pub(super) fn duration(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{days}d {:02}h", hours % 24),
    }
}

/// `about 2m`: what is left, no finer than it can be known.
pub(super) fn about(seconds: f64) -> String {
    match seconds {
        ..60.0 => "less than 1m".to_owned(),
        ..3600.0 => format!("about {}m", (seconds / 60.0).ceil()),
        _ => format!("about {}", duration(seconds)),
    }
}

/// `4.1/s`, or per minute or hour where that reads better.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        10.0.. => format!("{per_second:.0}/s"),
        1.0.. => format!("{per_second:.1}/s"),
        0.017.. => format!("{:.1}/min", per_second * 60.0),
        _ => format!("{:.1}/h", per_second * 3600.0),
    }
}

/// `1.2M`: three digits or so.
pub(super) fn amount(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        1_000..999_950 => format!("{:.1}k", number as f64 / 1e3),
        999_950..999_950_000 => format!("{:.1}M", number as f64 / 1e6),
        _ => format!("{:.1}G", number as f64 / 1e9),
    }
}

/// `06:55:00`, with the day in front unless that is the day of `now`; both in Unix seconds.
pub(super) fn clock<Z: TimeZone>(seconds: f64, now: f64, zone: &Z) -> String {
    let (Some(time), Some(now)) = (local(seconds, zone), local(now, zone)) else {
        return "at an unknown time".to_owned();
    };
    let format = if time.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    time.format(format).to_string()
}

fn local<Z: TimeZone>(seconds: f64, zone: &Z) -> Option<NaiveDateTime> {
    let is_known = (0.0..=LAST_SECOND).contains(&seconds);
    let time = DateTime::from_timestamp(seconds as i64, 0).filter(|_| is_known)?;
    Some(time.with_timezone(zone).naive_local())
}

/// `2 refused`, `1 truncated`: what is not zero.
pub(super) fn counted<T: Display + PartialEq + From<u8>>(counts: &[(T, &str)]) -> Vec<String> {
    let there = counts.iter().filter(|(count, _)| *count != T::from(0));
    there.map(|(count, name)| format!("{count} {name}")).collect()
}

/// `samples`, `searches`, `replies` for any number but one.
pub(super) fn plural(name: &str, count: u64) -> String {
    match name.strip_suffix('y') {
        _ if count == 1 => name.to_owned(),
        Some(stem) => format!("{stem}ies"),
        None if name.ends_with("ch") => format!("{name}es"),
        None => format!("{name}s"),
    }
}

/// `word` as a POSIX shell reads it: in quotes where it would take it apart.
pub(super) fn shell_word(word: &str) -> Cow<'_, str> {
    let is_plain =
        |character: char| character.is_alphanumeric() || "/._-+=:,@%".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

/// Puts `parts` on lines of at most `width` columns, each after `indent` spaces, with `separator`
/// between two on one line. A part is broken only where it is too wide for a line, as [`wrap`] does.
pub(super) fn flow(
    screen: &mut String,
    indent: usize,
    parts: &[String],
    separator: &str,
    width: usize,
) {
    let room = width.saturating_sub(indent).max(1);
    let mut used = 0;
    for part in parts.iter().filter(|part| !part.is_empty()) {
        let columns = text::columns(part);
        if columns > room {
            if used > 0 {
                screen.push('\n');
            }
            wrap(screen, indent, part, MAX_LINES, width);
            used = 0;
            continue;
        }
        if used == 0 {
            screen.extend(std::iter::repeat_n(' ', indent));
        } else if used + text::columns(separator) + columns <= room {
            screen.push_str(separator);
            used += text::columns(separator);
        } else {
            screen.push('\n');
            screen.extend(std::iter::repeat_n(' ', indent));
            used = 0;
        }
        screen.push_str(part);
        used += columns;
    }
    if used > 0 {
        screen.push('\n');
    }
}

/// Puts `words` on at most `max_lines` lines as [`flow`] does, broken at spaces; lines after the
/// first are indented by two more. What is left is cut with `…`.
pub(super) fn wrap(
    screen: &mut String,
    indent: usize,
    words: &str,
    max_lines: usize,
    width: usize,
) {
    let mut rest = words.trim();
    for number in 1..=max_lines {
        let indent = if number == 1 { indent } else { indent + 2 };
        let room = width.saturating_sub(indent).max(1);
        let (line, after) =
            if number == max_lines { (rest, "") } else { split_at_space(rest, room) };
        screen.extend(std::iter::repeat_n(' ', indent));
        screen.push_str(&text::shorten(line, room));
        screen.push('\n');
        rest = after;
        if rest.is_empty() {
            return;
        }
    }
}

/// As many words of `words` as fit in `room` columns, and the rest. A word that is wider than that
/// is broken.
fn split_at_space(words: &str, room: usize) -> (&str, &str) {
    if text::columns(words) <= room {
        return (words, "");
    }
    let mut used = 0;
    let mut space = None;
    for (at, character) in words.char_indices() {
        if character == ' ' {
            space = Some(at);
        }
        used += text::columns(character.encode_utf8(&mut [0; 4]));
        if used > room {
            let end = space.unwrap_or(at);
            return (words[..end].trim_end(), words[end..].trim_start());
        }
    }
    (words, "")
}

#[cfg(test)]
mod tests {
    use chrono::{FixedOffset, Utc};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_have_two_units() {
        let table =
            [(0.4, "0s"), (59.9, "59s"), (192.0, "3m 12s"), (7500.0, "2h 05m"), (1e5, "1d 03h")];
        for (seconds, words) in table {
            assert_eq!(duration(seconds), words);
        }
        assert_eq!((about(59.0), about(61.0)), ("less than 1m".to_owned(), "about 2m".to_owned()));
        assert_eq!(about(4000.0), "about 1h 06m");
    }

    #[test]
    fn rates_and_amounts_have_few_digits() {
        let rates = [(41.2, "41/s"), (4.12, "4.1/s"), (0.5, "30.0/min"), (0.001, "3.6/h")];
        for (per_second, words) in rates {
            assert_eq!(rate(per_second), words);
        }
        let amounts = [(999, "999"), (1_234, "1.2k"), (999_999, "1.0M"), (12_345_678, "12.3M")];
        for (number, words) in amounts {
            assert_eq!(amount(number), words);
        }
    }

    #[test]
    fn one_is_singular_and_all_else_plural() {
        for (name, names) in [("row", "rows"), ("search", "searches"), ("reply", "replies")] {
            assert_eq!((plural(name, 1), plural(name, 0)), (name.into(), names.into()));
        }
    }

    #[test]
    fn a_shell_reads_back_the_word() {
        let table = [
            ("out/tasks_1.json", "out/tasks_1.json"),
            ("my out/t.json", "'my out/t.json'"),
            ("$HOME/it's", r"'$HOME/it'\''s'"),
            ("", "''"),
        ];
        for (word, quoted) in table {
            assert_eq!(shell_word(word), quoted);
        }
    }

    #[test]
    fn another_day_is_named() {
        let now = 1_795_416_900.0;
        assert_eq!(clock(now - 60.0, now, &Utc), "06:54:00");
        assert_eq!(clock(now - 86_400.0, now, &Utc), "2026-11-22 06:55:00");
        let east = FixedOffset::east_opt(2 * 3600).expect("zone");
        assert_eq!(clock(now, now, &east), "08:55:00");
        assert_eq!(clock(1e300, now, &Utc), "at an unknown time");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_allowed(
            parts in prop::collection::vec("[a-z模 ]{0,30}", 0..8), width in 20..90usize,
        ) {
            let mut screen = String::new();
            flow(&mut screen, 2, &parts, ", ", width);
            wrap(&mut screen, 2, &parts.join(" "), 3, width);
            for line in screen.lines() {
                prop_assert!(text::columns(line) <= width, "{line:?}");
            }
        }
    }
}
