//! Waiting for data.

use std::sync::atomic::Ordering::SeqCst;

use super::world::Process;

impl Process {
    /// Waits until the watermark is at `offset`.
    pub fn wait_for_visible(&self, offset: i64) {
        let block = &self.world.block;
        let word = block.data_sequence();
        loop {
            let seen = word.load(SeqCst);
            if block.high_watermark().0 >= offset {
                return;
            }
            block.announce_reader();
            if word.load(SeqCst) == seen && block.high_watermark().0 < offset {
                self.sleep(word, seen);
            }
        }
    }

    /// Waits on the bell until `is_there`.
    pub fn wait_for_bell(&self, is_there: impl Fn() -> bool) {
        let bell = &self.world.bell;
        loop {
            let seen = bell.word().load(SeqCst);
            bell.announce_waiter();
            if is_there() {
                return;
            }
            self.sleep(bell.word(), seen);
        }
    }

    /// Wakes those who wait on the bell.
    pub fn ring(&self) {
        let bell = &self.world.bell;
        if bell.ring() {
            self.wake_all(bell.word());
        }
    }
}
