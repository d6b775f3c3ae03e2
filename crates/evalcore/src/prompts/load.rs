//! Where the texts of prompts come from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use super::format::template_of;
use super::python::{Constant, constant, strip};
use super::{Prompts, Reference, TemplateSpec};

/// The commit of openai/simple-evals whose texts the hashes identify.
const REVISION: &str = "ee3b031";

impl Prompts {
    /// The texts of `specs`: the built-in ones, or those of the folder `dir`.
    ///
    /// `dir` is either a folder of files `NAME.jinja`, each of which replaces a built-in text, or a checkout of
    /// openai/simple-evals, recognised by the files that hold the specs' references; a spec without a reference then keeps its
    /// built-in text.
    ///
    /// # Errors
    ///
    /// When `dir` is neither, listing the files looked for; when a file cannot be read; when a text of simple-evals is not the
    /// expected one, with both hashes; when a template does not compile.
    pub fn load(specs: &[TemplateSpec], dir: Option<&Path>) -> Result<Self> {
        let prompts = match dir {
            None => Self::new("built-in".to_owned(), specs, |_| Ok(None))?,
            Some(dir) => Self::from_dir(specs, dir)?,
        };
        prompts.compile(specs).with_context(|| format!("prompts `{}`", prompts.source))?;
        Ok(prompts)
    }

    /// Makes sure that each file `NAME.jinja` in `dir` has the name of a template, one of `known`: those
    /// of every eval, as a folder may serve several.
    ///
    /// # Errors
    ///
    /// A file that would be passed over in silence; the message suggests the nearest name.
    pub fn check_names(dir: &Path, known: &[&str]) -> Result<()> {
        let Ok(entries) = fs::read_dir(dir) else {
            return Ok(()); // loading says what is wrong with it
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|file| file.strip_suffix(".jinja").map(str::to_owned))
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) else {
            return Ok(());
        };
        let likeness = |known: &str| strsim::jaro_winkler(&name.to_lowercase(), known);
        let nearest = known
            .iter()
            .map(|known| (likeness(known), *known))
            .filter(|(likeness, _)| *likeness > 0.75)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let remedy = match nearest {
            Some((_, near)) => format!("did you mean `{near}.jinja`?"),
            None => format!("there are `{}`", known.join("`, `")),
        };
        bail!("prompts `{}`: no template is named as `{name}.jinja`: {remedy}", dir.display())
    }

    fn from_dir(specs: &[TemplateSpec], dir: &Path) -> Result<Self> {
        let dir =
            std::path::absolute(dir).with_context(|| format!("prompts `{}`", dir.display()))?;
        let shown = dir.display();
        if !dir.is_dir() {
            bail!(
                "prompts `{shown}`: not a folder; give one with templates, or a checkout of openai/simple-evals"
            );
        }
        let file = |spec: &TemplateSpec| dir.join(format!("{}.jinja", spec.name));
        let replaced: Vec<&str> =
            specs.iter().filter(|spec| file(spec).is_file()).map(|spec| spec.name).collect();
        if !replaced.is_empty() {
            let source = match replaced.len() == specs.len() {
                true => shown.to_string(),
                false => format!("{shown} ({}, the rest built-in)", replaced.join(", ")),
            };
            return Self::new(source, specs, |spec| read_template(&file(spec)));
        }
        let references = || specs.iter().filter_map(|spec| spec.reference);
        if references().any(|reference| dir.join(reference.file).is_file()) {
            let source = format!("simple-evals: {shown}");
            return Self::new(source, specs, |spec| {
                spec.reference.map(|it| read_reference(&dir, &it)).transpose()
            });
        }
        let templates = specs.iter().map(|spec| format!("`{}.jinja`", spec.name));
        let sought: Vec<String> =
            templates.chain(references().map(|it| format!("`{}`", it.file))).collect();
        bail!(
            "prompts `{shown}`: found neither templates nor a checkout of openai/simple-evals; looked for {}",
            sought.join(", ")
        )
    }

    /// Prompts of what `text` gives, or else of the built-in texts.
    fn new(
        source: String,
        specs: &[TemplateSpec],
        text: impl Fn(&TemplateSpec) -> Result<Option<String>>,
    ) -> Result<Self> {
        let mut templates = IndexMap::with_capacity(specs.len());
        for spec in specs {
            let text = text(spec)?.unwrap_or_else(|| without_final_newline(spec.text));
            templates.insert(spec.name.to_owned(), text);
        }
        Ok(Self { source, sha256: templates_sha256(&templates), templates })
    }
}

