//! The files of the project.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The top of the project.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The names of the project's files, relative to its top: those of git, or where there is none, those of the disk.
pub(crate) fn files() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    match listed {
        Ok(output) if output.status.success() => {
            let names = String::from_utf8(output.stdout).unwrap();
            names.lines().filter(|name| root().join(name).is_file()).map(str::to_owned).collect()
        }
        _ => {
            let mut found = Vec::new();
            walk(&root(), &mut found);
            found
        }
    }
}

fn walk(dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !["target", ".git", ".venv"].contains(&name) {
                walk(&path, found);
            }
        } else {
            found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
}

/// The files with one of these endings, with their texts.
pub(crate) fn texts(endings: &[&str]) -> Vec<(String, String)> {
    let is_wanted = |name: &String| endings.iter().any(|ending| name.ends_with(ending));
    let read = |name: String| {
        let text = std::fs::read_to_string(root().join(&name)).unwrap();
        (name, text)
    };
    files().into_iter().filter(is_wanted).map(read).collect()
}
