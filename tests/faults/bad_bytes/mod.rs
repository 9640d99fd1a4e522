//! Every byte of every file goes bad: each bit flipped, each length cut to, each sector zeroed.
//!
//! Nothing panics and nothing hangs. Records whose batches were not touched are shown as they were; the damaged file is named
//! wherever a rule of its format shows the damage; no batch that was whole goes away; and what opened takes appends. Where
//! Kafka's format has no checksum, less can be known, and this is what holds then:
//!
//! * the base offset of a batch: where no neighbour contradicts a wrong one it is believed, and the records of that batch
//!   alone are shown at other offsets; its leader epoch is believed;
//! * `log-start-offset-checkpoint`: a wrong number that is one hides records below it, or shows deleted ones again; the
//!   batches stay in files. The numbers of the other checkpoints change nothing that is shown;
//! * `meta.properties` and the metadata log: a writer may be refused, and told why; a reader gets at everything, after an
//!   unclean end up to the high watermark that the checkpoint has;
//! * indexes are doubted when they lead nowhere, and are named only then; `.txnindex` says which transactions were given up,
//!   which readers of committed records believe as long as its entries are in order;
//! * `.klog.lck` and the mark of a clean end are not read.

mod look;
mod specimen;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use klog::Mode;
use klog::sys::SECTOR_BYTES;
use klog_tests::in_parallel;

use look::{Harm, look};
use specimen::{Specimen, build};

fn flips(file: &Path, content: &[u8]) -> Vec<Harm> {
    let flip = |bit: usize| {
        let mut content = content.to_vec();
        content[bit / 8] ^= 1 << (bit % 8);
        let what = format!("bit {} of byte {} flipped", bit % 8, bit / 8);
        Harm { file: file.to_path_buf(), what, range: bit / 8..bit / 8 + 1, content }
    };
    (0..content.len() * 8).map(flip).collect()
}

fn truncations(file: &Path, content: &[u8]) -> Vec<Harm> {
    let cut = |len: usize| {
        let (what, range) = (format!("cut to {len} bytes"), len..content.len());
        Harm { file: file.to_path_buf(), what, range, content: content[..len].to_vec() }
    };
    (0..content.len()).map(cut).collect()
}

fn zeroed_sectors(file: &Path, content: &[u8]) -> Vec<Harm> {
    let zero = |from: usize| {
        let to = (from + SECTOR_BYTES).min(content.len());
        let mut content = content.to_vec();
        content[from..to].fill(0);
        let (what, range) = (format!("sector at {from} zeroed"), from..to);
        Harm { file: file.to_path_buf(), what, range, content }
    };
    (0..content.len()).step_by(SECTOR_BYTES).map(zero).collect()
}

/// Does every harm of a kind to every file, of a directory that was closed in order and of one that was not, for a reader and
/// for a writer; prints how many there were of each file, and how many were named.
fn everywhere(what: &str, harms: impl Fn(&Path, &[u8]) -> Vec<Harm>) {
    let counts: Mutex<BTreeMap<String, (u64, u64)>> = Mutex::default();
    for is_clean in [true, false] {
        let specimen: Specimen = build(is_clean);
        let all: Vec<Harm> = specimen.files.iter().flat_map(|file| harms(file, &specimen.content(file))).collect();
        in_parallel(0..=all.len() as u64 - 1, |index| {
            let harm = &all[index as usize];
            for mode in [Mode::ReadOnly, Mode::ReadWrite] {
                let named = look(&specimen, harm, mode);
                let file = harm.file.strip_prefix(crate::workload::DIR).unwrap().to_string_lossy().into_owned();
                let mut counts = counts.lock().unwrap();
                let count = counts.entry(file).or_default();
                *count = (count.0 + 1, count.1 + u64::from(named));
            }
        });
    }
    let counts = counts.into_inner().unwrap();
    let (cases, named) = counts.values().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    println!("{what}: {cases} cases in {} files, the file was named in {named}", counts.len());
    for (file, (cases, named)) in counts {
        println!("    {file}: {cases} cases, named in {named}");
    }
}

#[test]
fn a_flipped_bit_anywhere_hides_no_other_record() {
    everywhere("flipped bits", flips);
}

#[test]
fn a_file_cut_at_any_length_hides_no_other_record() {
    everywhere("lengths", truncations);
}

#[test]
fn a_zeroed_sector_anywhere_hides_no_other_record() {
    everywhere("zeroed sectors", zeroed_sectors);
}
