//! The example of the README.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use klog::{Engine, Start};
use std::time::Duration;

fn main() -> klog::Result<()> {
    let engine = Engine::open("data")?;
    engine.producer()?.send("greetings", Some(b"rs"), Some(b"hello from Rust"))?.result()?; // on the disk

    let mut consumer = engine.consumer()?;
    consumer.assign_topics(&["greetings"], Start::Earliest)?;
    for record in &consumer.poll(Duration::from_secs(1))? {
        println!("{} {:?} {:?}", record.offset(), record.key(), record.value());
    }
    engine.close()
}
