//! From Python's `str.format` to the template language of this project.

use anyhow::{Context, Result, bail};

/// A template that renders, byte for byte, what Python's `text.format(...)` gives.
///
/// `rename` has the names of the fields and the variables they become. A brace of the text is written as an expression, so
/// that nothing of the text can be taken for template syntax.
///
/// # Errors
///
/// When a brace is single, or a field is not in `rename` or has a format of its own.
pub(super) fn template_of(text: &str, rename: &[(&str, &str)]) -> Result<String> {
    let mut template = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        template.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(behind) = rest.strip_prefix("{{") {
            template.push_str(r#"{{ "{" }}"#);
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix("}}") {
            template.push('}');
            rest = behind;
        } else if let Some(field) = rest.strip_prefix('{') {
            let (field, behind) = field.split_once('}').context("a field `{…` is not closed")?;
            let Some((_, variable)) = rename.iter().find(|(name, _)| *name == field) else {
                bail!("field `{{{field}}}` is not one of this template's");
            };
            template.push_str(&format!("{{{{ {variable} }}}}"));
            rest = behind;
        } else {
            bail!("a single `}}` in the text");
        }
    }
    template.push_str(rest);
    Ok(template)
}

#[cfg(test)]
mod tests {
    use super::super::compiled::environment;
    use super::*;

    /// `{Name}` is `V{x}`; what Python gives was computed with CPython 3.
    #[track_caller]
    fn check(text: &str, formatted: &str) {
        let template = template_of(text, &[("Name", "name")]).unwrap();
        let values = minijinja::Value::from_pairs([("name", "V{x}")]);
        let rendered = environment().render_str(&template, values).unwrap();
        assert_eq!(rendered, formatted, "{template}");
    }

    #[test]
    fn rendering_gives_what_format_gives() {
        check("Ask {Name}:  \n\n", "Ask V{x}:  \n\n");
        check("{{{Name}}}", "{V{x}}");
        check("{{{{ x }}}} {{% if %}} {{# y #}} {{", "{{ x }} {% if %} {# y #} {");
        check("a\\n\\{{ -%}} \r\n{Name}{Name}", "a\\n\\{ -%} \r\nV{x}V{x}");
        check("}}{{", "}{");
        check("", "");
    }

    #[track_caller]
    fn check_refused(text: &str, part: &str) {
        let error = template_of(text, &[("Name", "name")]).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn what_is_no_plain_field_is_refused() {
        check_refused("{Other}", "`{Other}`");
        check_refused("{Name!r}", "`{Name!r}`");
        check_refused("{}", "`{}`");
        check_refused("{Name", "not closed");
        check_refused("a } b", "single `}`");
    }
}
