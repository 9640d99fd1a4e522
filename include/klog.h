/*
 * klog.h - the C interface of klog, an embedded log engine in Kafka's format.
 *
 * RULES (they hold for every function; exceptions are stated where they occur)
 *
 *  1. Status. A function that can fail returns klog_status: KLOG_OK (0), or a
 *     negative KLOG_E_ code; a positive one would be a notice, and no error. Its
 *     last parameter is `klog_error **error`; it may be NULL. On entry *error is
 *     overwritten, never read: NULL on success, on failure an object that the
 *     caller frees. KLOG_E_TIMED_OUT of the call's own timeout_ms and
 *     KLOG_E_INTERRUPTED are ordinary life, say all there is to say, and leave it
 *     NULL. Any function may answer KLOG_E_INVALID for an argument, KLOG_E_CLOSED,
 *     KLOG_E_FORKED, KLOG_E_IO, KLOG_E_CORRUPT, KLOG_E_FULL or KLOG_E_PANIC; what
 *     else it may answer is said with it.
 *  2. Handles. X_open/X_new give one handle, X_free takes it back; X_free(NULL)
 *     does nothing. Handles keep what they need alive, so any order of frees is
 *     legal. X_close, where there is one, is the orderly stop that can report an
 *     error; it does not free. Nothing is ever freed with free().
 *  3. Borrowed memory. Every pointer that is returned other than a handle belongs
 *     to the object it was asked of, and lives as long as that object. Strings are
 *     UTF-8 and NUL-terminated; bytes are pointer and length, and NULL with length
 *     0 is legal. The library copies what it is given before a function returns.
 *  4. Time. timeout_ms: -1 waits without limit, 0 does not wait. It bounds the
 *     waiting for others; what the disk takes to answer comes on top. Waits for a
 *     lock of another process are bounded by "request.timeout.ms", not by
 *     timeout_ms, and then answer KLOG_E_TIMED_OUT; where a delivery waits for one,
 *     whichever is over first, and 50 ms for each thread that waits there. close
 *     and flush use timeout_ms for nothing yet. Timestamps are milliseconds since
 *     1970-01-01 UTC.
 *  5. Threads. klog_engine, klog_admin, klog_producer, klog_config: any thread, at
 *     once. klog_consumer: one thread at a time (else KLOG_E_BUSY, never undefined
 *     behaviour), but for klog_consumer_wakeup(). klog_batch, klog_rows,
 *     klog_error: read from any thread at once, freed by one. No callback is ever
 *     run on a thread of klog's.
 *  6. Processes. Any number of processes may have a directory open. After fork(),
 *     an engine on disk and a producer of the parent's reopen themselves in the
 *     child at the next call, without what was queued; a consumer, and everything
 *     of a ":memory:" engine, answers KLOG_E_FORKED, and from the eighth nested
 *     fork on everything does. X_free in the child touches no file of the parent's.
 *     Another process that has held a lock for longer than "request.timeout.ms"
 *     ends a call that wants it with KLOG_E_TIMED_OUT, and *error names it; nothing
 *     is taken from a process that lives.
 *  7. Durability. With "acks" all, the default, a record is acknowledged when its
 *     topic's "klog.durability" is kept: fsync, the default, when the disk has it,
 *     which survives a power cut; os, when the system has it, which survives the
 *     death of the process. Consumers see nothing earlier than that. "acks" 1 waits
 *     for the system only, and 0 for nothing. Changes of topics are durable when
 *     the call returns.
 */


#ifndef KLOG_H
#define KLOG_H

#include <stddef.h>
#include <stdint.h>

#define KLOG_VERSION "0.1.0"
#define KLOG_VERSION_NUMBER 100 /* major * 10000 + minor * 100 + patch */

#ifndef KLOG_API /* -DKLOG_API= for a bare header, as parsers of FFI tools want */
#define KLOG_API
#endif

/** Codes are never renumbered. Treat an unknown negative code as an error: s < 0
 *  is the test. */
