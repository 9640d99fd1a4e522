//! The disk refuses while several processes write.

use std::path::{Path, PathBuf};
use std::process::Command;

use klog::Engine;

use crate::other::{Other, command};

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

/// What makes calls of children fail, and the file that says when.
struct FailingDisk {
    library: PathBuf,
    switch: PathBuf,
}

impl FailingDisk {
    fn new(root: &Path) -> Option<FailingDisk> {
        let (library, source) = (root.join("failing.so"), concat!(env!("CARGO_MANIFEST_DIR"), "/process/failing.c"));
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).output();
        match compiled {
            Ok(said) if said.status.success() => Some(FailingDisk { library, switch: root.join("fails") }),
            Ok(said) => panic!("{}", String::from_utf8_lossy(&said.stderr)),
            Err(_) => {
                skipped("a failing disk under several processes: no C compiler");
                None
            }
        }
    }

    /// A process that has the directory open, and whose calls may fail.
    fn open(&self, dir: &Path, lock: &str) -> Other {
        // Without threads, so that the call that fails is one of a call of ours.
        let mut command = command("obey", dir, &[lock, "threads=off"]);
        command.env("LD_PRELOAD", &self.library).env("KLOG_TEST_FAILURE", &self.switch);
        let mut other = Other::begin(command);
        other.does("open");
        other
    }

    fn fail(&self, kind: &str) {
        std::fs::write(&self.switch, kind).unwrap();
    }
}

/// One call of one process fails, and after that the disk is as good as new.
#[test]
fn what_the_disk_told_one_process_every_process_is_told() {
    let root = tempfile::tempdir().unwrap();
    let Some(disk) = FailingDisk::new(root.path()) else { return };
    for (kind, lock) in
        [("f", "klog.lock=futex"), ("f", "klog.lock=ofd"), ("w", "klog.lock=futex"), ("w", "klog.lock=ofd")]
    {
        for victim in 0..3 {
            let dir = tempfile::tempdir().unwrap();
            let mut others: Vec<Other> = (0..3).map(|_| disk.open(dir.path(), lock)).collect();
            others[0].does("create failing 1 klog.durability=fsync");
            others[0].does("create sound 1 klog.durability=fsync");
            for (number, other) in others.iter_mut().enumerate() {
                assert_eq!(other.does(&format!("append failing 0 {number} 1")), number.to_string());
                assert_eq!(other.does(&format!("append sound 0 {number} 1")), number.to_string());
            }
            disk.fail(kind);
            let said = others[victim].ask("append failing 0 3 1");
            assert!(said.starts_with("KAFKA_STORAGE_ERROR "), "{kind}: {said}");
            assert!(!disk.switch.exists(), "{kind}: it failed once");
            for other in &mut others {
                let said = other.ask("append failing 0 4 1");
                assert!(
                    said.starts_with("KAFKA_STORAGE_ERROR ") && said.contains("closed for writing"),
                    "{kind}: {said}"
                );
                // What is durable can be read, and the other log is none the worse.
                assert_eq!(other.does("read failing 0"), "0:0 1 2");
                other.does("append sound 0 9 1");
            }
            // Whoever comes later is told as well, and the death of the one whom the disk told changes nothing.
            let mut late = disk.open(dir.path(), lock);
            others.remove(victim).kill();
            let said = late.ask("append failing 0 5 1");
            assert!(said.starts_with("KAFKA_STORAGE_ERROR "), "{kind}: {said}");
            others.push(late);
            // The end of each says that not all is well, or that it is.
            for other in &mut others {
                let said = other.ask("close");
                assert!(said == "ok" || said.starts_with("KAFKA_STORAGE_ERROR "), "{kind}: {said}");
            }
            let mut next = disk.open(dir.path(), lock);
            let found = next.does("read failing 0");
            // What was not acknowledged is there or not, and nothing else.
            assert!(["0:0 1 2", "0:0 1 2 3"].contains(&found.as_str()), "{kind}: {found}");
            let end = found.split(' ').count();
            assert_eq!(next.does("append failing 0 6 1"), end.to_string());
            assert_eq!(next.does("read failing 0"), format!("{found} 6"));
            assert_eq!(next.does("read sound 0"), "0:0 1 2 9 9 9");
            next.does("close");
        }
    }
}

/// The disk fails for a while, for all of them.
#[test]
fn when_the_disk_fails_nobody_acknowledges_what_is_not_there() {
    let root = tempfile::tempdir().unwrap();
    let Some(disk) = FailingDisk::new(root.path()) else { return };
    for kind in ["F", "W"] {
        let dir = tempfile::tempdir().unwrap();
        let mut acknowledged = Vec::new();
        for life in 0..3 {
            let mut others: Vec<Other> = (0..3).map(|_| disk.open(dir.path(), "klog.lock=futex")).collect();
            if life == 0 {
                others[0].does("create t 1 klog.durability=fsync");
            }
            for round in 0..4 {
                if round == 2 {
                    disk.fail(kind);
                }
                // All at once.
                let first = life * 100 + round * 10;
                others
                    .iter_mut()
                    .zip(first..)
                    .for_each(|(other, number)| other.tell(&format!("append t 0 {number} 1")));
                for (other, number) in others.iter_mut().zip(first..) {
                    let said = other.line().unwrap();
                    if round < 2 {
                        assert!(said.starts_with("ok "), "{kind}, life {life}: {said}");
                        acknowledged.push(number);
                    } else {
                        assert!(said.starts_with("KAFKA_STORAGE_ERROR "), "{kind}, life {life}: {said}");
                    }
                }
            }
            others.iter_mut().for_each(Other::kill);
            std::fs::remove_file(&disk.switch).unwrap();
            let mut reader = disk.open(dir.path(), "klog.lock=futex");
            let said = reader.does("read t 0");
            let found: Vec<i64> = said[2..].split(' ').map(|number| number.parse().unwrap()).collect();
            assert!(
                acknowledged.iter().all(|number| found.contains(number)),
                "{kind}: {acknowledged:?}, found {found:?}"
            );
            let mut once = found.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), found.len(), "{kind}: {found:?}");
            reader.does("close");
        }
    }
}
