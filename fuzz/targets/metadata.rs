//! Records of the metadata log, and control records.

#![no_main]

use klog::controller::{Image, MetadataRecord};
use klog::record::{BatchHeader, ControlRecord, HEADER_BYTES, Records};
use klog_fuzz::mutate_batches;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate_batches(data, size, max_size, seed)
});

fuzz_target!(|bytes: &[u8]| {
    let mut image = Image::default();
    value(bytes, &mut image);
    control(bytes);
    let mut rest = bytes;
    while let Ok(header) = BatchHeader::check(rest) {
        let (batch, behind) = rest.split_at(header.size);
        rest = behind;
        if header.magic < 2 {
            continue;
        }
        for record in Records::new(&header, &batch[HEADER_BYTES..]).map_while(Result::ok) {
            value(record.value.unwrap_or_default(), &mut image);
            if let Ok(found) = ControlRecord::parse(record.key, record.value) {
                same_again(&found);
            }
        }
    }
    image.abort_pending();
    let mut found = image.clone();
    found.abort_pending();
    assert_eq!(found, image, "a transaction is left out once");
    found.adopt(&image);
    assert_eq!(found, image, "an image has nothing to learn from itself");
});

/// Reading, writing and reading again gives the same record; writing it once more the same bytes.
fn value(bytes: &[u8], image: &mut Image) {
    let Ok(record) = MetadataRecord::parse(bytes) else { return };
    let written = record.encode();
    if matches!(record, MetadataRecord::Other { .. }) {
        assert_eq!(written, bytes, "a record that klog does not model is kept as it came");
    }
    let again = MetadataRecord::parse(&written).expect("what klog writes can be read");
    assert_eq!(again, record);
    assert_eq!(again.encode(), written);
    image.apply(record);
}

/// The bytes as key and value of a control record.
fn control(bytes: &[u8]) {
    let (key, value) = bytes.split_at(bytes.len().min(4));
    if let Ok(record) = ControlRecord::parse(Some(key), Some(value)) {
        same_again(&record);
    }
}

fn same_again(record: &ControlRecord) {
    let (key, value) = record.encode();
    assert_eq!(ControlRecord::parse(Some(&key), Some(&value)).as_ref(), Ok(record));
}