typedef enum {
  /** Done. */
  KLOG_OK = 0,
  /** An argument is NULL, out of range, or not UTF-8. */
  KLOG_E_INVALID = -1,
  /** Unknown configuration key, or a bad value. */
  KLOG_E_CONFIG = -2,
  /** Not done within timeout_ms, or another process has held a lock for longer
   *  than "request.timeout.ms", and *error names it; nothing was undone. */
  KLOG_E_TIMED_OUT = -3,
  /** klog_consumer_wakeup() was called. */
  KLOG_E_INTERRUPTED = -5,
  /** One thread at a time, and another is inside. */
  KLOG_E_BUSY = -6,
  /** The handle, or its engine, was closed. */
  KLOG_E_CLOSED = -7,
  /** The handle belongs to the parent process. */
  KLOG_E_FORKED = -8,
  /** Somebody has the directory whom nobody can share it with; or this handle
   *  lost its place there. */
  KLOG_E_LOCKED = -9,
  /** The system refused; see klog_error_os_code(). */
  KLOG_E_IO = -10,
  /** A checksum or a structure on disk is wrong. */
  KLOG_E_CORRUPT = -11,
  /** No space is left, or a quota was reached. */
  KLOG_E_FULL = -12,
  /** The engine was opened for reading only. */
  KLOG_E_READ_ONLY = -13,
  /** klog cannot do this, or not yet. */
  KLOG_E_UNSUPPORTED = -14,
  /** There is no such topic, or no such partition of it. */
  KLOG_E_UNKNOWN_TOPIC = -20,
  /** The topic exists. */
  KLOG_E_TOPIC_EXISTS = -22,
  /** The offset is outside the log. */
  KLOG_E_OFFSET_OUT_OF_RANGE = -25,
  /** The record, or its batch, is larger than is allowed. */
  KLOG_E_MESSAGE_TOO_LARGE = -26,
  /** Too few replicas are in sync. */
  KLOG_E_NOT_ENOUGH_REPLICAS = -27,
  /** This broker does not lead the partition, or not any longer. */
  KLOG_E_NOT_LEADER = -28,
  /** The partition is not in the assignment. */
  KLOG_E_NOT_ASSIGNED = -29,
  /** Not allowed in the transaction's state. */
  KLOG_E_TXN_STATE = -40,
  /** A newer producer took the id. */
  KLOG_E_TXN_FENCED = -41,
  /** A bug in klog. The engine is closed, what was acknowledged is safe, and
   *  nobody has the directory to himself until the process ends. */
  KLOG_E_PANIC = -127,
} klog_status_code;

/** Offsets that are found by what they mean. */
typedef enum {
  /** The first one there is. */
  KLOG_EARLIEST = -2,
  /** The one after the last that is visible. */
  KLOG_LATEST = -1,
  /** That of the record with the greatest timestamp; klog_topic_offset_at()
   *  only. */
  KLOG_MAX_TIMESTAMP = -3,
} klog_special_offset;

/** What klog_message.flags may say. */
typedef enum {
  /** The field partition counts; else by key, and without one wherever the
   *  producer likes. */
  KLOG_SET_PARTITION = 1,
  /** The field timestamp counts; else now. */
  KLOG_SET_TIMESTAMP = 2,
} klog_message_flag;

/** Looks at topics and partitions, and changes them. */
typedef struct klog_admin klog_admin;

/** Records of one partition, and the memory that they are in. It outlives its
 *  consumer and its engine if need be. */
typedef struct klog_batch klog_batch;

/** Settings by name, Kafka's where Kafka has one: "acks", "retention.ms",
 *  "auto.offset.reset". One config may serve an engine, its topics, producers
 *  and consumers: each takes what is its own, copies it, and leaves the rest;
 *  the caller frees it. NULL is all defaults. For klog_engine_open() there are
 *  also "mode" (r, rw, or rwc, which makes the directory and is the default),
 *  "read.only" (true is mode r) and "assume.lost" (ids of brokers whose
 *  directories are gone for good, with commas between). What brokers say for all
 *  topics, "log.retention.ms" for example, is for klog_topic_configure() and
 *  klog_adopt(). */
typedef struct klog_config klog_config;

/** Reads the partitions that are assigned to it. */
typedef struct klog_consumer klog_consumer;

/** A directory of logs, open in this process: one broker's, as Apache Kafka
 *  keeps it. */
typedef struct klog_engine klog_engine;

/** What went wrong. Free it with klog_error_free(). */
typedef struct klog_error klog_error;

/** Sends records to topics. */
typedef struct klog_producer klog_producer;

/** A table of results: rows counted from 0, columns known by name. New columns
 *  may come with any version; none is ever removed or given another meaning. */
typedef struct klog_rows klog_rows;

/** Result of a call: one of klog_status_code. Always 32 bits. */
typedef int32_t klog_status;

/** A header of a record. A NULL value is a null value; an empty one has an
 *  address. */
typedef struct {
  /** Not NUL-terminated when it comes from a batch. */
  const char *name;
  /** NULL: a null value. */
  const uint8_t *value;
  /** On input, -1: name is NUL-terminated. */
  int32_t name_len;
  /** From a batch, -1 when value is NULL. */
  int32_t value_len;
} klog_header;

/** A record to send: the one struct that a caller fills in. Zero it, set size to
 *  sizeof(klog_message), then the fields. All messages of one call have the same
 *  size. Fields may be added at the end: a shorter struct is taken as if zeros
 *  followed, and a library that is older than its caller refuses a field that it
 *  does not know and that is not zero. */
typedef struct {
  /** sizeof(klog_message). */
  uint32_t size;
  /** Of klog_message_flag. */
  uint32_t flags;
  /** Must be there. */
  const char *topic;
  /** NULL: no key. */
  const uint8_t *key;
  /** NULL: no value, a tombstone. */
  const uint8_t *value;
  /** Bytes of key. */
  size_t key_len;
  /** Bytes of value. */
  size_t value_len;
  /** With KLOG_SET_TIMESTAMP. */
  int64_t timestamp;
  /** Comes back in klog_delivery; klog does not look at it. */
  uint64_t tag;
  /** In this order; a name may come again. */
  const klog_header *headers;
  /** How many headers. */
  uint32_t header_count;
  /** With KLOG_SET_PARTITION. */
  int32_t partition;
} klog_message;

