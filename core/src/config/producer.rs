//! What a producer can be told.
//!
//! Source: Kafka documentation, "Producer Configs"; librdkafka's names where Kafka has none.

use super::topic::Durability;
use super::value::{GzipLevel, words};
use super::{OptionValue, options};
use crate::record::{Codec, Compression, Partitioner};

words! {
    /// When a record counts as acknowledged.
    pub enum Acks ("all, -1, 0, 1") {
        /// As soon as it is handed over; its offset is not known.
        None = "0",
        /// When the leader has written it.
        Leader = "1",
        /// When the high watermark has passed it.
        All = "all",
        /// Kafka's other name for all.
        MinusOne = "-1",
    }
}

impl OptionValue for Codec {
    const KIND: &'static str = "none, gzip, snappy, lz4, zstd";
    fn parse(text: &str) -> Result<Self, String> {
        Codec::by_name(text).ok_or(format!("one of {}", Self::KIND))
    }
    fn show(&self) -> Option<String> {
        Some(self.name().to_owned())
    }
}

const PARTITIONERS: [(&str, Partitioner); 7] = [
    ("murmur2_random", Partitioner::Murmur2Random),
    ("murmur2", Partitioner::Murmur2),
    ("consistent_random", Partitioner::ConsistentRandom),
    ("consistent", Partitioner::Consistent),
    ("fnv1a_random", Partitioner::Fnv1aRandom),
    ("fnv1a", Partitioner::Fnv1a),
    ("random", Partitioner::Random),
];

impl OptionValue for Partitioner {
    const KIND: &'static str = "murmur2_random, murmur2, consistent_random, consistent, fnv1a_random, fnv1a, random";
    fn parse(text: &str) -> Result<Self, String> {
        let found = PARTITIONERS.iter().find(|(name, _)| *name == text);
        found.map(|(_, partitioner)| *partitioner).ok_or(format!("one of {}", Self::KIND))
    }
    fn show(&self) -> Option<String> {
        PARTITIONERS.iter().find(|(_, partitioner)| partitioner == self).map(|(name, _)| (*name).to_owned())
    }
}

options! {
    /// Settings of a producer, by Kafka's names.
    pub struct ProducerConfig ("producer") {
        /// When a record counts as acknowledged.
        acks: Acks = Acks::All, "acks";
        /// Bytes at which a batch is written. Kafka's default is 16384; 64 KiB is what page caches take fastest, and a
        /// batch that somebody waits for is written at once, whatever its size.
        batch_size: i32 = 65_536, "batch.size", in 0..=i32::MAX;
        /// Bytes of records that may wait to be written before `send` writes what is queued.
        buffer_memory: i64 = 33_554_432, "buffer.memory", in 0..=i64::MAX;
        /// A name for messages.
        client_id: String = String::new(), "client.id";
        /// What batches are compressed with.
        compression_type: Codec = Codec::None, "compression.type";
        /// Level of gzip; −1 is zlib's own.
        compression_gzip_level: GzipLevel = GzipLevel::DEFAULT, "compression.gzip.level";
        /// Level of lz4. klog has one level.
        compression_lz4_level: i32 = 9, "compression.lz4.level", in 1..=17;
        /// Level of zstd.
        compression_zstd_level: i32 = 3, "compression.zstd.level", in -131_072..=22;
        /// Accepted for Kafka's sake, without effect: whoever waits for a delivery says for how long.
        delivery_timeout_ms: i32 = 120_000, "delivery.timeout.ms", in 0..=i32::MAX;
        /// Number batches, so that a retry cannot write one twice. Not yet in klog; Kafka's default is true, but an append
        /// in the same process has no lost answers to retry.
        enable_idempotence: bool = false, "enable.idempotence";
        /// `os` shortens the wait of acks=all to what the topic has written; `fsync` lengthens that of acks=1 until it is
        /// durable. Unset, the topic decides.
        klog_durability: Option<Durability> = None, "klog.durability";
        /// How long a batch may wait for more records, in ms. One that somebody waits for does not.
        linger_ms: i64 = 5, "linger.ms", in 0..=i64::MAX;
        /// Accepted for Kafka's sake, without effect: a `send` that finds no room writes what is queued itself.
        max_block_ms: i64 = 60_000, "max.block.ms", in 0..=i64::MAX;
        /// The largest record, in bytes.
        max_request_size: i32 = 1_048_576, "max.request.size", in 0..=i32::MAX;
        /// How records are placed by their key.
        partitioner: Partitioner = Partitioner::Murmur2Random, "partitioner";
        /// Place records as if they had no key.
        partitioner_ignore_keys: bool = false, "partitioner.ignore.keys";
        /// Makes the producer transactional. Not yet in klog.
        transactional_id: String = String::new(), "transactional.id";
        /// Accepted for Kafka's sake, without effect: there is no network between klog and its log.
        retries: i32 = i32::MAX, "retries", in 0..=i32::MAX;
        /// Accepted for Kafka's sake, without effect.
        request_timeout_ms: i32 = 30_000, "request.timeout.ms", in 0..=i32::MAX;
        /// Accepted for Kafka's sake, without effect.
        max_in_flight_requests_per_connection: i32 = 5, "max.in.flight.requests.per.connection", in 1..=i32::MAX;
    }
}

impl ProducerConfig {
    /// Codec and level of batches.
    pub fn compression(&self) -> Compression {
        let level = match self.compression_type {
            Codec::Gzip => self.compression_gzip_level.number(),
            Codec::Zstd => self.compression_zstd_level,
            Codec::None | Codec::Snappy | Codec::Lz4 => 0,
        };
        Compression { codec: self.compression_type, level }
    }
}
