//! The disk refuses while several processes write.

use std::path::{Path, PathBuf};
use std::process::Command;

use klog::Engine;

use crate::other::Other;

/// A file system of its own; taken down when it goes.
struct Mount {
    at: PathBuf,
    _root: tempfile::TempDir,
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

/// Says why a test does not run.
fn skipped(why: &str) {
    println!("SKIPPED: {why}");
}

impl Mount {
    /// A small one in memory.
    fn small(what: &str) -> Option<Mount> {
        let root = tempfile::tempdir().unwrap();
        let at = root.path().join("mount");
        std::fs::create_dir(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m", "none"]).arg(&at).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Mount { at, _root: root });
        }
        skipped(&format!("{what}: mounting a file system takes root"));
        None
    }
}

/// Fills what is left of a file system.
fn fill(dir: &Path) -> PathBuf {
    use std::io::Write;
    let path = dir.join("filler");
    let mut file = std::fs::File::create(&path).unwrap();
    let mut size = 1 << 20;
    while size > 0 {
        // What did not fit whole is there in part; then less is tried.
        if file.write_all(&vec![1; size]).is_err() {
            size /= 2;
        }
    }
    path
}

#[test]
fn when_the_disk_is_full_every_process_is_told_and_all_go_on_when_there_is_room() {
    let Some(mount) = Mount::small("a full disk under several processes") else { return };
    let dir = mount.at.join("data");
    let mut others: Vec<Other> = (0..3).map(|_| Other::opened(&dir, &["klog.spare=false"])).collect();
    others[0].does("create durable 1 klog.durability=fsync");
    others[0].does("create written 1 klog.durability=os");
    let mut next = 0;
    let mut expected: [Vec<i64>; 2] = Default::default();
    for _ in 0..3 {
        for round in 0..4 {
            for other in &mut others {
                for (topic, expected) in ["durable", "written"].iter().zip(&mut expected) {
                    let said = other.does(&format!("append {topic} 0 {next} 1"));
                    assert_eq!(said, expected.len().to_string(), "round {round}");
                    expected.push(next);
                    next += 1;
                }
            }
        }
        let filler = fill(&mount.at);
        // What fits into the last page that a file has is written; then everybody is told, and told again.
        for other in &mut others {
            for (topic, expected) in ["durable", "written"].iter().zip(&mut expected) {
                let mut refusals = 0;
                while refusals < 3 {
                    let said = other.ask(&format!("append {topic} 0 {next} 1"));
                    if said == format!("ok {}", expected.len()) {
                        expected.push(next);
                    } else {
                        assert!(said.starts_with("KAFKA_STORAGE_ERROR_DISK_FULL "), "{said}");
                        refusals += 1;
                    }
                    next += 1;
                }
                // Reading goes on.
                assert!(other.does(&format!("read {topic} 0")).starts_with("0:0") || *topic == "written");
            }
        }
        std::fs::remove_file(filler).unwrap();
    }
    for (topic, expected) in ["durable", "written"].iter().zip(&expected) {
        let said = others[0].does(&format!("append {topic} 0 {next} 1"));
        assert_eq!(said, expected.len().to_string());
        let all: Vec<String> = expected.iter().chain([&next]).map(i64::to_string).collect();
        for other in &mut others {
            assert_eq!(other.does(&format!("read {topic} 0")), format!("0:{}", all.join(" ")), "{topic}");
        }
    }
    others.iter_mut().for_each(|other| drop(other.does("close")));
    let engine = Engine::open(&dir).unwrap();
    assert!(engine.admin().verify(None).unwrap().is_empty());
}