/** What became of a message. Frozen: 32 bytes. */
typedef struct {
  /** The message's. */
  uint64_t tag;
  /** -1 on failure, and with acks=0. */
  int64_t offset;
  /** The record's: the log's own where the topic says so. -1 on failure. */
  int64_t timestamp;
  /** -1 on failure. */
  int32_t partition;
  /** KLOG_OK, or why not. */
  klog_status status;
} klog_delivery;

/** Receives a report; see klog_producer_dispatch(). */
typedef void (*klog_delivery_fn)(const klog_delivery *delivery, void *user_data);

/** A record, in place: key and value point into klog_batch_data(). Frozen: 48
 *  bytes. */
typedef struct {
  /** Its place in the partition. */
  int64_t offset;
  /** -1: none. */
  int64_t timestamp;
  /** NULL: no key. */
  const uint8_t *key;
  /** NULL: no value, a tombstone. */
  const uint8_t *value;
  /** -1 when key is NULL. */
  int32_t key_len;
  /** -1 when value is NULL. */
  int32_t value_len;
  /** For klog_batch_header(). */
  uint32_t header_count;
  /** 0 for now. */
  uint32_t flags;
} klog_record;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* -------------------------------------------------------------------- status */

/** The name of a status: "KLOG_E_TIMED_OUT". Static; never NULL. */
KLOG_API const char *klog_status_name(klog_status status);

/** What a status means in general: "timed out". Static; never NULL. */
KLOG_API const char *klog_status_message(klog_status status);

/* -------------------------------------------------------------------- errors */

/** The status that the call returned with it. KLOG_OK for NULL. */
KLOG_API klog_status klog_error_code(const klog_error *error);

/** One sentence for a person, naming the file, topic, key... concerned. "" for
 *  NULL. */
KLOG_API const char *klog_error_message(const klog_error *error);

/** errno of the system call that failed, or 0 where none did. */
KLOG_API int32_t klog_error_os_code(const klog_error *error);

/** The Kafka protocol's error code for it (3 for an unknown topic...), or -1
 *  where Kafka has none. */
KLOG_API int32_t klog_error_kafka_code(const klog_error *error);

/** 1 when the same call may succeed later, else 0. */
KLOG_API int32_t klog_error_is_retriable(const klog_error *error);

/** Free an error. NULL does nothing. */
KLOG_API void klog_error_free(klog_error *error);

/* --------------------------------------------------------------- the library */

/** The version of the library: "0.1.0". Compare with the header's KLOG_VERSION.
 *  Static. */
KLOG_API const char *klog_version(void);

/** The same as a number, major * 10000 + minor * 100 + patch: compare with the
 *  header's KLOG_VERSION_NUMBER. */
KLOG_API int32_t klog_version_number(void);

/** What this library was built from, for which machine, and how. Static. */
KLOG_API const char *klog_build_info(void);

/* ------------------------------------------------------------- configuration */

/** An empty config: all defaults. Free it with klog_config_free(). */
KLOG_API klog_config *klog_config_new(void);

/** Set a key. KLOG_E_CONFIG for an unknown key, which names the nearest known
 *  one, and for a bad value, which names the bounds; nothing changes then. A
 *  value of NULL takes the key back to its default, also in
 *  klog_topic_configure(). Keys that end in .ms are in ms, those that end in
 *  .bytes in bytes. */
KLOG_API klog_status klog_config_set(klog_config *config,
                                     const char *key,
                                     const char *value,
                                     klog_error **error);

/** The same for lines of key=value; # begins a comment line. All lines are
 *  taken, or none: KLOG_E_CONFIG names the line. */
KLOG_API klog_status klog_config_parse(klog_config *config,
                                       const char *text,
                                       klog_error **error);

/** What the key was set to; NULL when it is not set. Lives until the key is set
 *  again. */
KLOG_API const char *klog_config_get(const klog_config *config, const char *key);

/** Free a config. NULL does nothing. */
KLOG_API void klog_config_free(klog_config *config);

/* -------------------------------------------------------------------- engine */

