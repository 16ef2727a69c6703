//! Every bound of the exchange, with its unit and its reason. Relations between bounds are checked
//! when this file is compiled.

/// Bytes of an entry's header. Headers hold identifiers and digests only; 29 blob commitments fit.
pub const HEADER_BYTES_MAX: usize = 2 * 1024;
/// Bytes of an entry's body, its 16 random bytes included. Larger things are blobs.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Random bytes in front of every payload, so that a digest of a short payload cannot be guessed.
pub const BODY_SALT_BYTES: usize = 16;
/// Characters of a kind's name.
pub const KIND_BYTES_MAX: usize = 32;
/// Blob commitments one entry may carry.
pub const BLOBS_PER_ENTRY_MAX: usize = 29;

/// Entries of one batch: one commit, one checkpoint.
pub const BATCH_ENTRIES_MAX: usize = 4096;
/// Header and body bytes of one batch. Below tonic's default 4 MiB message limit.
pub const BATCH_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Batches a node sends before the first is answered.
pub const BATCHES_IN_FLIGHT_MAX: usize = 8;
/// Bytes of one frame on the wire, set as tonic's decode limit.
pub const FRAME_BYTES_MAX: usize = BATCH_BYTES_MAX + BATCH_ENTRIES_MAX * 16 + NOTE_BYTES_MAX + 64 * 1024;

/// Bytes of a checkpoint note with both signatures.
pub const NOTE_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a DSSE envelope: a standard with its form and steps is some tens of KiB.
pub const ENVELOPE_BYTES_MAX: usize = 512 * 1024;

/// Commands that wait for the committer in each of its two queues; submissions beyond it are refused with a
/// hint to retry, links wait.
pub const COMMITTER_QUEUE_MAX: usize = 4096;
/// Microseconds that one commit judges while more waits, or until the one before is on the disk when one
/// channel is at work alone: long enough to be worth a sync and a signature, short enough that both nodes
/// work at once.
pub const COMMIT_JUDGING_MICROS: u64 = 1_500;
/// Entries that wait for one channel and are no flood yet: judging them takes about a millisecond.
pub const LONE_WEIGHT_MAX: u64 = 64;
/// Milliseconds for which a channel counts as being at work after a commit that touched it.
pub const COMPANY_MILLIS: u64 = 1_000;
/// Entries that a link sends in one batch: the receiver judges them in one go, and others wait meanwhile.
pub const DELIVER_ENTRIES_MAX: usize = 512;
/// Receipts and own readers' cursors that wait in memory for the next commit: each is below 1 KiB.
pub const FACTS_HELD_MAX: usize = 256;
/// Commands that one commit takes.
pub const COMMIT_COMMANDS_MAX: usize = 1024;
/// Submissions in one batch of a local stream: they share one answer of the committer.
pub const SUBMIT_BATCH_MAX: usize = 1024;
/// Batches of one local stream that wait for their answer; its sender waits then.
pub const SUBMIT_BATCHES_IN_FLIGHT_MAX: usize = 64;
/// Drafts that one channel holds before contact.
pub const STAGED_DRAFTS_MAX: usize = 100_000;
/// Payload bytes of the drafts that one channel holds before contact, unless configured. They are in
/// memory as well as on disk.
pub const STAGED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Payload bytes of the drafts of all channels together: with 400 partners down at once a node still fits
/// its machine.
pub const STAGED_TOTAL_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Payload bytes of submissions that wait for their commit. Beyond it they are refused with a hint.
pub const SUBMITTING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Submissions that wait for their commit: some commits, and a fraction of a second. More would only wait
/// longer.
pub const SUBMITTING_ENTRIES_MAX: usize = 4096;
/// Entries that wait for the receipt of a partner that takes them, beyond which submissions keep its pace:
/// twice what its credit lets through at once, so that it never waits for them.
pub const ONWARD_ENTRIES_MAX: u64 = 2 * (BATCHES_IN_FLIGHT_MAX * DELIVER_ENTRIES_MAX) as u64;
/// Milliseconds that a batch of a stream waits for room before it is refused: its sender writes no more
/// meanwhile, which costs nothing, while to refuse and to be asked again costs both sides.
pub const SUBMIT_PATIENCE_MILLIS: u64 = 50;

