//! Reads the text constants of a Python module without running it.
//!
//! Understood is what prompt constants are made of: string literals of every kind but `f` and `b`, put one after the other,
//! in parentheses, with `.strip()`, and dictionaries of those. Only assignments at the start of a line count: a name in a
//! comment, in another string or in a function is passed over. Lexical rules:
//! <https://docs.python.org/3/reference/lexical_analysis.html>.

use anyhow::{Result, bail};

use super::python_string::{StringLiteral, string_literal};

/// The value of a constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Constant {
    /// A string.
    Text(String),
    /// A dictionary from strings to strings, in the order of the source.
    Texts(Vec<(String, String)>),
}

/// The constant that the module `source` assigns to `name`; `None` when it assigns none.
///
/// Of several assignments the last counts, as when Python runs the module.
///
/// # Errors
///
/// When the value is made of more than text, or the source ends within it.
pub(super) fn constant(source: &str, name: &str) -> Result<Option<Constant>> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut reader = Reader { rest: source.strip_prefix('\u{feff}').unwrap_or(&source) };
    let mut found = None;
    while !reader.rest.is_empty() {
        if let Some(value) = reader.assigned_to(name) {
            found = Some(Reader { rest: value }.value());
        }
        reader.skip_logical_line();
    }
    found.transpose()
}

/// Python's `str.strip()`: besides Unicode's white space it takes the four separators U+001C to U+001F.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// What is right of the equals sign, if the line that starts here assigns to `name`.
    fn assigned_to(&self, name: &str) -> Option<&'a str> {
        let rest = self.rest.strip_prefix(name)?.trim_start_matches(BLANKS);
        let rest = match rest.strip_prefix(':') {
            Some(annotated) => &annotated[annotated.find(['=', '\n'])?..],
            None => rest,
        };
        rest.strip_prefix('=').filter(|rest| !rest.starts_with('='))
    }

    /// Moves past a statement: to the first line start outside of strings and brackets.
    fn skip_logical_line(&mut self) {
        let mut depth = 0_usize;
        while let Some(c) = self.rest.chars().next() {
            match c {
                '#' => self.skip_comment(),
                '\\' => {
                    self.advance(1);
                    self.advance(self.rest.chars().next().map_or(0, char::len_utf8));
                }
                '\'' | '"' => {
                    self.advance(string_literal(self.rest).map_or(1, |literal| literal.n_bytes))
                }
                c if c.is_alphanumeric() || c == '_' => self.skip_word(),
                _ => {
                    self.advance(c.len_utf8());
                    match c {
                        '(' | '[' | '{' => depth += 1,
                        ')' | ']' | '}' => depth = depth.saturating_sub(1),
                        '\n' if depth == 0 => return,
                        _ => {}
                    }
                }
            }
        }
    }

    /// Moves past a name or number, or past a string whose prefix it is.
    fn skip_word(&mut self) {
        let end =
            self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        self.advance(string_literal(self.rest).map_or(end, |literal| literal.n_bytes));
    }

    /// The value that starts here and takes the whole rest of its line.
    fn value(&mut self) -> Result<Constant> {
        self.skip_blanks(false);
        let value = match self.rest.strip_prefix('{') {
            Some(rest) => {
                self.rest = rest;
                self.dictionary()?
            }
            None => Constant::Text(self.text(false)?),
        };
        self.skip_blanks(false);
        if !self.rest.is_empty() && !self.rest.starts_with(['\n', ';']) {
            bail!("the value is made of more than text literals");
        }
        Ok(value)
    }

    /// The rest of a dictionary, from behind the opening brace.
    fn dictionary(&mut self) -> Result<Constant> {
        let mut entries = Vec::new();
        loop {
            self.skip_blanks(true);
            if self.eat("}") {
                return Ok(Constant::Texts(entries));
            }
            let key = self.text(true)?;
            self.skip_blanks(true);
            if !self.eat(":") {
                bail!("no colon behind the key of a dictionary");
            }
            let value = self.text(true)?;
            entries.push((key, value));
            self.skip_blanks(true);
            if !self.eat(",") && !self.rest.starts_with('}') {
                bail!("no comma behind a value of a dictionary");
            }
        }
    }

    /// String literals one after the other, or such a text in parentheses, each with any number of `.strip()`.
    ///
    /// `is_inside` tells that a bracket is open, so that lines may end between literals. Nesting is read without recursion:
    /// a hostile file may hold any number of parentheses.
    fn text(&mut self, is_inside: bool) -> Result<String> {
        let mut n_open = 0_usize;
        self.skip_blanks(is_inside);
        while self.eat("(") {
            n_open += 1;
            self.skip_blanks(true);
        }
        let mut text = self.literals(is_inside || n_open > 0)?;
        loop {
            self.skip_blanks(is_inside || n_open > 0);
            if self.eat(".strip()") {
                text = strip(&text).to_owned();
            } else if n_open > 0 && self.eat(")") {
                n_open -= 1;
            } else if n_open > 0 {
                bail!("a parenthesis is not closed behind a text");
            } else {
                return Ok(text);
            }
        }
    }

    fn literals(&mut self, is_inside: bool) -> Result<String> {
        let mut text = String::new();
        let mut n_literals = 0;
        while let Some(StringLiteral { n_bytes, value }) = string_literal(self.rest) {
            text.push_str(&value?);
            n_literals += 1;
            self.advance(n_bytes);
            self.skip_blanks(is_inside);
        }
        if n_literals == 0 {
            bail!("the value is not a text literal");
        }
        Ok(text)
    }

    /// Moves past blanks, comments and joined lines, and inside of brackets past line ends.
    fn skip_blanks(&mut self, is_inside: bool) {
        loop {
            self.rest = self.rest.trim_start_matches(BLANKS);
            if self.rest.starts_with('#') {
                self.skip_comment();
            } else if !(self.eat("\\\n") || is_inside && self.eat("\n")) {
                return;
            }
        }
    }

    fn skip_comment(&mut self) {
        self.advance(self.rest.find('\n').unwrap_or(self.rest.len()));
    }

    fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn advance(&mut self, n_bytes: usize) {
        self.rest = &self.rest[n_bytes..];
    }
}