/** dir is a path as the system takes it; ":memory:" is a directory that nobody
 *  else sees and that goes with its last handle. It is made if it is not there,
 *  unless "mode" says otherwise. After an unclean end it is recovered first; see
 *  klog_engine_report(). Of its options, "klog.exclusive" (false) takes the
 *  directory for this handle alone, as is done anyway where the file system is
 *  not one that processes can share; "klog.lock" (futex; ofd is slower) is how
 *  processes take turns, which whoever opens the directory first decides;
 *  "klog.lock.timeout.ms" (0) is how long to wait for a broker, or for whoever
 *  has the directory to himself; "request.timeout.ms" (30000) is how long a call
 *  waits for a lock that another process holds. Whoever is opening or closing
 *  the directory is waited for, 30 s at least. Free it with klog_engine_free().
 *  KLOG_E_LOCKED names the broker or the process that nobody can share the
 *  directory with, or, where somebody has been opening or closing it all that
 *  time, the process that opened it first; KLOG_E_IO when the system refuses, or
 *  when that is no directory of logs; KLOG_E_UNSUPPORTED for one that klog only
 *  reads. */
KLOG_API klog_status klog_engine_open(const char *dir,
                                      const klog_config *config,
                                      klog_engine **out,
                                      klog_error **error);

/** Write what producers hold, and make durable what anybody has appended to the
 *  partitions that this engine has open. Fails with the first error of any
 *  partition. */
KLOG_API klog_status klog_engine_flush(klog_engine *engine,
                                       klog_error **error);

/** What opening, recovering and reading found so far: ends that were cut off and
 *  where the bytes are now, damage, anything that did not agree. kind (cut,
 *  damage or finding), topic, partition, file, position, bytes, first_offset,
 *  next_offset, kept_in, message. position and bytes are in the file. No row is
 *  good news. Free it with klog_rows_free(). */
KLOG_API klog_status klog_engine_report(klog_engine *engine,
                                        klog_rows **out,
                                        klog_error **error);

/** Write what producers hold, make it durable, give the directory back, and say
 *  whether that worked. Handles that were opened on it stay valid to free, and
 *  answer KLOG_E_CLOSED. Fails with the first error of any partition, and is
 *  closed all the same; closing again is KLOG_OK. */
KLOG_API klog_status klog_engine_close(klog_engine *engine,
                                       int32_t timeout_ms,
                                       klog_error **error);

/** Without klog_engine_close() the engine is closed with the last of its
 *  handles, and nobody learns whether that worked. NULL does nothing. */
KLOG_API void klog_engine_free(klog_engine *engine);

/* ---------------------------------------------------------------------- rows */

/** How many rows. 0 for NULL. */
KLOG_API size_t klog_rows_len(const klog_rows *rows);

/** How many columns. 0 for NULL. */
KLOG_API size_t klog_rows_column_count(const klog_rows *rows);

/** The name of a column, counted from 0. NULL past the last. */
KLOG_API const char *klog_rows_column_name(const klog_rows *rows, size_t column);

/** 1 for a column of numbers, 0 for one of text and past the last. */
KLOG_API int32_t klog_rows_column_is_int(const klog_rows *rows, size_t column);

/** The text of a cell. NULL when the cell is null, not text, or out of range. */
KLOG_API const char *klog_rows_text(const klog_rows *rows,
                                    size_t row,
                                    const char *column);

/** The number of a cell. missing when the cell is null, not a number, or out of
 *  range. */
KLOG_API int64_t klog_rows_int(const klog_rows *rows,
                               size_t row,
                               const char *column,
                               int64_t missing);

/** Free a table. NULL does nothing. */
KLOG_API void klog_rows_free(klog_rows *rows);

/* ------------------------------------------------------------------ adoption */

/** Adopt a directory that klog did not make: what it lets go of is from then on
 *  what config says under "log.retention.ms", which must be set (-1 keeps
 *  everything), and "log.retention.bytes", where a topic does not say otherwise
 *  itself; one of the ZooKeeper era gets the metadata that it lacks, and can be
 *  written to. Durable on return. Nothing is deleted before the directory is
 *  opened for writing; adopting again changes the retention. The options of
 *  klog_engine_open() count too. *out, which may be NULL, is one row that says
 *  what was done: cluster_id, node_id, made_metadata, topics, partitions,
 *  left_alone. left_alone has the names, with commas between, of directories
 *  that hold no partition and stay as they are. *report, which may be NULL, is
 *  what was found on the way, as klog_engine_report() tells it. Free both with
 *  klog_rows_free(). KLOG_E_CONFIG when the retention is not given, and for a
 *  mode that only reads; KLOG_E_LOCKED while somebody has the directory whom
 *  nobody can share it with, or has one without metadata open;
 *  KLOG_E_UNSUPPORTED for one of several brokers, where partitions of a topic
 *  are missing, and for metadata of a newer Kafka than klog changes; KLOG_E_IO
 *  for one that holds no logs. Nothing is changed then. */
KLOG_API klog_status klog_adopt(const char *dir,
                                const klog_config *config,
                                klog_rows **out,
                                klog_rows **report,
                                klog_error **error);

/* --------------------------------------------------------------------- admin */

/** Open the verbs about topics and partitions. Free it with klog_admin_free(). */
KLOG_API klog_status klog_admin_open(klog_engine *engine,
                                     klog_admin **out,
                                     klog_error **error);

/** Free the handle; the engine stays open. NULL does nothing. */
KLOG_API void klog_admin_free(klog_admin *admin);

