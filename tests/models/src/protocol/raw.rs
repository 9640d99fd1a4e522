//! The checker's atomics, each with a [`Watch`] on who looks.

use std::sync::atomic::Ordering;

use super::checker::{RawU32, RawU64, Watch, order};

macro_rules! watched {
    ($name:ident, $raw:ident, $number:ty) => {
        /// An atomic word, in the order that is asked for.
        #[derive(Debug, Default)]
        pub struct $name {
            word: $raw,
            watch: Watch,
        }

        impl $name {
            /// As in `std`.
            pub fn load(&self, at: Ordering) -> $number {
                self.watch.look();
                self.word.load(order(at))
            }

            /// As in `std`.
            pub fn store(&self, value: $number, at: Ordering) {
                self.watch.change();
                self.word.store(value, order(at));
            }

            /// As in `std`.
            pub fn swap(&self, value: $number, at: Ordering) -> $number {
                self.watch.change();
                self.word.swap(value, order(at))
            }

            /// As in `std`.
            ///
            /// # Errors
            /// As in `std`.
            pub fn compare_exchange(
                &self,
                current: $number,
                new: $number,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$number, $number> {
                self.watch.change();
                self.word.compare_exchange(current, new, order(success), order(failure))
            }

            /// As in `std`.
            pub fn fetch_add(&self, value: $number, at: Ordering) -> $number {
                self.watch.change();
                self.word.fetch_add(value, order(at))
            }

            /// As in `std`.
            pub fn fetch_max(&self, value: $number, at: Ordering) -> $number {
                self.watch.change();
                self.word.fetch_max(value, order(at))
            }

            /// As in `std`.
            pub fn fetch_min(&self, value: $number, at: Ordering) -> $number {
                self.watch.change();
                self.word.fetch_min(value, order(at))
            }
        }
    };
}

watched!(WatchedU32, RawU32, u32);
watched!(WatchedU64, RawU64, u64);