/// Free bytes on the disk below which nothing new is taken, unless configured: a new segment, what is on
/// its way, and days of receipts and cursors.
pub const DISK_LOW_BYTES: u64 = 512 * 1024 * 1024;
/// The least that may be configured: the next segment and one commit.
pub const DISK_LOW_BYTES_MIN: u64 = SEGMENT_BYTES + COMMIT_BYTES_MAX as u64;
/// Milliseconds between looks at a disk that has room; each commit looks besides.
pub const DISK_LOOK_MILLIS: u64 = 5_000;
/// Milliseconds between looks at a disk that is low: space that was freed is found within them.
pub const DISK_LOOK_LOW_MILLIS: u64 = 500;

/// Entries a second that one partner may send, unless configured: far above what one city has to say.
pub const PEER_ENTRIES_PER_S: u64 = 100_000;
/// Bytes a second that one partner may send, unless configured: two gigabit links.
pub const PEER_BYTES_PER_S: u64 = 256 * 1024 * 1024;
/// Submissions a second of one submitter, unless configured.
pub const SUBMITTER_ENTRIES_PER_S: u64 = 100_000;
/// Payload bytes a second of one submitter, unless configured.
pub const SUBMITTER_BYTES_PER_S: u64 = 256 * 1024 * 1024;
/// Submitters that have a quota of their own; more share one.
pub const SUBMITTERS_MAX: usize = 1024;
/// Header and body bytes of batches that all links together hold back (quota, low disk, recovery). A
/// link that would hold more closes, and its peer sends again.
pub const INTAKE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Milliseconds after which to try again when a queue is full: some commits later.
pub const RETRY_QUEUE_MILLIS: u64 = 200;
/// Milliseconds of the longest time that somebody refused in a flood is told to wait: beyond it nobody
/// knows how fast the node will be.
pub const RETRY_LINE_MILLIS_MAX: u64 = 30_000;
/// Milliseconds after which to try again when the disk is low or a partner has long been away.
pub const RETRY_SPACE_MILLIS: u64 = 5_000;

/// Milliseconds without a receipt after which a message counts as overdue, unless configured: a partner
/// that restarts or is cut off for lunch is no matter for people.
pub const OVERDUE_MILLIS: u64 = 60 * 60 * 1000;
/// Dead letters of one page: each may need a read of the journal.
pub const LETTERS_PAGE_MAX: usize = 500;
/// Rows and entries that one page looks at, letters or not, so that a page is bounded whatever it finds.
pub const LETTERS_SCAN_MAX: usize = 4_000;

/// Bytes of one journal segment.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of one journal frame: a commit of one full batch each way and its facts.
pub const COMMIT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Journal bytes that a start may replay because the index did not have them yet.
pub const REPLAY_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Milliseconds that a checkpoint's time may lie ahead of the receiver's clock at first receipt.
pub const CLOCK_SKEW_MILLIS_MAX: u64 = 5 * 60 * 1000;
/// Statements of one copy that are remembered. Links to one peer stand one at a time, and for a moment two;
/// a link that so many later ones have followed is fenced in any case.
pub const STATEMENTS_KEPT_MAX: usize = 8;
/// Milliseconds for a TLS handshake that this node dials, connecting included.
pub const HANDSHAKE_MILLIS_MAX: u64 = 10_000;
/// Milliseconds for a TLS handshake of somebody who dials this node: two round trips, and a segment that is lost
/// once and sent again.
pub const HANDSHAKE_ACCEPTED_MILLIS_MAX: u64 = 4_000;
/// Milliseconds for the peer's Open after the stream stands.
pub const OPEN_MILLIS_MAX: u64 = 10_000;
/// Milliseconds that a rotation of the own signing key waits for the partners' receipts of the new certificate.
pub const ANNOUNCE_MILLIS_MAX: u64 = 5_000;
/// Milliseconds between looks at the trust folder. Well below the second that invariant 5 gives.
pub const TRUST_POLL_MILLIS: u64 = 300;
/// Connections that are in their TLS handshake at once. When all places are taken, the oldest of the address that
/// holds the most gives way.
pub const HANDSHAKES_MAX: usize = 256;
/// Of these, connections of one address: all partners may dial at once from behind one.
pub const HANDSHAKES_PER_ADDRESS_MAX: usize = 128;
/// Milliseconds of the first pause before a peer is dialled again.
pub const REDIAL_MILLIS_MIN: u64 = 100;
/// Milliseconds of the longest pause: a peer that is back is tried within them.
pub const REDIAL_MILLIS_MAX: u64 = 5_000;
/// Failures in a row after which the circuit to a peer opens: with the pauses before it, some seconds.
pub const CIRCUIT_FAILURES_MAX: u32 = 5;
/// Milliseconds that a link must have stood for its end to be no failure of the way to the peer.
pub const LINK_STOOD_MILLIS: u64 = 10_000;