/* ----------------------------------------------------- topics and partitions */

/** Make a topic; it exists, durably, on return. partitions and
 *  replication_factor: 0 takes the engine's default. Of config, the options of
 *  topics count. KLOG_E_TOPIC_EXISTS; KLOG_E_INVALID for a name or a number that
 *  Kafka does not allow; KLOG_E_UNSUPPORTED for settings that klog does not have
 *  yet; KLOG_E_READ_ONLY. Nothing is changed then. */
KLOG_API klog_status klog_topic_create(klog_admin *admin,
                                       const char *topic,
                                       int32_t partitions,
                                       int32_t replication_factor,
                                       const klog_config *config,
                                       klog_error **error);

/** Give a topic more partitions, total in all; they are there, durably, on
 *  return, and producers use them from their next message on. Messages with a
 *  key go to other partitions than those with the same key before.
 *  KLOG_E_INVALID when total is not larger than what there is: partitions never
 *  become fewer; KLOG_E_UNKNOWN_TOPIC names the nearest topic; KLOG_E_READ_ONLY.
 *  Nothing is changed then. */
KLOG_API klog_status klog_topic_add_partitions(klog_admin *admin,
                                               const char *topic,
                                               int32_t total,
                                               klog_error **error);

/** Change options of a topic or, with a topic of NULL, what all brokers say for
 *  topics that say nothing themselves, by the names that brokers have for it
 *  ("log.retention.ms"). They are in force, durably, on return; others stay as
 *  they are. Every key of changes must be such an option; one that was set to
 *  NULL goes back to what holds without it. KLOG_E_UNKNOWN_TOPIC; KLOG_E_CONFIG
 *  for another key, and for one that is given when opening; KLOG_E_UNSUPPORTED;
 *  KLOG_E_READ_ONLY. Nothing is changed then. */
KLOG_API klog_status klog_topic_configure(klog_admin *admin,
                                          const char *topic,
                                          const klog_config *changes,
                                          klog_error **error);

/** Remove a topic with all its records; it is gone, durably, on return.
 *  KLOG_E_UNKNOWN_TOPIC names the nearest topic; KLOG_E_INVALID for one of
 *  Kafka's own; KLOG_E_READ_ONLY. */
KLOG_API klog_status klog_topic_delete(klog_admin *admin,
                                       const char *topic,
                                       klog_error **error);

/** All topics: topic, id, partitions, replication_factor, internal; by name.
 *  Free it with klog_rows_free(). */
KLOG_API klog_status klog_topic_list(klog_admin *admin,
                                     klog_rows **out,
                                     klog_error **error);

/** Every option of a topic or, with NULL, of the brokers, with the value that
 *  holds: key, value, source, read_only, type, bounds, doc; by key. A value is
 *  null where nothing is set. source is Kafka's word for where it comes from:
 *  DYNAMIC_TOPIC_CONFIG, DYNAMIC_BROKER_CONFIG, DYNAMIC_DEFAULT_BROKER_CONFIG
 *  (all brokers), STATIC_BROKER_CONFIG (given when opening) or DEFAULT_CONFIG;
 *  NOT_ADOPTED is klog's, for a directory that nothing is deleted from before
 *  klog_adopt(). read_only is 1 for what klog_topic_configure() cannot change.
 *  Free it with klog_rows_free(). KLOG_E_UNKNOWN_TOPIC names the nearest topic. */
KLOG_API klog_status klog_config_list(klog_admin *admin,
                                      const char *topic,
                                      klog_rows **out,
                                      klog_error **error);

/** The partitions of a topic or, with NULL, of all: topic, partition, leader,
 *  leader_epoch, replicas, isr, log_start_offset, last_stable_offset,
 *  high_watermark, log_end_offset, bytes, segments. Free it with
 *  klog_rows_free(). KLOG_E_UNKNOWN_TOPIC names the nearest topic. */
KLOG_API klog_status klog_partition_list(klog_admin *admin,
                                         const char *topic,
                                         klog_rows **out,
                                         klog_error **error);

/** The first offset whose record is not older than timestamp; with
 *  KLOG_EARLIEST, KLOG_LATEST or KLOG_MAX_TIMESTAMP, the first offset, the next
 *  one, or that of the greatest timestamp. *offset is -1 when there is none.
 *  KLOG_E_UNKNOWN_TOPIC. */
KLOG_API klog_status klog_topic_offset_at(klog_admin *admin,
                                          const char *topic,
                                          int32_t partition,
                                          int64_t timestamp,
                                          int64_t *offset,
                                          klog_error **error);

/** Delete the records of a partition before before_offset; -1 deletes all that
 *  are visible. *log_start_offset, which may be NULL, is where the log begins
 *  now, durably. KLOG_E_OFFSET_OUT_OF_RANGE above the high watermark;
 *  KLOG_E_UNKNOWN_TOPIC; KLOG_E_READ_ONLY. */
