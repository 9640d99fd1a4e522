//! The durability contract, clause by clause: before a power cut, after it, and after the death of the process.
//!
//! A power cut is every state that [`klog::sys::CrashModel`] says the disk may be left in, at every change of the disk: all of
//! them where they are few, and a sample whose seed is printed where they are many (`KLOG_TEST_SEED` replays one). The death of
//! a process leaves what was written, whether it was synced or not, and no lock.
//!
//! | clause | what it promises | test |
//! |---|---|---|
//! | row 1 | `acks=0`: handed to the library | `contract_row_01_what_is_handed_over_may_be_lost` |
//! | row 2 | `acks=1`: written, survives the process | `contract_row_02_what_is_written_survives_the_process` |
//! | row 3 | `acks=1`, fsync: survives a power cut | `contract_row_03_what_one_replica_flushed_survives_a_power_cut` |
//! | row 4 | `acks=all`, os: written on every replica | `contract_row_04_what_every_replica_has_written_survives_the_process` |
//! | row 5 | `acks=all`, fsync, the default: survives both | `contract_row_05_by_default_nothing_acknowledged_is_lost`, `contract_row_05_a_topic_made_by_sending_is_as_durable` |
//! | row 6 | os with `flush.ms`, `flush.messages` | `contract_row_06_at_most_the_interval_is_lost`, `contract_row_06_at_most_so_many_records_are_lost` |
//! | 1 | suffix rule | `contract_01_what_is_lost_is_a_suffix_of_whole_batches` |
//! | 2 | unacknowledged appends: whole batch or nothing, no repetition | `contract_02_an_unacknowledged_batch_is_there_whole_or_not_at_all`, `contract_02_a_repeated_batch_is_there_once` |
//! | 3 | visibility | `contract_03_what_was_seen_is_not_lost`, `contract_03_after_a_loss_the_leader_epoch_is_another`, `contract_03_a_reader_of_what_was_lost_is_told` |
//! | 4 | offsets and transactions | `contract_04_transactions_stay_decided_as_they_were`, `contract_04_what_is_not_there_yet_says_so` |
//! | 5 | disk error on write or flush | `contract_05_a_failed_flush_is_never_followed_by_success`, `contract_05_a_failed_call_is_told_with_its_cause` |
//! | 6 | damage | `contract_06_damage_is_reported_and_what_is_behind_it_is_served`, `contract_06_recovery_cuts_only_what_was_never_durable`, `contract_06_recovery_of_a_sound_log_cuts_nothing` |
//! | 7 | disk full | `contract_07_a_full_disk_refuses_and_changes_nothing`, `contract_07_a_full_disk_can_be_cleaned_up_and_closed` |
//! | 8 | replica loss | `contract_08_one_replica_is_all_there_is_and_is_said_to_be` |
//! | 9 | several processes | `contract_09_a_second_process_is_kept_out_by_name`, `contract_09_a_death_at_any_call_loses_nothing_acknowledged` |
//! | 10 | ordering | `contract_10_there_is_one_order_and_who_is_told_of_a_record_finds_it` |
//! | 11 | clock changes | `contract_11_clock_changes_touch_timestamps_only`, `contract_11_waits_do_not_go_by_the_wall_clock`, `contract_11_a_jump_of_the_clock_deletes_nothing`, `contract_11_time_that_goes_by_deletes_what_is_old` |
//! | 12 | foreign brokers | `contract_12_a_broker_and_klog_refuse_each_other`, `contract_12_a_broker_finds_nothing_but_its_own_after_a_cut`, `contract_12_the_mark_of_an_orderly_end_stands_beside_what_is_durable` |
//! | 13 | not promised | `contract_13_use_after_fork_is_an_error` |
//!
//! That these tests notice a build that breaks its promise is tested in `nets`.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "tests look from outside")]
#![allow(missing_docs, reason = "the name of a test says what it tests")]

mod lab;

mod brokers;
mod clocks;
mod company;
mod damage;
mod disk_errors;
mod forks;
mod losses;
mod nets;
mod rows;
mod transactions;