/// Answers that one link prepares at once: recoveries and totals, each of which reads a log.
pub const LINK_TASKS_MAX: usize = 8;
/// Certificates in one chain that a peer shows.
pub const CHAIN_CERTIFICATES_MAX: usize = 5;
/// Older signing chains in one Open.
pub const OLDER_CHAINS_MAX: usize = 8;

/// Facts that one case may gather.
pub const CASE_FACTS_MAX: usize = 256;
/// Bytes of one case fact without its personal fields. It is a value of the index.
pub const CASE_FACT_BYTES_MAX: usize = 60 * 1024;
/// Bytes of a case's row with its facts; further facts get rows of their own.
pub const CASE_ROW_BYTES_MAX: usize = 32 * 1024;
/// Bytes of a name that becomes a key of the index: a licence's identifier, a consumer.
pub const NAME_BYTES_MAX: usize = 256;
/// Materials in one case.
pub const MATERIALS_MAX: usize = 200;

/// Entries of one page of an inbox.
pub const INBOX_PAGE_ENTRIES_MAX: usize = 1024;
/// Payload bytes of one page of an inbox; a larger entry is a page of its own. A batch is read again for
/// each of its pages, so a page is no small part of a batch.
pub const INBOX_PAGE_BYTES_MAX: usize = 512 * 1024;
/// Pages that wait for one slow consumer in memory, besides the one that it is being sent; the rest of
/// the log waits on disk.
pub const INBOX_PAGES_WAITING_MAX: usize = 1;
/// Bytes of the frames that are kept decoded for readers of logs. The last one read is kept anyway.
pub const FRAMES_KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Milliseconds after which a commit that goes on counts as stalled: no disk that is well takes so long.
pub const COMMIT_STALL_MILLIS: u64 = 60_000;
/// Milliseconds between looks at what metrics and alarms are about.
pub const WATCH_MILLIS: u64 = 1_000;
/// Milliseconds between probes of the signing key. A key in hardware may cost a round trip over a network.
pub const KEY_PROBE_MILLIS: u64 = 10_000;
/// Milliseconds that the signing key may take for an answer.
pub const KEY_ANSWER_MILLIS_MAX: u64 = 5_000;
/// Milliseconds between counts of the bytes below the data folder: it walks through every file.
pub const DISK_USE_MILLIS: u64 = 60_000;
/// Looks that are remembered of one log without receipts: more are joined two by two.
pub const LAG_MARKS_MAX: usize = 512;

/// Milliseconds that an alarm's condition must be gone before the alarm is over: what flickers is one alarm.
pub const ALARM_CLEAR_MILLIS: u64 = 10_000;
/// Days before its end at which a certificate is told about: to order a new one, to hurry, to run.
pub const CERTIFICATE_DAYS_ALARMS: [i64; 3] = [30, 7, 1];
/// Notices that wait for a command or webhook; beyond it the oldest is dropped and counted.
pub const ALARM_QUEUE_MAX: usize = 64;
/// Milliseconds that a command or webhook may take for one notice.
pub const ALARM_ATTEMPT_MILLIS_MAX: u64 = 10_000;
/// Milliseconds of the first pause after a notice that was not taken.
pub const ALARM_RETRY_MILLIS_MIN: u64 = 1_000;
/// Milliseconds of the longest pause.
pub const ALARM_RETRY_MILLIS_MAX: u64 = 5 * 60 * 1_000;
/// Milliseconds that a node which must stop gives its last notices.
pub const ALARM_FLUSH_MILLIS_MAX: u64 = 5_000;

/// Connections to the observation address at once: a scraper, a probe, a person.
pub const OBSERVE_CONNECTIONS_MAX: usize = 16;
/// Milliseconds for a request's head, so that a silent connection does not hold a place.
pub const OBSERVE_HEAD_MILLIS_MAX: u64 = 5_000;