/// The hash that identifies a set of texts, whatever their order.
pub(super) fn templates_sha256(templates: &IndexMap<String, String>) -> String {
    let sorted: BTreeMap<&String, &String> = templates.iter().collect();
    sha256(&serde_json::to_string(&sorted).expect("texts are always valid JSON"))
}

pub(super) fn sha256(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

fn read_template(path: &PathBuf) -> Result<Option<String>> {
    if !path.is_file() {
        return Ok(None);
    }
    let text =
        fs::read_to_string(path).with_context(|| format!("read template `{}`", path.display()))?;
    Ok(Some(without_final_newline(text.strip_prefix('\u{feff}').unwrap_or(&text))))
}

fn without_final_newline(text: &str) -> String {
    let text =
        text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text)).unwrap_or(text);
    text.to_owned()
}

fn read_reference(dir: &Path, reference: &Reference) -> Result<String> {
    let path = dir.join(reference.file);
    let place = || format!("`{}` in `{}`", reference.constant, path.display());
    let source = fs::read_to_string(&path).with_context(place)?;
    let text = find(&source, reference.constant).with_context(place)?;
    let found = &sha256(strip(&text))[..24];
    let expected = reference.sha256;
    if found != expected {
        bail!(
            "{}: SHA-256 begins {found}, expected {expected}; check out commit {REVISION} of openai/simple-evals",
            place()
        );
    }
    template_of(&text, reference.rename).with_context(place)
}