const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(source: &str, text: &str) {
        let text = Constant::Text(text.to_owned());
        assert_eq!(constant(source, "ASK").unwrap(), Some(text));
    }

    #[test]
    fn text_is_read_in_every_form() {
        check("ASK = 'hi'", "hi");
        check("import re\r\n\r\nASK = \"\"\"\r\nhi\r\n\"\"\".strip()  # there\r\n", "hi");
        check("ASK: str = r'\\d' # digits\n", "\\d");
        check("ASK='one'\nASK = 'two'; x = 1\n", "two");
        check("ASK = (\n    'a'  # first\n    \"b\" '''c\n'''\n).strip()\n", "abc");
        check("ASK = \\\n  ('a' \\\n 'b')", "ab");
        check("ASK = ((' a '.strip()))", "a");
        check("\u{feff}ASK = 'x'", "x");
    }

    const ELSEWHERE: &str = r#"
# ASK = 'no'
"""doc
ASK = 'no'
"""
def f():
    ASK = 'no'
    return f'''
ASK = 'no'
'''
TASK = 'no'
ASK_MORE = 'no'
ASK == 'no'
f(
ASK = 'no',
)
ASK: str
X = 'it\'s' \
ASK = 'no'
"#;

    #[test]
    fn name_in_a_comment_string_function_or_bracket_is_passed_over() {
        assert_eq!(constant(ELSEWHERE, "ASK").unwrap(), None);
        check(&format!("{ELSEWHERE}ASK = 'yes'{ELSEWHERE}"), "yes");
    }

    const BY_LANGUAGE: &str = r#"
ASK = {  # by language
    "en": """Hi {x}
""",
    'de': ('Ha' 'llo'),
    'fr'
    : 'a'.strip()
}
"#;

    #[test]
    fn dictionary_keeps_its_order() {
        let entries = [("en", "Hi {x}\n"), ("de", "Hallo"), ("fr", "a")];
        let entries = entries.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let expected = Constant::Texts(entries.to_vec());
        assert_eq!(constant(BY_LANGUAGE, "ASK").unwrap(), Some(expected));
        check_refused("ASK = {'a': 1}", "not a text literal");
        check_refused("ASK = {'a'}", "no colon");
        check_refused("ASK = {'a': 'b' 'c': 'd'}", "no comma");
    }

    #[track_caller]
    fn check_refused(source: &str, part: &str) {
        let error = constant(source, "ASK").unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn value_that_is_not_plain_text_is_refused() {
        check_refused("ASK = f'{x}'", "prefix `f`");
        check_refused("ASK = 'a' + B", "more than text");
        check_refused("ASK = open('x').read()", "not a text literal");
        check_refused("ASK = 'a'.upper()", "more than text");
        check_refused("ASK = ('a', 'b')", "not closed");
        check_refused("ASK = '''a", "not closed");
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(source in any::<String>()) {
            let _ = constant(&source, "ASK");
        }

        #[test]
        fn any_value_is_read_without_a_panic(value in r#"([rfuA'"\\#(){}:,.x0é \n]|\.strip\(\)){0,60}"#) {
            let _ = constant(&format!("ASK = {value}"), "ASK");
            let _ = constant(&format!("ASK = {{'a': {value}"), "ASK");
        }
    }
}
