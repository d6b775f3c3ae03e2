//! One string literal of Python: prefix, quotes and escapes.

use anyhow::{Context, Result, anyhow, bail};

/// A literal found at the start of a text.
pub(super) struct StringLiteral {
    /// How long it is in the source.
    pub(super) n_bytes: usize,
    /// What it stands for; an error for literals that are not plain text.
    pub(super) value: Result<String>,
}

/// The literal that `source` starts with; `None` when it starts with something else.
///
/// A literal that is not closed ends with the line, or with the source if it has triple quotes.
pub(super) fn string_literal(source: &str) -> Option<StringLiteral> {
    let n_prefix = source.bytes().take_while(u8::is_ascii_alphabetic).take(3).count();
    let prefix = source[..n_prefix].to_ascii_lowercase();
    if !matches!(prefix.as_str(), "" | "r" | "u" | "f" | "b" | "rf" | "fr" | "rb" | "br") {
        return None;
    }
    let quoted = &source[n_prefix..];
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| quoted.starts_with(quote))?;
    let inner = &quoted[quote.len()..];
    let (n_inner, is_closed) = end(inner, quote);
    let n_bytes = n_prefix + quote.len() + n_inner + if is_closed { quote.len() } else { 0 };
    let inner = &inner[..n_inner];
    let value = match prefix.as_str() {
        _ if !is_closed => Err(anyhow!("a text literal is not closed")),
        "" | "u" => unescape(inner),
        "r" => Ok(inner.to_owned()),
        other => Err(anyhow!("literals with the prefix `{other}` are not plain text")),
    };
    Some(StringLiteral { n_bytes, value })
}

/// Where the inside of a literal ends, and whether it is by its closing quotes. A backslash shields the next character, in
/// raw literals as well.
fn end(inner: &str, quote: &str) -> (usize, bool) {
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        if inner[at..].starts_with(quote) {
            return (at, true);
        }
        match c {
            '\\' => drop(chars.next()),
            '\n' if quote.len() == 1 => return (at, false),
            _ => {}
        }
    }
    (inner.len(), false)
}

/// The text that `inner` stands for. Unknown escapes keep their backslash, as in Python.
fn unescape(inner: &str) -> Result<String> {
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escape =
            rest[at + 1..].chars().next().context("a backslash at the end of a literal")?;
        rest = &rest[at + 1 + escape.len_utf8()..];
        match escape {
            '\n' => {}
            '\\' | '\'' | '"' => text.push(escape),
            'a' => text.push('\u{7}'),
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            't' => text.push('\t'),
            'v' => text.push('\u{b}'),
            'x' => text.push(code_point(&mut rest, 2)?),
            'u' => text.push(code_point(&mut rest, 4)?),
            'U' => text.push(code_point(&mut rest, 8)?),
            'N' => bail!("named characters (`\\N`) are not supported"),
            '0'..='7' => {
                let octal: String = rest.chars().take(2).take_while(|c| c.is_digit(8)).collect();
                rest = &rest[octal.len()..];
                let octal = format!("{escape}{octal}");
                text.extend(u32::from_str_radix(&octal, 8).ok().and_then(char::from_u32));
            }
            other => text.extend(['\\', other]),
        }
    }
    text.push_str(rest);
    Ok(text)
}

/// The character whose code point stands at the start of `rest` in `n_digits` hex digits.
fn code_point(rest: &mut &str, n_digits: usize) -> Result<char> {
    let digits =
        rest.get(..n_digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let digits = digits.with_context(|| format!("an escape without its {n_digits} hex digits"))?;
    *rest = &rest[n_digits..];
    let code_point = u32::from_str_radix(digits, 16)?;
    char::from_u32(code_point).with_context(|| format!("U+{digits} is not a character"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Literal, what is left of the source behind it, and its value.
    #[track_caller]
    fn check(source: &str, behind: &str, value: Option<&str>) {
        let literal = string_literal(source).unwrap();
        assert_eq!(&source[literal.n_bytes..], behind);
        assert_eq!(literal.value.ok().as_deref(), value);
    }

    #[test]
    fn quotes_close_where_python_closes_them() {
        check(r#""a'b" "c""#, r#" "c""#, Some("a'b"));
        check(r#"'''a''b\''''c"#, "c", Some("a''b'"));
        check("\"\"\"one\n\"two\" \\\"\"\"\"", "", Some("one\n\"two\" \""));
        check("\"\" x", " x", Some(""));
        check("'open\nnext", "\nnext", None);
        check("'''open\nnext", "", None);
    }

    #[test]
    fn escapes_are_replaced() {
        check(r#""\n\t\\\"\'\x41\u00e9\U0001F600\101\0\q""#, "", Some("\n\t\\\"'Aé😀A\0\\q"));
        check("\"joined \\\nline\"", "", Some("joined line"));
        check(r#""\ud800""#, "", None);
        check(r#""\u12""#, "", None);
        check(r#""\N{BULLET}""#, "", None);
    }

    #[test]
    fn prefix_decides_what_a_literal_is() {
        check(r#"r"\n\"" + 1"#, " + 1", Some(r#"\n\""#));
        check("U'x'", "", Some("x"));
        check("f'{x}'.y", ".y", None);
        check("Rb'x'", "", None);
        assert!(string_literal("x'y'").is_none());
        assert!(string_literal("name = 'y'").is_none());
        assert!(string_literal("").is_none());
    }
}
