//! Templates made ready for use.

use anyhow::{Context, Result, bail};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use super::load::templates_sha256;
use super::{Prompts, TemplateSpec};

/// Templates that were checked and compiled once, for rendering many times.
#[derive(Debug)]
pub struct Compiled {
    environment: Environment<'static>,
}

impl Prompts {
    /// The templates of `specs`, ready for use.
    ///
    /// # Errors
    ///
    /// When the texts are not those that `sha256` was taken of, because the task file was edited; when a template is missing,
    /// has a syntax error, uses a variable it is not given, or leaves one out.
    pub fn compile(&self, specs: &[TemplateSpec]) -> Result<Compiled> {
        let sha256 = templates_sha256(&self.templates);
        if sha256 != self.sha256 {
            let recorded = &self.sha256;
            bail!(
                "prompts were edited: SHA-256 is {sha256}, {recorded} was recorded; submit a new task to change them"
            );
        }
        let mut environment = environment();
        for spec in specs {
            let name = spec.name;
            let text = self.templates.get(name).with_context(|| {
                format!("prompts have no template `{name}`; submit the task with this version")
            })?;
            add(&mut environment, spec, text).with_context(|| format!("template `{name}`"))?;
        }
        Ok(Compiled { environment })
    }
}

/// The template language: no escaping, no undefined variables, no newline lost.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
    environment.set_syntax(syntax.expect("the delimiters are the default ones"));
    environment
}

fn add(environment: &mut Environment<'static>, spec: &TemplateSpec, text: &str) -> Result<()> {
    environment.add_template_owned(spec.name, text.to_owned())?;
    let template = environment.get_template(spec.name)?;
    let used = template.undeclared_variables(false);
    let known = spec.variables.join("`, `");
    if let Some(unknown) = used.iter().find(|name| !spec.variables.contains(&name.as_str())) {
        bail!("unknown variable `{unknown}`, it may use `{known}`");
    }
    if let Some(missing) = spec.variables.iter().find(|name| !used.contains(**name)) {
        bail!("variable `{missing}` is not used, add `{{{{ {missing} }}}}`");
    }
    // Unknown filters and functions show only when a template is rendered.
    template.render(Value::from_pairs(spec.variables.iter().map(|name| (*name, "x"))))?;
    Ok(())
}

impl Compiled {
    /// The text of template `name` with these values of its variables, which are not looked at for template syntax.
    ///
    /// # Errors
    ///
    /// When there is no such template, or it uses a variable that is not given.
    pub fn render(&self, name: &str, variables: &[(&str, &str)]) -> Result<String> {
        let variables = Value::from_pairs(variables.iter().copied());
        let template = self.environment.get_template(name)?;
        template.render(variables).with_context(|| format!("template `{name}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GRADER, QUERY};
    use super::*;

    fn prompts(text: &str) -> Prompts {
        let templates = [(QUERY.name.to_owned(), text.to_owned())].into_iter().collect();
        Prompts { source: "test".to_owned(), sha256: templates_sha256(&templates), templates }
    }

    #[track_caller]
    fn check(text: &str, question: &str, rendered: &str) {
        let compiled = prompts(text).compile(&[QUERY]).unwrap();
        assert_eq!(compiled.render(QUERY.name, &[("question", question)]).unwrap(), rendered);
    }

    #[test]
    fn values_and_newlines_are_kept_as_they_are() {
        check("{{ question }}\n\n", "a <b> & {{ c }}\n", "a <b> & {{ c }}\n\n\n");
        check("{% if question == '1' %}one{% else %}{{ question }}{% endif %}", "2", "2");
    }

    #[track_caller]
    fn check_refused(text: &str, part: &str) {
        let error = format!("{:#}", prompts(text).compile(&[QUERY]).err().unwrap());
        assert!(error.contains(part) && error.contains("`browsecomp_query`"), "{error}");
    }

    #[test]
    fn template_that_cannot_work_is_refused_before_it_is_used() {
        check_refused("{{ question", "syntax error");
        check_refused(
            "{{ question }} {{ Question }}",
            "unknown variable `Question`, it may use `question`",
        );
        check_refused("What?", "`question` is not used");
        check_refused("{{ question|shout }}", "shout");
    }

    #[test]
    fn edited_or_incomplete_prompts_are_refused() {
        let mut edited = prompts("{{ question }}");
        edited.templates[0].push('!');
        let error = edited.compile(&[QUERY]).err().unwrap().to_string();
        assert!(error.contains("edited") && error.contains(&edited.sha256), "{error}");
        let error = prompts("{{ question }}").compile(&[QUERY, GRADER]).err().unwrap();
        assert!(error.to_string().contains("no template `browsecomp_grader`"), "{error}");
    }

    #[test]
    fn variable_that_is_not_given_is_an_error() {
        let compiled = prompts("{{ question }}").compile(&[QUERY]).unwrap();
        assert!(compiled.render(QUERY.name, &[]).is_err());
        assert!(compiled.render("other", &[]).is_err());
    }
}
