//! Writing task files: as a whole, or not at all.

use std::fs::{self, File, Permissions};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chrono::NaiveDateTime;
use tempfile::{Builder, NamedTempFile};

use super::paths::{LATEST, folder_of, resolve, work_dir};
use crate::task::TaskFile;

/// A task file that [`create`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The file.
    pub path: PathBuf,
    /// Why `latest_tasks.json` does not lead to it, where it does not.
    pub warning: Option<String>,
}

/// Writes `file` to `folder`, which is made if missing, as `tasks_YYYYmmdd_HHMMSS.json` after `now`
/// in local time, with `_2`, `_3`, … appended when that name is taken; then points
/// `latest_tasks.json` at it, unless that is something other than a symlink.
///
/// # Errors
/// The folder or the file cannot be written. A link that cannot be made is only a warning: the
/// task file stands, and can be named.
pub fn create(folder: &Path, file: &TaskFile, now: NaiveDateTime) -> Result<Created> {
    fs::create_dir_all(folder).with_context(|| format!("make folder `{}`", folder.display()))?;
    let context = || format!("write a task file in `{}`", folder.display());
    let mut temporary = write_temporary(folder, file).with_context(context)?;
    let stamp = now.format("tasks_%Y%m%d_%H%M%S").to_string();
    let mut number = 1;
    let path = loop {
        let name = match number {
            1 => format!("{stamp}.json"),
            _ => format!("{stamp}_{number}.json"),
        };
        let path = folder.join(name);
        number += 1;
        if work_dir(&path).exists() {
            continue; // journals of a file that was deleted belong to other tasks
        }
        match temporary.persist_noclobber(&path) {
            Ok(_) => break path,
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => temporary = error.file,
            Err(error) => return Err(error.error).with_context(context),
        }
    };
    let warning = link_latest(folder, &path).err().map(|error| format!("{error:#}"));
    sync_folder(folder).with_context(context)?;
    Ok(Created { path, warning })
}

/// Replaces the task file at `path`, symlinks followed, in one step: whoever reads it sees the old
/// document or the new one. The file's mode stays as it is.
///
/// # Errors
/// The file cannot be written, for example on a full or read-only disk; the old one stays.
pub fn replace(path: &Path, file: &TaskFile) -> Result<()> {
    let path = resolve(path);
    let context = || format!("write task file `{}`", path.display());
    let folder = folder_of(&path);
    let temporary = write_temporary(folder, file).with_context(context)?;
    if let Ok(metadata) = fs::metadata(&path) {
        temporary.as_file().set_permissions(metadata.permissions()).with_context(context)?;
    }
    temporary.persist(&path).map_err(|error| error.error).with_context(context)?;
    sync_folder(folder).with_context(context)
}

/// The document in a temporary file in `folder`, on disk; it goes when it is dropped.
fn write_temporary(folder: &Path, file: &TaskFile) -> Result<NamedTempFile> {
    let mut temporary = Builder::new()
        .prefix(".tasks_")
        .suffix(".tmp")
        .permissions(Permissions::from_mode(0o666)) // less the umask, as for any other file
        .tempfile_in(folder)?;
    let mut writer = BufWriter::new(temporary.as_file_mut());
    serde_json::to_writer_pretty(&mut writer, file)?;
    writer.write_all(b"\n")?;
    writer.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    Ok(temporary)
}

/// Points `latest_tasks.json` at `path`, in one step.
fn link_latest(folder: &Path, path: &Path) -> Result<()> {
    let latest = folder.join(LATEST);
    let is_other = fs::symlink_metadata(&latest).is_ok_and(|metadata| !metadata.is_symlink());
    if is_other {
        bail!("`{}` is not a symlink and was left alone", latest.display());
    }
    let context = || format!("make link `{}`", latest.display());
    let target = path.file_name().expect("task file has a name");
    Builder::new()
        .prefix(".latest_")
        .suffix(".tmp")
        .make_in(folder, |temporary| symlink(target, temporary))
        .with_context(context)?
        .into_temp_path()
        .persist(&latest)
        .map_err(|error| error.error)
        .with_context(context)
}