/// The text of a constant, or of an entry of a dictionary if it is named `NAME[key]`.
fn find(source: &str, name: &str) -> Result<String> {
    let (name, key) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        Some((name, key)) => (name, Some(key)),
        None => (name, None),
    };
    match (constant(source, name)?, key) {
        (Some(Constant::Text(text)), None) => Ok(text),
        (Some(Constant::Texts(entries)), Some(key)) => {
            let entry = entries.into_iter().find(|(name, _)| name == key);
            Ok(entry.with_context(|| format!("has no entry `{key}`"))?.1)
        }
        (None, _) => bail!("no such constant; check out commit {REVISION} of openai/simple-evals"),
        _ => {
            bail!("is another kind of constant; check out commit {REVISION} of openai/simple-evals")
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const ASK: TemplateSpec = TemplateSpec {
        name: "ask",
        text: "Built in: {{ question }}\n",
        variables: &["question"],
        reference: None,
    };
    const GRADE: TemplateSpec = TemplateSpec { name: "grade", ..ASK };

    /// A folder with these files.
    fn folder(files: &[(&str, &str)]) -> TempDir {
        let folder = TempDir::new().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn texts(prompts: &Prompts) -> Vec<&str> {
        prompts.templates.values().map(String::as_str).collect()
    }

    #[test]
    fn files_replace_built_in_texts_one_by_one() {
        let files = folder(&[("ask.jinja", "\u{feff}Q {{ question }}\n\n"), ("other.jinja", "")]);
        let prompts = Prompts::load(&[ASK, GRADE], Some(files.path())).unwrap();
        assert_eq!(texts(&prompts), ["Q {{ question }}\n", "Built in: {{ question }}"]);
        let shown = files.path().display().to_string();
        assert_eq!(prompts.source, format!("{shown} (ask, the rest built-in)"));
        assert_eq!(Prompts::load(&[ASK], Some(files.path())).unwrap().source, shown);
    }

    #[test]
    fn a_file_that_no_template_is_named_as_is_refused() {
        let known = ["ask", "grade", "other_query"];
        let check = |file: &str, expected: Option<&str>| {
            let files = folder(&[("ask.jinja", ""), ("README.md", ""), (file, "")]);
            let found = Prompts::check_names(files.path(), &known);
            match (found, expected) {
                (Ok(()), None) => {}
                (Err(error), Some(expected)) => {
                    let error = error.to_string();
                    assert!(error.contains(file) && error.ends_with(expected), "{error}");
                }
                (found, _) => panic!("{file}: {found:?}"),
            }
        };
        check("other_query.jinja", None);
        check(".other.jinja", None);
        check("grad.jinja", Some("did you mean `grade.jinja`?"));
        check("Other_Query.jinja", Some("did you mean `other_query.jinja`?"));
        check("xyz.jinja", Some("there are `ask`, `grade`, `other_query`"));
        Prompts::check_names(Path::new("/nowhere"), &known).unwrap();
    }

    #[test]
    fn hash_depends_on_the_texts_but_not_on_their_order() {
        let built_in = Prompts::load(&[ASK, GRADE], None).unwrap();
        assert_eq!(built_in.source, "built-in");
        let text = "Built in: {{ question }}";
        assert_eq!(built_in.sha256, sha256(&format!(r#"{{"ask":"{text}","grade":"{text}"}}"#)));
        assert_eq!(built_in.sha256, Prompts::load(&[GRADE, ASK], None).unwrap().sha256);
        assert_ne!(built_in.sha256, Prompts::load(&[ASK], None).unwrap().sha256);
    }

    const PYTHON: &str =
        "ASK = \"\"\"\nAsk {Q} {{\"a\": 1}}\n\"\"\".strip()\nBY = {'en': 'In {Q}'}\n";

    fn referring(constant: &'static str, text: &str) -> TemplateSpec {
        let sha256 = sha256(text)[..24].to_owned().leak();
        let rename = &[("Q", "question")];
        let reference = Reference { file: "ask_eval.py", constant, sha256, rename };
        TemplateSpec { reference: Some(reference), ..ASK }
    }

    #[test]
    fn checkout_gives_its_own_text_as_a_template() {
        let files = folder(&[("ask_eval.py", PYTHON)]);
        let specs = [referring("ASK", "Ask {Q} {{\"a\": 1}}"), GRADE];
        let prompts = Prompts::load(&specs, Some(files.path())).unwrap();
        assert_eq!(prompts.source, format!("simple-evals: {}", files.path().display()));
        let compiled = prompts.compile(&specs).unwrap();
        assert_eq!(compiled.render("ask", &[("question", "why?")]).unwrap(), "Ask why? {\"a\": 1}");
        assert_eq!(compiled.render("grade", &[("question", "?")]).unwrap(), "Built in: ?");
        let prompts = Prompts::load(&[referring("BY[en]", "In {Q}")], Some(files.path())).unwrap();
        assert_eq!(texts(&prompts), ["In {{ question }}"]);
    }

    #[track_caller]
    fn check_refused(spec: TemplateSpec, dir: &Path, parts: &[&str]) {
        let error = format!("{:#}", Prompts::load(&[spec], Some(dir)).unwrap_err());
        let all = parts.iter().all(|part| error.contains(part));
        assert!(all && error.contains(&dir.display().to_string()), "{error}");
    }

    #[test]
    fn folder_that_does_not_fit_is_refused_with_what_was_looked_for() {
        let spec = referring("ASK", "another text");
        check_refused(spec, Path::new("/nowhere"), &["not a folder"]);
        check_refused(spec, folder(&[]).path(), &["`ask.jinja`", "`ask_eval.py`"]);
        let files = folder(&[("ask.jinja", "{{ q }}")]);
        check_refused(spec, files.path(), &["unknown variable `q`"]);
    }

    #[test]
    fn text_of_another_revision_is_refused_with_both_hashes() {
        let files = folder(&[("ask_eval.py", PYTHON)]);
        let found = &sha256("Ask {Q} {{\"a\": 1}}")[..24];
        let expected = &sha256("another text")[..24];
        let spec = referring("ASK", "another text");
        check_refused(spec, files.path(), &[found, expected, "commit ee3b031", "`ASK`"]);
        check_refused(referring("OLD", ""), files.path(), &["no such constant"]);
        check_refused(referring("BY[fr]", ""), files.path(), &["has no entry `fr`"]);
        check_refused(referring("BY", ""), files.path(), &["another kind"]);
    }
}
