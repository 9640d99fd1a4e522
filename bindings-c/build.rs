//! Gives the shared library its soname, and tells the code what it is built for.

use std::env::var;
use std::os::unix::fs::symlink;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=KLOG_COMMIT");
    let known = |name| var(name).expect("cargo sets it");
    let commit = var("KLOG_COMMIT").map(|commit| format!(", commit {commit}")).unwrap_or_default();
    let (version, target, profile) = (known("CARGO_PKG_VERSION"), known("TARGET"), known("PROFILE"));
    println!("cargo:rustc-env=KLOG_BUILD_INFO=klog {version}, {target}, {profile}{commit}");
    let (major, minor) = (known("CARGO_PKG_VERSION_MAJOR"), known("CARGO_PKG_VERSION_MINOR"));
    // cargo-c links with a soname of its own; a second one would win over it in the file, but not in its links.
    if var("CARGO_FEATURE_CAPI").is_err() {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libklog.so.{major}.{minor}");
        link_by_soname(Path::new(&known("OUT_DIR")), &format!("libklog.so.{major}.{minor}"));
    }
    // A library that has a thread and a fork handler must stay where it is, even when a program unloads it.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}

/// Programs look for the library by its soname, and cargo makes no link of that name: without one, a program that was linked
/// with `-L target/release -lklog` would not start there.
fn link_by_soname(out_dir: &Path, soname: &str) {
    // OUT_DIR is <where the library goes>/build/<package>/out.
    if let Some(place) = out_dir.ancestors().nth(3) {
        let _ = symlink("libklog.so", place.join(soname)); // mostly it is there already
    }
}
