//! Looking at any bytes as every kind of file.

#![no_main]

use std::path::Path;

use klog::TimestampMs;
use klog::inspect::{Content, dump, explain};
use klog::sys::{SimClock, SimDisk, Sys};
use klog::types::Offset;
use klog_fuzz::mutate_batches;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

const FILE: &str = "/file";

const CONTENTS: [Content; 12] = [
    Content::Batches { is_metadata: false },
    Content::Batches { is_metadata: true },
    Content::OffsetIndex { base: Offset::ZERO },
    Content::OffsetIndex { base: Offset(i64::MAX - 1) },
    Content::TimeIndex { base: Offset::ZERO },
    Content::TimeIndex { base: Offset(i64::MAX - 1) },
    Content::TransactionIndex,
    Content::Producers,
    Content::Offsets,
    Content::Epochs,
    Content::Properties,
    Content::Text,
];

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate_batches(data, size, max_size, seed)
});

fuzz_target!(|bytes: &[u8]| {
    let clock = SimClock::new(TimestampMs(0));
    let disk = SimDisk::new(clock.clone());
    disk.put(Path::new(FILE), bytes.to_vec());
    let before = disk.fingerprint();
    let sys = Sys::simulated(disk.clone(), clock, 1);
    for content in CONTENTS {
        every_byte_once(&sys, content, bytes);
        // What a file contains may be an error; that it is one is all that is known of it.
        let mut count = 0;
        let _ = dump(&sys, Path::new(FILE), content, &mut |_| {
            count += 1;
            Ok(())
        });
        assert!(count <= bytes.len(), "nothing takes less than a byte");
    }
    assert_eq!(disk.fingerprint(), before, "looking changes nothing");
});

/// The fields of a file are its bytes, one behind the other, with nothing left out and nothing twice.
fn every_byte_once(sys: &Sys, content: Content, bytes: &[u8]) {
    let mut at = 0;
    let result = explain(sys, Path::new(FILE), content, &mut |part| {
        let mut inside_at = part.fields.first().map_or(0, |field| field.at);
        for field in &part.fields {
            let expected = if part.inside.is_some() { &mut inside_at } else { &mut at };
            assert_eq!(field.at, *expected, "{} of {} in {content:?}", field.name, part.title);
            assert!(!field.bytes.is_empty(), "{} of {} in {content:?} has no bytes", field.name, part.title);
            if part.inside.is_none() {
                let from = field.at as usize;
                assert_eq!(bytes.get(from..from + field.bytes.len()), Some(&field.bytes[..]), "{content:?}");
            }
            *expected += field.bytes.len() as u64;
        }
        Ok(())
    });
    result.expect("the file can be read, and that is all it takes");
    assert_eq!(at as usize, bytes.len(), "{content:?}");
}
