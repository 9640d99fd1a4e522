//! Ids as text.

use klog::Uuid;

use crate::vectors::{hex_of, list};

#[test]
fn the_vectors_go_both_ways() {
    assert_eq!(list("uuid_text").len(), 2);
    for vector in list("uuid_text") {
        let id = Uuid(hex_of(&vector["hex"]).try_into().unwrap());
        let text = vector["text"].as_str().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(Uuid::parse(text), Some(id));
    }
}

#[test]
fn every_place_and_every_digit_goes_both_ways() {
    for place in 0..16 {
        for byte in 0..=255 {
            let mut bytes = [0; 16];
            bytes[place] = byte;
            let text = Uuid(bytes).to_string();
            assert_eq!(text.len(), 22);
            assert_eq!(Uuid::parse(&text), Some(Uuid(bytes)), "{text}");
        }
    }
}

#[test]
fn other_texts_are_no_ids() {
    let long = "A".repeat(23);
    let cases = [
        "",
        "A",
        "AAAAAAAAAAEAAAAAAAAAA",    // 21 characters
        "AAAAAAAAAAEAAAAAAAAAAgA",  // 23
        "AAAAAAAAAAEAAAAAAAAAAg==", // padding
        "AAAAAAAAAAEAAAAAAAAA+g",   // the other alphabet
        "AAAAAAAAAAEAAAAAAAAA/g",
        "AAAAAAAAAAEAAAAAAAAA g",
        "AAAAAAAAAAEAAAAAAAAAAh", // bits behind the sixteenth byte
        "ÄAAAAAAAAAEAAAAAAAAAA",  // 22 bytes, not 22 characters
        &long,
    ];
    for text in cases {
        assert_eq!(Uuid::parse(text), None, "{text}");
    }
}
