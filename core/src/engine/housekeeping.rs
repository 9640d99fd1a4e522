//! What one process does for all: it looks after what dead ones left, and whether the directory is still itself.
//!
//! Nothing here is needed for anything to be right. Whoever wants a lock of a dead process takes it, whoever waits for a
//! record flushes. But readers take no locks, and nobody may come to write for a long time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::cluster::Cluster;
use super::duties::{Duty, again};
use crate::config::Threads;
use crate::shm::{Block, Member, Role, SlotToken, State};
use crate::types::{Offset, TopicPartition};

/// How often dead processes are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How many of these looks there are to one at the directory's files, which takes more calls.
const LOOKS_PER_CHECK: u32 = 10;

impl Cluster {
    /// Has the housekeeping done, by this process or by another. Where nobody else can attach there is none.
    pub(super) fn begin_housekeeping(self: &Arc<Self>) {
        let is_shared = self.dir().member().is_some_and(|member| !member.control().mapping().is_private());
        if is_shared {
            let looks = AtomicU32::new(0);
            self.clock.after(LOOK_EVERY, Arc::new(Housekeeping { cluster: Arc::downgrade(self), looks }));
        }
    }

    /// Whether this process does the housekeeping; from now on, if nobody does. The kernel ends that with the process.
    pub(super) fn is_housekeeper(&self) -> bool {
        let Some(member) = self.dir().member() else { return false };
        if self.housekeeping.load(Ordering::Acquire) {
            return true;
        }
        let Some(role) = member.try_role(Role::Housekeeper) else { return false };
        std::mem::forget(role); // kept until this handle leaves
        member.control().set_housekeeper(member.token().word());
        self.housekeeping.store(true, Ordering::Release);
        true
    }

    /// Gives the housekeeping back where calls do the work: who knows when the next one comes.
    pub(super) fn end_turn(&self, member: &Member) {
        if self.config.threads == Threads::Off && self.housekeeping.swap(false, Ordering::AcqRel) {
            member.control().set_housekeeper(0);
            member.give_back(Role::Housekeeper);
        }
    }

    fn keep_house(self: &Arc<Self>, member: &Member) {
        if member.check().is_err() || !self.is_housekeeper() {
            return;
        }
        if member.control().is_writing() {
            self.plan_upkeep();
        }
        let dead = member.bury_dead();
        if self.buried.swap(dead, Ordering::AcqRel) != dead {
            self.looks_after.store(true, Ordering::Release); // an earlier one that is to come again is done with
            self.duties
                .after(Duration::ZERO, Arc::new(LookAfter { cluster: Arc::downgrade(self), left: Mutex::default() }));
        }
        self.end_turn(member);
    }

    /// Looks whether the directory's files are still those that were opened. Where they are not, nobody writes any more.
    fn check_files(&self, member: &Member) {
        let attachment = self.attachment.lock().unwrap_or_else(PoisonError::into_inner);
        if !attachment.as_ref().is_none_or(|attachment| attachment.is_current(&self.sys, self.path())) {
            member.control().set_foreign();
        }
    }

    /// What dead processes may have left to do, and how far each log went when that was looked at.
    fn left_behind(member: &Member) -> Vec<(Block, Offset)> {
        let blocks = member.control().blocks();
        let behind = blocks.into_iter().filter(|block| block.state() == State::Open && Self::is_behind(member, block));
        behind.map(|block| (block.clone(), block.log_end())).collect()
    }

    /// After somebody died: his locks are taken and given back, which recovers what he was at, and what he appended and did
    /// not flush, or did not show, is flushed and shown. Returns after how long that is to be tried again, if at all.
    fn look_after(self: &Arc<Self>, member: &Member, block: &Block, end: Offset) -> Option<Duration> {
        let is_done = !Self::is_orphaned(member, block) && block.flushed().min(block.high_watermark()) >= end;
        if block.state() != State::Open || is_done {
            return None;
        }
        let (id, number) = block.named();
        if let Some(controller) = self.controller().ok().filter(|controller| controller.log().block().named().0 == id) {
            return again(&controller.look_after());
        }
        let image = self.image();
        let name = image.name_of(id)?;
        // What cannot be recovered is closed for writing, and whoever writes there next is told why.
        let open = self.topic(name).and_then(|topic| topic.partition(self, number));
        let looked = open.and_then(|open| open.look_after());
        if let Err(error) = &looked
            && !error.may_pass()
        {
            let mut report = crate::log::Report::default();
            report.finding(TopicPartition::new(name, number).to_string(), error.message());
            self.tell(report);
        }
        again(&looked)
    }

    /// Whether a dead process may have left something to do at a block.
    fn is_behind(member: &Member, block: &Block) -> bool {
        Self::is_orphaned(member, block)
            || block.flushed() < block.log_end()
            || block.high_watermark() < block.log_end()
    }

    /// Whether a dead process has one of a block's locks.
    fn is_orphaned(member: &Member, block: &Block) -> bool {
        let is_orphan = |word: u32| SlotToken::of_word(word).is_some_and(|holder| member.is_dead(holder));
        is_orphan(block.holder()) || is_orphan(block.flusher())
    }
}

struct LookAfter {
    cluster: Weak<Cluster>,
    /// What could not be done yet; `None` before it was looked.
    left: Mutex<Option<Vec<(Block, Offset)>>>,
}

impl Duty for LookAfter {
    fn perform(&self) -> Option<Duration> {
        let cluster = self.cluster.upgrade()?;
        let member = cluster.dir().member()?;
        let mut place = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = place.is_none();
        if is_first {
            cluster.looks_after.store(false, Ordering::Release);
        } else if cluster.looks_after.load(Ordering::Acquire) {
            return None; // somebody else has died: all of it is looked at then
        }
        let left = place.get_or_insert_with(|| Cluster::left_behind(member));
        let mut again: Option<Duration> = None;
        left.retain(|(block, end)| match cluster.look_after(member, block, *end) {
            Some(after) => {
                again = Some(again.map_or(after, |again| again.max(after)));
                true
            }
            None => false,
        });
        if is_first {
            // One who died may have published something and told nobody.
            member.control().blocks().iter().for_each(|block| member.announce(block));
            cluster.ring();
        }
        again
    }
}

struct Housekeeping {
    cluster: Weak<Cluster>,
    looks: AtomicU32,
}

impl Duty for Housekeeping {
    fn perform(&self) -> Option<Duration> {
        let cluster = self.cluster.upgrade()?;
        let member = cluster.dir().member()?;
        if member.has_lost_descriptors() {
            member.abandon(); // before anything is done with what may be somebody else's file by now
        } else if self.looks.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOKS_PER_CHECK) {
            cluster.check_files(member);
        }
        cluster.keep_house(member);
        Some(LOOK_EVERY)
    }
}