KLOG_API klog_status klog_topic_delete_records(klog_admin *admin,
                                               const char *topic,
                                               int32_t partition,
                                               int64_t before_offset,
                                               int64_t *log_start_offset,
                                               klog_error **error);

/* ------------------------------------------------------- what is on the disk */

/** The segments of a partition, in order: file, base_offset, next_offset, bytes,
 *  records, first_timestamp, last_timestamp, active, batches, damaged_bytes.
 *  file is the .log, from the log directory on; bytes are of it, and
 *  damaged_bytes those that are no batch; records counts those that control the
 *  log too; last_timestamp is the greatest, and both are -1 where there is none;
 *  active is 1 for the one that is appended to. Reads the header of every batch.
 *  Free it with klog_rows_free(). KLOG_E_UNKNOWN_TOPIC. */
KLOG_API klog_status klog_segment_list(klog_admin *admin,
                                       const char *topic,
                                       int32_t partition,
                                       klog_rows **out,
                                       klog_error **error);

/** The record batches of a partition, max_rows at most (SIZE_MAX for all), from
 *  the one that contains from_offset on, which may be KLOG_EARLIEST:
 *  base_offset, last_offset, position, bytes, records, codec, crc_ok,
 *  producer_id, producer_epoch, base_sequence, transactional, control,
 *  leader_epoch, max_timestamp, file, problem. position is in file, the .log,
 *  which is named from the log directory on; the numbers of a producer are -1
 *  where there is none. crc_ok is 0 when the checksum that is stored is not the
 *  one that is computed; problem says why the batch cannot be read, and is null
 *  when it can. Bytes that do not even begin like a batch have no row;
 *  klog_topic_verify() tells of them. Free it with klog_rows_free().
 *  KLOG_E_UNKNOWN_TOPIC; KLOG_E_OFFSET_OUT_OF_RANGE. */
KLOG_API klog_status klog_batch_list(klog_admin *admin,
                                     const char *topic,
                                     int32_t partition,
                                     int64_t from_offset,
                                     size_t max_rows,
                                     klog_rows **out,
                                     klog_error **error);

/** What the log directories hold, by their files: dir, topic, partition, bytes,
 *  log_bytes, segments, directory, total_bytes, usable_bytes. There is a row for
 *  each directory of a partition; topic and partition are null for one that
 *  waits for its removal or that a broker set aside, and directory is its name.
 *  bytes are of all its files, log_bytes of the .log files. total_bytes and
 *  usable_bytes are of the file system that dir is on, and the same in all its
 *  rows; one that holds no partition has one row, in which all else is null.
 *  Free it with klog_rows_free(). */
KLOG_API klog_status klog_log_dir_list(klog_admin *admin,
                                       klog_rows **out,
                                       klog_error **error);

/** Read everything and check everything: batches, indexes, in one topic or, with
 *  NULL, in all. The columns are those of klog_engine_report(); free them with
 *  klog_rows_free(). No row is good news. KLOG_E_UNKNOWN_TOPIC. */
KLOG_API klog_status klog_topic_verify(klog_admin *admin,
                                       const char *topic,
                                       klog_rows **out,
                                       klog_error **error);

/* -------------------------------------- who is attached, and what is counted */

/** The handles that have the directory open for writing, this one too if it may
 *  write: slot, generation, pid, pid_namespace, program, since, dead, holds. A
 *  process has one for each engine that it opened. slot is its place in the
 *  table, generation which of those who had that place it is; pid means
 *  something in the namespace pid_namespace, an inode; program is cut to 32
 *  bytes; since is in ms since 1970. dead is 1 for one that died and that nobody
 *  has missed yet. holds says what it holds, with commas between: housekeeping,
 *  metadata, lock or flush and a partition; null for nothing. A look, which
 *  takes no lock, and is old when it returns. Free it with klog_rows_free(). */
KLOG_API klog_status klog_engine_attached(klog_engine *engine,
                                          klog_rows **out,
                                          klog_error **error);

/** What is counted in the directory since the first of those who have it open
 *  opened it: name, labels, kind, value, topic, partition, help. A name that
 *  ends with _ms or _ns is of a time in that unit. kind is counter for what only
 *  grows, and gauge for what goes up and down; labels are those of the
 *  Prometheus text format, topic="orders",partition="0"; labels, topic and
 *  partition are null for what is of the whole directory; help is a sentence.
 *  The rows of one name stand together. Free it with klog_rows_free(). */
KLOG_API klog_status klog_engine_metrics(klog_engine *engine,
                                         klog_rows **out,
                                         klog_error **error);

/* ------------------------------------------------------------------ producer */

/** Open a producer with what config says: "acks", "linger.ms" (ms), "batch.size"
 *  (bytes), "compression.type"... Free it with klog_producer_free().
 *  KLOG_E_READ_ONLY on an engine that only reads; KLOG_E_UNSUPPORTED for what
 *  klog does not have yet, such as "transactional.id". */