/// Bytes of one chunk of a blob: what is hashed, verified and sent at once. Larger ones measured slower.
pub const BLOB_CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of one blob: a scanned file of some thousand pages.
pub const BLOB_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Bytes of a blob's name for people: what file systems allow.
pub const BLOB_NAME_BYTES_MAX: usize = 255;
/// Bytes of a blob's media type (RFC 6838 §4.2 allows 127 for each half; real ones are far shorter).
pub const BLOB_MEDIA_TYPE_BYTES_MAX: usize = 127;
/// Chunks of one transfer between the server's disk and the fetcher's: 4 MiB. It bounds the memory of a
/// transfer, whatever the file's size.
pub const BLOB_CREDIT_CHUNKS: u64 = 64;
/// Chunks that they grow to while the fetcher waits for the line and not for its disk: 8 MiB. A 1 Gbit/s
/// line of 30 ms holds 3.75 MB, and as much again is on its way to be verified and written, and as credit.
pub const BLOB_CREDIT_CHUNKS_MAX: u64 = 128;
/// Chunks that are read, or verified and written, in one go on a blocking thread.
pub const BLOB_BURST_CHUNKS: usize = 16;
/// Bytes of the memory in which such a burst is read or written.
pub const BLOB_BLOCK_BYTES: usize = BLOB_BURST_CHUNKS * BLOB_CHUNK_BYTES;
/// Blocks that are kept for the next burst: what one transfer has in use.
pub const BLOB_BLOCKS_KEPT_MAX: usize = 4;
/// Bytes at the beginning of a blob that go through the system's cache: a scan of some pages, which is
/// read again soon. What lies behind is too large to push everything else out of the cache.
pub const BLOB_CACHED_BYTES: u64 = 4 * 1024 * 1024;
/// Milliseconds between a credit and the first chunk that it allowed from which on a line counts as long:
/// on a short one that is the time in which the chunks before it go by, 4 MiB at the speed of a disk.
pub const BLOB_FAR_MILLIS: u64 = 15;
/// Blobs that one node fetches at once, from all partners: with the credit, 64 MiB when every line is long.
pub const BLOB_FETCHES_MAX: usize = 8;
/// Blobs that one node fetches at once from one partner, so that a small file passes a large one.
pub const BLOB_FETCHES_PER_PEER_MAX: usize = 2;
/// Transfers that one partner may ask for at once.
pub const BLOB_SERVES_PER_LINK_MAX: usize = 4;
/// Blobs that business systems upload, or read, at once.
pub const BLOB_UPLOADS_MAX: usize = 8;
/// Unfinished uploads under a name that are kept for their sender to go on; of more the oldest goes.
pub const BLOB_UPLOADS_PARKED_MAX: usize = 32;
/// Milliseconds after which one that nobody went on with is given up.
pub const BLOB_UPLOAD_PARKED_MILLIS_MAX: u64 = 24 * 60 * 60 * 1_000;
/// Milliseconds without a chunk after which a transfer gives its place to another.
pub const BLOB_STALL_MILLIS_MAX: u64 = 30_000;
/// Milliseconds of the first pause before a blob is asked for again.
pub const BLOB_RETRY_MILLIS_MIN: u64 = 200;
/// Milliseconds of the longest pause.
pub const BLOB_RETRY_MILLIS_MAX: u64 = 60_000;
/// Milliseconds without a transfer after which its dialler closes a bulk link.
pub const BULK_IDLE_MILLIS_MAX: u64 = 10_000;
/// Blobs looked at for the next fetch from one partner in one go; the next look goes on from there.
pub const BLOB_WANTS_LOOKED_AT_MAX: usize = 256;
/// Receipts for a blob (entries that name it) that one command writes; the rest come with the next.
pub const BLOB_RECEIPTS_PER_COMMAND_MAX: usize = 1024;
/// Milliseconds after its last upload at which a blob that no entry ever named is given up: a business
/// system that uploaded on a Friday and was down over a long holiday still names it.
pub const BLOB_UNNAMED_MILLIS_MAX: u64 = 14 * 24 * 60 * 60 * 1_000;
/// Milliseconds between looks for uploads to give up.
pub const BLOB_SWEEP_MILLIS: u64 = 60 * 60 * 1_000;
/// Uploads that one command judges.
pub const BLOB_SWEEP_PAGE_MAX: usize = 256;
/// Events of files that became whole in one page of an inbox.
pub const BLOB_EVENTS_PAGE_MAX: usize = 64;
/// Cases in one page of what is held against a ledger.
pub const BOOKED_CASES_PAGE_MAX: usize = 1000;
/// Bytes of a blob that are written before a sync of them begins beside the transfer, so that the last
/// sync is short.
pub const BLOB_SYNC_BYTES: u64 = 32 * 1024 * 1024;

