//! Notes the commit that the program is built from, where there is a git checkout, so that results
//! can say which code made them.

use std::path::Path;
use std::process::Command;

fn main() {
    for file in [".git/HEAD", ".git/logs/HEAD"] {
        if Path::new(file).exists() {
            println!("cargo::rerun-if-changed={file}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
    let git = Command::new("git").args(["rev-parse", "HEAD"]).output();
    if let Some(output) = git.ok().filter(|output| output.status.success()) {
        let revision = String::from_utf8_lossy(&output.stdout);
        println!("cargo::rustc-env=ASYNC_EVALS_REVISION={}", revision.trim());
    }
}