KLOG_API klog_status klog_producer_open(klog_engine *engine,
                                        const klog_config *config,
                                        klog_producer **out,
                                        klog_error **error);

/** Queue count messages, copied, in order, and return at once, or when a batch
 *  that they fill is written. They are delivered whether anybody asks or not;
 *  klog_producer_poll() tells what became of each. *accepted, which may be NULL,
 *  is how many were taken: on an error, those before the one that was refused. A
 *  message is refused with KLOG_E_UNKNOWN_TOPIC, KLOG_E_MESSAGE_TOO_LARGE above
 *  "max.request.size", or KLOG_E_INVALID. */
KLOG_API klog_status klog_producer_send(klog_producer *producer,
                                        const klog_message *messages,
                                        size_t count,
                                        size_t *accepted,
                                        klog_error **error);

/** Send count messages, in order, and return once they are as acknowledged as
 *  "acks" asks (rule 7). deliveries, of count entries, may be NULL. On an error
 *  it is the first one's, those before it were appended, and deliveries says
 *  what became of each; those behind a message that was refused were not sent
 *  and have its status. After KLOG_E_TIMED_OUT they may still be appended. */
KLOG_API klog_status klog_producer_send_wait(klog_producer *producer,
                                             const klog_message *messages,
                                             size_t count,
                                             int32_t timeout_ms,
                                             klog_delivery *deliveries,
                                             klog_error **error);

/** Take up to capacity reports of messages that klog_producer_send() queued, in
 *  the order of sending, waiting for the first. *count is how many; none in time
 *  is KLOG_OK and 0. KLOG_E_TIMED_OUT names who keeps the first from being
 *  acknowledged (rule 6); its report is still to come. A report that nobody
 *  takes costs little and holds nothing up; of more than a million the oldest
 *  are dropped. A closed producer gives the reports that are left, then
 *  KLOG_E_CLOSED. */
KLOG_API klog_status klog_producer_poll(klog_producer *producer,
                                        int32_t timeout_ms,
                                        klog_delivery *out,
                                        size_t capacity,
                                        size_t *count,
                                        klog_error **error);

/** The same as a callback, which is run on the calling thread, inside the call,
 *  once for each report that is there. It may call klog, and must return: it may
 *  neither throw nor longjmp(). */
KLOG_API klog_status klog_producer_dispatch(klog_producer *producer,
                                            int32_t timeout_ms,
                                            klog_delivery_fn callback,
                                            void *user_data,
                                            klog_error **error);

/** Write everything that is queued, and wait until it is as acknowledged as
 *  "acks" asks (rule 7). Fails with the first failure of a message that no
 *  report has told of yet. */
KLOG_API klog_status klog_producer_flush(klog_producer *producer,
                                         int32_t timeout_ms,
                                         klog_error **error);

/** Flush, and take no more messages. Reports that are left can still be taken.
 *  Fails as klog_producer_flush() does, and is closed all the same; closing
 *  again is KLOG_OK. */
KLOG_API klog_status klog_producer_close(klog_producer *producer,
                                         int32_t timeout_ms,
                                         klog_error **error);

/** What is queued is written all the same, in the process that queued it. NULL
 *  does nothing. */
KLOG_API void klog_producer_free(klog_producer *producer);

/* ------------------------------------------------------------------ consumer */

/** Open a consumer with what config says: "auto.offset.reset",
 *  "isolation.level", "max.poll.records"... It has no partitions yet. Free it
 *  with klog_consumer_free(). KLOG_E_UNSUPPORTED for what klog does not have
 *  yet, such as "group.id". */
KLOG_API klog_status klog_consumer_open(klog_engine *engine,
                                        const klog_config *config,
                                        klog_consumer **out,
                                        klog_error **error);

/** Add one partition, to be read from an offset, KLOG_EARLIEST or KLOG_LATEST.
 *  One that is there already is moved to it. KLOG_E_UNKNOWN_TOPIC;
 *  KLOG_E_INVALID for any other negative offset. An offset that is outside the
 *  log shows in the first poll, as "auto.offset.reset" says. */
KLOG_API klog_status klog_consumer_assign(klog_consumer *consumer,
                                          const char *topic,
                                          int32_t partition,
                                          int64_t offset,
                                          klog_error **error);

/** Add all partitions of a topic, in the same way, and those that it is given
 *  later, which are read from their first record. */
KLOG_API klog_status klog_consumer_assign_topic(klog_consumer *consumer,
                                                const char *topic,
                                                int64_t offset,
                                                klog_error **error);

/** Drop every partition. */
KLOG_API klog_status klog_consumer_unassign(klog_consumer *consumer,
                                            klog_error **error);

/** The partitions that are assigned: topic, partition, position; in the order of
 *  assigning. Free it with klog_rows_free(). */
KLOG_API klog_status klog_consumer_assignment(klog_consumer *consumer,
                                              klog_rows **out,
                                              klog_error **error);