const _: () = assert!(HANDSHAKES_PER_ADDRESS_MAX < HANDSHAKES_MAX, "one address leaves places to others");
const _: () =
    assert!(HANDSHAKE_ACCEPTED_MILLIS_MAX <= HANDSHAKE_MILLIS_MAX, "who dials waits for who accepts");
const _: () = assert!(HEADER_BYTES_MAX + BODY_BYTES_MAX <= BATCH_BYTES_MAX, "the largest entry fits a batch");
const _: () = assert!(FRAME_BYTES_MAX < 4 * 1024 * 1024, "a frame fits tonic's default decode limit");
const _: () = assert!(COMMIT_BYTES_MAX as u64 * 2 <= SEGMENT_BYTES, "a commit fits a segment");
const _: () = assert!(DELIVER_ENTRIES_MAX <= BATCH_ENTRIES_MAX, "what is sent is taken");
const _: () = assert!(BATCH_BYTES_MAX * 4 <= COMMIT_BYTES_MAX, "a batch each way fits a commit");
const _: () = assert!(LETTERS_PAGE_MAX <= LETTERS_SCAN_MAX, "a page of letters can be filled");
const _: () = assert!(STAGED_BYTES_MAX <= STAGED_TOTAL_BYTES_MAX, "one channel fits all");
const _: () = assert!(DISK_LOW_BYTES >= DISK_LOW_BYTES_MIN, "the default may be configured");
const _: () = assert!(BATCHES_IN_FLIGHT_MAX * BATCH_BYTES_MAX <= INTAKE_BYTES_MAX, "one link's credit fits");
const _: () = assert!(SUBMITTING_ENTRIES_MAX >= SUBMIT_BATCH_MAX, "the longest batch finds room");
const _: () = assert!(SUBMITTING_ENTRIES_MAX <= COMMITTER_QUEUE_MAX, "what was let in finds the queue open");
const _: () = assert!(SUBMITTING_BYTES_MAX >= 2 * BODY_BYTES_MAX, "the largest submission fits");
const _: () = assert!(
    REDIAL_MILLIS_MIN << CIRCUIT_FAILURES_MAX <= REDIAL_MILLIS_MAX,
    "open means the longest pause soon"
);
const _: () = assert!(
    BLOB_BYTES_MAX.div_ceil(BLOB_CHUNK_BYTES as u64) * 32 < FRAME_BYTES_MAX as u64,
    "the longest chunk list fits a frame"
);
const _: () = assert!(
    BLOBS_PER_ENTRY_MAX * (BLOB_NAME_BYTES_MAX + BLOB_MEDIA_TYPE_BYTES_MAX + 64) < BODY_BYTES_MAX / 16,
    "what an entry says about its blobs leaves a body its room"
);
const _: () =
    assert!(BLOB_CACHED_BYTES.is_multiple_of(BLOB_BLOCK_BYTES as u64), "a block is one or the other");
const _: () = assert!(
    BLOB_BURST_CHUNKS as u64 * 3 <= BLOB_CREDIT_CHUNKS,
    "a burst arrives while one is verified and one is written"
);
const _: () =
    assert!(BLOB_FETCHES_PER_PEER_MAX <= BLOB_SERVES_PER_LINK_MAX, "a partner serves what one fetches");
const _: () = assert!(
    BLOB_FETCHES_MAX as u64 * BLOB_CREDIT_CHUNKS_MAX * BLOB_CHUNK_BYTES as u64 <= 64 * 1024 * 1024,
    "fetching takes 64 MiB at most"
);
const _: () = assert!(TRUST_POLL_MILLIS * 2 < 1000, "trust changes are seen within a second");
const _: () = assert!(WATCH_MILLIS * 2 <= ALARM_CLEAR_MILLIS, "an alarm is not over between two looks");
const _: () = assert!(KEY_ANSWER_MILLIS_MAX < KEY_PROBE_MILLIS, "one probe ends before the next begins");
