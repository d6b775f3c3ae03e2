//! Which file is where, and names that are safe as a part of a path.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// The symlink to the task file that was submitted last.
pub const LATEST: &str = "latest_tasks.json";

/// The longest name that [`file_name`] gives, in bytes.
const MAX_NAME: usize = 100;

/// The kernel's own limit on symlinks in a row.
const MAX_LINKS: usize = 40;

/// The file that `path` leads to when it is a symlink, else `path`; the target need not exist.
/// A relative link stays relative, so `async_results/latest_tasks.json` becomes
/// `async_results/tasks_….json` and reads well in a message.
pub fn resolve(path: &Path) -> PathBuf {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = folder_of(&path).join(target),
            Err(_) => break,
        }
    }
    path
}

/// The task file submitted last in `folder`: what `latest_tasks.json` leads to, or where that is
/// missing or dangles, the newest `tasks_*.json` by the time and number in its name.
///
/// # Errors
/// The folder cannot be listed, or has no task file.
pub fn newest(folder: &Path) -> Result<PathBuf> {
    let latest = folder.join(LATEST);
    if latest.is_file() {
        return Ok(resolve(&latest));
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("no folder `{}`: start with `submit`", folder.display())
        }
        Err(error) => {
            return Err(error).with_context(|| format!("list folder `{}`", folder.display()));
        }
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("list folder `{}`", folder.display()))?;
        if let Ok(name) = entry.file_name().into_string()
            && name.starts_with("tasks_")
            && name.ends_with(".json")
            && entry.path().is_file()
        {
            names.push(name);
        }
    }
    match names.iter().max_by_key(|name| age(name)) {
        Some(name) => Ok(folder.join(name)),
        None => bail!("no task file in `{}`: start with `submit`", folder.display()),
    }
}

/// Sorts names of task files from old to new; names without a stamp come before all others.
fn age(name: &str) -> (Option<&str>, u64, &str) {
    let core = name.trim_start_matches("tasks_").trim_end_matches(".json");
    let (stamp, rest) = core.split_at_checked("YYYYmmdd_HHMMSS".len()).unwrap_or((core, ""));
    let is_stamp = stamp.bytes().enumerate().all(|(at, byte)| match at {
        8 => byte == b'_',
        _ => byte.is_ascii_digit(),
    }) && stamp.len() == 15;
    let number = match rest.strip_prefix('_') {
        Some(number) => number.parse().ok(),
        None if rest.is_empty() => Some(1),
        None => None,
    };
    match (is_stamp, number) {
        (true, Some(number)) => (Some(stamp), number, name),
        _ => (None, 0, name),
    }
}

/// The folder of what the runner makes of a task file: the file's own path without `.json`, symlinks
/// resolved; a file named otherwise gets `.d` appended.
pub fn work_dir(task_file: &Path) -> PathBuf {
    let file = resolve(task_file);
    if file.extension().is_some_and(|extension| extension == "json") {
        file.with_extension("")
    } else {
        let mut name = file.into_os_string();
        name.push(".d");
        name.into()
    }
}

/// The journal of one task: `{work_dir}/{task_id}.jsonl`. An id that is no safe file name is made
/// one, with a hash of it appended, so two ids never share a journal.
pub fn journal_path(task_file: &Path, task_id: &str) -> PathBuf {
    let mut name = file_name(task_id);
    if name != task_id {
        name = format!("{name}-{}", short_hash(task_id));
    }
    work_dir(task_file).join(name + ".jsonl")
}

/// Makes any text safe as one part of a path: 1 to 100 ASCII letters, digits, `.`, `_` and `-`.
/// All else becomes `_`, as does a dot that follows no letter or digit; names that Windows reserves
/// get a `_` in front; a text that is too long is cut and ends in a hash of the whole.
pub fn file_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for character in text.chars() {
        let is_safe = match character {
            '.' => name.ends_with(|before: char| before.is_ascii_alphanumeric()),
            _ => character.is_ascii_alphanumeric() || matches!(character, '_' | '-'),
        };
        name.push(if is_safe { character } else { '_' });
    }
    if name.is_empty() || is_reserved(&name) {
        name.insert(0, '_');
    }
    if name.len() > MAX_NAME {
        let hash = short_hash(text);
        name.truncate(MAX_NAME - hash.len() - 1);
        name = format!("{name}-{hash}");
    }
    name
}

/// Devices on Windows, with any extension.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).to_ascii_lowercase();
    match stem.as_str() {
        "con" | "prn" | "aux" | "nul" => true,
        _ => {
            stem.len() == 4
                && (stem.starts_with("com") || stem.starts_with("lpt"))
                && stem.ends_with(|last: char| last.is_ascii_digit())
        }
    }
}