/** The next records of one partition, waiting up to timeout_ms for the first.
 *  max_records 0 is "max.poll.records". Nothing in time is KLOG_OK and *out
 *  NULL; an engine that only reads is not woken, and looks again every 20 to 50
 *  ms. Free the batch with klog_batch_free(). KLOG_E_INTERRUPTED after
 *  klog_consumer_wakeup(). KLOG_E_CORRUPT is damage at the position, which
 *  stays; see klog_consumer_seek_past(). KLOG_E_OFFSET_OUT_OF_RANGE when the
 *  position is outside the log and "auto.offset.reset" is none.
 *  KLOG_E_TIMED_OUT, whatever timeout_ms is, when another process has been
 *  flushing for longer than "request.timeout.ms" what has to be durable before
 *  it is shown, or keeps the lock of a partition that is opened. */
KLOG_API klog_status klog_consumer_poll(klog_consumer *consumer,
                                        int32_t timeout_ms,
                                        size_t max_records,
                                        klog_batch **out,
                                        klog_error **error);

/** From any thread, or a signal handler: the poll that runs, or else the next
 *  one, is KLOG_E_INTERRUPTED. NULL does nothing. */
KLOG_API void klog_consumer_wakeup(klog_consumer *consumer);

/** Go on elsewhere in a partition that is assigned: at an offset, KLOG_EARLIEST
 *  or KLOG_LATEST. KLOG_E_NOT_ASSIGNED; KLOG_E_INVALID for any other negative
 *  offset. */
KLOG_API klog_status klog_consumer_seek(klog_consumer *consumer,
                                        const char *topic,
                                        int32_t partition,
                                        int64_t offset,
                                        klog_error **error);

/** Go on behind the damage that a poll answered with damage. KLOG_E_INVALID when
 *  that is no error of damage in a partition that is assigned. */
KLOG_API klog_status klog_consumer_seek_past(klog_consumer *consumer,
                                             const klog_error *damage,
                                             klog_error **error);

/** Leave a partition out of polls, or with paused 0 take it in again.
 *  KLOG_E_NOT_ASSIGNED. */
KLOG_API klog_status klog_consumer_pause(klog_consumer *consumer,
                                         const char *topic,
                                         int32_t partition,
                                         int32_t paused,
                                         klog_error **error);

/** The offset that is read next in a partition that is assigned.
 *  KLOG_E_NOT_ASSIGNED. */
KLOG_API klog_status klog_consumer_position(klog_consumer *consumer,
                                            const char *topic,
                                            int32_t partition,
                                            int64_t *offset,
                                            klog_error **error);

/** Read every partition that is assigned only up to what is visible now: behind
 *  that, polls return at once without records, and klog_consumer_is_finished()
 *  says so. */
KLOG_API klog_status klog_consumer_read_until_now(klog_consumer *consumer,
                                                  klog_error **error);

/** *finished is 1 when every partition was read up to where
 *  klog_consumer_read_until_now() ends it. */
KLOG_API klog_status klog_consumer_is_finished(klog_consumer *consumer,
                                               int32_t *finished,
                                               klog_error **error);

/** End reading, and answer KLOG_E_CLOSED from now on. Batches stay valid;
 *  closing again is KLOG_OK. */
KLOG_API klog_status klog_consumer_close(klog_consumer *consumer,
                                         int32_t timeout_ms,
                                         klog_error **error);

/** Free a consumer; batches stay valid. NULL does nothing. */
KLOG_API void klog_consumer_free(klog_consumer *consumer);

/* --------------------------------------------------------------------- batch */

/** The topic of the records. "" for NULL. */
KLOG_API const char *klog_batch_topic(const klog_batch *batch);

/** The partition of the records. -1 for NULL. */
KLOG_API int32_t klog_batch_partition(const klog_batch *batch);

/** Where the consumer goes on: behind the last record, and behind what is not
 *  for its readers. -1 for NULL. */
KLOG_API int64_t klog_batch_next_offset(const klog_batch *batch);

/** The partition's high watermark when the batch was read. -1 for NULL. */
KLOG_API int64_t klog_batch_high_watermark(const klog_batch *batch);

/** How many records. 0 for NULL, so that a loop over nothing needs no question. */
KLOG_API size_t klog_batch_len(const klog_batch *batch);

/** klog_batch_len() records in a row, in offset order. NULL for NULL. */
KLOG_API const klog_record *klog_batch_records(const klog_batch *batch);

/** The one range of memory that every key, value and header of the batch is in.
 *  len may be NULL. */
KLOG_API const uint8_t *klog_batch_data(const klog_batch *batch,
                                        size_t *len);

/** Fill *out with a header of a record, both counted from 0. Past the last
 *  header, and past the last record, it is KLOG_E_INVALID. Name and value are in
 *  klog_batch_data(). */
KLOG_API klog_status klog_batch_header(const klog_batch *batch,
                                       size_t record,
                                       size_t header,
                                       klog_header *out);

/** Free a batch and its memory. NULL does nothing. */
KLOG_API void klog_batch_free(klog_batch *batch);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* KLOG_H */