/// Puts a rename on disk. Some network file systems have no such call, and need none.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Ok(())
        }
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use serde_json::json;

    use super::*;
    use crate::store;
    use crate::task::Task;

    fn one_task() -> TaskFile {
        let task = Task { format: 1, task_id: "a".into(), n_repeats: 1, ..Task::default() };
        TaskFile { tasks: [("a".to_owned(), task)].into() }
    }

    fn now() -> NaiveDateTime {
        let day = NaiveDate::from_ymd_opt(2026, 11, 23).expect("day");
        day.and_hms_opt(6, 55, 0).expect("time")
    }

    fn names(folder: &Path) -> Result<Vec<String>> {
        let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
        let names = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        Ok(names)
    }

    #[test]
    fn files_of_one_second_do_not_overwrite_each_other() -> Result<()> {
        let parent = tempfile::tempdir()?;
        let folder = parent.path().join("new/async_results");
        for name in ["tasks_20261123_065500.json", "tasks_20261123_065500_2.json"] {
            let created = create(&folder, &one_task(), now())?;
            assert_eq!(created, Created { path: folder.join(name), warning: None });
            assert_eq!(fs::read_link(folder.join(LATEST))?, Path::new(name));
        }
        fs::create_dir(folder.join("tasks_20261123_065500_3"))?;
        let created = create(&folder, &one_task(), now())?;
        assert_eq!(created.path, folder.join("tasks_20261123_065500_4.json"));
        assert_eq!(store::read(&store::newest(&folder)?)?, one_task());
        assert_eq!(
            names(&folder)?,
            [
                "latest_tasks.json",
                "tasks_20261123_065500.json",
                "tasks_20261123_065500_2.json",
                "tasks_20261123_065500_3",
                "tasks_20261123_065500_4.json",
            ]
        );
        Ok(())
    }

    #[test]
    fn a_dangling_link_is_replaced() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let latest = folder.path().join(LATEST);
        symlink("gone.json", &latest)?;
        let created = create(folder.path(), &one_task(), now())?;
        assert_eq!((store::resolve(&latest), created.warning), (created.path, None));
        Ok(())
    }

    #[test]
    fn a_latest_that_is_no_link_is_left_alone_with_a_warning() -> Result<()> {
        for is_folder in [false, true] {
            let folder = tempfile::tempdir()?;
            let latest = folder.path().join(LATEST);
            if is_folder {
                fs::create_dir(&latest)?;
            } else {
                fs::write(&latest, "mine")?;
            }
            let created = create(folder.path(), &one_task(), now())?;
            let expected = format!("`{}` is not a symlink and was left alone", latest.display());
            assert_eq!(created.warning, Some(expected));
            assert!(created.path.is_file() && !latest.is_symlink());
        }
        Ok(())
    }

    #[test]
    fn unknown_fields_and_their_order_survive_a_replace() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("t.json");
        let old = json!({"b_1": {
            "zeta": [1, {"y": 0.1, "x": null}], "eval_name": "mmlu", "alpha": "ü",
            "model_config": {"model": "m", "top_k": 3, "created": 1732345678.1234567},
            "created_at": 1732345678.1234567,
        }, "a_2": {}});
        fs::write(&path, old.to_string())?;
        replace(&path, &store::read(&path)?)?;
        let first = fs::read_to_string(&path)?;
        replace(&path, &store::read(&path)?)?;
        assert_eq!(fs::read_to_string(&path)?, first);
        let new: serde_json::Value = serde_json::from_str(&first)?;
        for field in ["zeta", "alpha", "created_at", "eval_name"] {
            assert_eq!(new["b_1"][field], old["b_1"][field]);
        }
        assert_eq!(new["b_1"]["model_config"]["top_k"], 3);
        let keys: Vec<_> = new["b_1"].as_object().expect("object").keys().rev().take(2).collect();
        assert_eq!(keys, ["alpha", "zeta"]);
        let ids: Vec<_> = new.as_object().expect("object").keys().collect();
        assert_eq!(ids, ["b_1", "a_2"]);
        assert!(first.ends_with("}\n"));
        Ok(())
    }

    #[test]
    fn replace_follows_links_and_keeps_the_mode() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let (path, link) = (folder.path().join("t.json"), folder.path().join("link.json"));
        fs::write(&path, "{}")?;
        fs::set_permissions(&path, Permissions::from_mode(0o640))?;
        symlink("t.json", &link)?;
        replace(&link, &one_task())?;
        assert!(link.is_symlink());
        assert_eq!(store::read(&path)?, one_task());
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o640);
        assert_eq!(names(folder.path())?, ["link.json", "t.json"]);
        Ok(())
    }

    #[test]
    fn a_new_file_has_the_mode_of_any_other() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let created = create(folder.path(), &one_task(), now())?;
        let other = folder.path().join("other");
        fs::write(&other, "")?;
        let mode = |path: &Path| anyhow::Ok(fs::metadata(path)?.permissions().mode());
        assert_eq!(mode(&created.path)?, mode(&other)?);
        Ok(())
    }

    #[test]
    fn errors_name_the_file() {
        let error = replace(Path::new("/proc/none/t.json"), &one_task()).expect_err("no folder");
        assert!(format!("{error:#}").starts_with("write task file `/proc/none/t.json`: "));
        let error = create(Path::new("/dev/null/x"), &one_task(), now()).expect_err("no folder");
        assert!(format!("{error:#}").starts_with("make folder `/dev/null/x`: "));
    }
}
