//! The sources of klog that this crate includes see `cfg(loom)`; no other crate does.

fn main() {
    println!("cargo::rustc-cfg=loom");
    println!("cargo::rerun-if-changed=build.rs");
}