fn short_hash(text: &str) -> String {
    Sha256::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// The folder that holds `path`, as a path that can be opened.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;

    fn folder_with(names: &[&str]) -> Result<tempfile::TempDir> {
        let folder = tempfile::tempdir()?;
        for name in names {
            fs::write(folder.path().join(name), "{}")?;
        }
        Ok(folder)
    }

    #[test]
    fn newest_is_what_the_link_leads_to() -> Result<()> {
        let folder = folder_with(&["tasks_20260101_000000.json", "tasks_20270101_000000.json"])?;
        symlink("tasks_20260101_000000.json", folder.path().join(LATEST))?;
        assert_eq!(newest(folder.path())?, folder.path().join("tasks_20260101_000000.json"));
        Ok(())
    }

    #[test]
    fn newest_without_a_link_goes_by_stamp_then_by_number() -> Result<()> {
        let folder = folder_with(&[
            "tasks_20261123_065500.json",
            "tasks_20261123_065500_2.json",
            "tasks_20261123_065500_10.json",
            "tasks_20251231_235959_99.json",
            "tasks_zz.json",
            "tasks_20301123_065500.json.bak",
            "notes.json",
        ])?;
        symlink("gone.json", folder.path().join(LATEST))?;
        fs::create_dir(folder.path().join("tasks_20991231_000000.json"))?;
        assert_eq!(newest(folder.path())?, folder.path().join("tasks_20261123_065500_10.json"));
        Ok(())
    }

    #[test]
    fn without_a_task_file_submit_is_the_remedy() -> Result<()> {
        let folder = folder_with(&["notes.json"])?;
        let path = folder.path();
        let error = newest(path).expect_err("no task file");
        let expected = format!("no task file in `{}`: start with `submit`", path.display());
        assert_eq!(error.to_string(), expected);
        let path = path.join("none");
        let error = newest(&path).expect_err("no folder");
        let expected = format!("no folder `{}`: start with `submit`", path.display());
        assert_eq!(error.to_string(), expected);
        Ok(())
    }

    #[test]
    fn work_folder_follows_links_and_never_is_the_file_itself() -> Result<()> {
        let folder = folder_with(&["tasks_1.json"])?;
        let link = folder.path().join(LATEST);
        symlink("tasks_1.json", &link)?;
        assert_eq!(work_dir(&link), folder.path().join("tasks_1"));
        assert_eq!(work_dir(Path::new("a/tasks")), Path::new("a/tasks.d"));
        assert_eq!(work_dir(Path::new("tasks.v2.json")), Path::new("tasks.v2"));
        Ok(())
    }

    #[test]
    fn a_loop_of_links_ends() -> Result<()> {
        let folder = folder_with(&[])?;
        symlink("b", folder.path().join("a"))?;
        symlink("a", folder.path().join("b"))?;
        resolve(&folder.path().join("a"));
        Ok(())
    }

    #[test]
    fn ids_that_differ_have_journals_that_differ() {
        let path = Path::new("r/tasks_1.json");
        assert_eq!(
            journal_path(path, "mmlu_gpt-4.1_1"),
            Path::new("r/tasks_1/mmlu_gpt-4.1_1.jsonl")
        );
        assert_ne!(journal_path(path, "a/b"), journal_path(path, "a_b"));
        assert_ne!(journal_path(path, "a/b"), journal_path(path, "a:b"));
    }

    #[test]
    fn any_text_becomes_a_safe_name() {
        let table = [
            ("gpt-4.1", "gpt-4.1"),
            ("../../x", "______x"),
            ("org/model:free", "org_model_free"),
            ("..", "__"),
            (".hidden", "_hidden"),
            ("a..b", "a._b"),
            ("", "_"),
            ("CON", "_CON"),
            ("com1.txt", "_com1.txt"),
            ("console", "console"),
            ("模型", "__"),
            ("a\0b\nc", "a_b_c"),
        ];
        for (text, name) in table {
            assert_eq!(file_name(text), name, "{text:?}");
        }
    }

    #[test]
    fn names_that_are_cut_still_differ() {
        let (a, b) = (file_name(&"x".repeat(300)), file_name(&"x".repeat(301)));
        assert_eq!((a.len(), b.len()), (MAX_NAME, MAX_NAME));
        assert_ne!(a, b);
    }

    proptest! {
        #[test]
        fn names_are_safe_and_stay_as_they_are(text in any::<String>()) {
            let name = file_name(&text);
            let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            prop_assert!((1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_safe));
            prop_assert!(!name.starts_with('.') && !name.contains(".."));
            prop_assert_eq!(&file_name(&name), &name);
        }
    }
}
