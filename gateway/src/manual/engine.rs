//! The engine: the way of an entry through two nodes, what it costs, and what was measured.
//!
//! # The stages
//!
//! ```text
//!  client ─▶ SubmitStream ─▶ queue ─▶ committer S ─▶ archive ─▶ link ═TLS═▶ link ─▶ queue ─▶ committer R
//!    ▲          batches      4096     judge, sign     memory    8 batches   verify    4096    judge, cosign
//!    │                                one sync        or disk   in flight                     one sync
//!    └── mark ◀── snapshot ◀── verify ◀═══════════════ receipts ◀══════════════════════════════════┘
//! ```
//!
//! Each node has one committer thread; everything else runs on the asynchronous threads. Queues are
//! bounded and named in [`crate::limits`]; a full one refuses submitters with a hint and holds partners
//! back by their credit. What a batch can share is shared: one answer of the committer for a batch of
//! submissions, one signature each way, one frame and one sync for each commit, one locator for each batch
//! in the index, marks instead of receipts for each message.
//!
//! # What was measured
//!
//! Two cores (AMD EPYC), loopback, both nodes and the client on them, 2 KiB payloads of `case.forward`
//! under an active agreement, suite p256-sha256; the disk made 3,800 to 6,500 appends a second durable
//! (p50 0.14 to 0.23 ms) around the runs. `tongban bench exchange --concurrency N --duration 6`:
//!
//! | outstanding | messages/s | p50 | p99 | CPU of both nodes per 1,000 |
//! |---|---|---|---|---|
//! | 256 | 16,400 to 22,400 | 10.1 to 14.5 ms | 46 to 57 ms | 0.064 to 0.089 s |
//! | 64 | 11,900 to 16,600 | 3.4 to 4.9 ms | 8.6 to 12.2 ms | 0.077 to 0.107 s |
//! | 1 | 600 to 780 | 1.2 to 1.6 ms | 1.7 to 2.7 ms | 1.0 to 1.3 s |
//!
//! The ranges are the machine's: the same binary gave both ends within half an hour, and the disk's rate
//! moved with it. Two binaries are compared within one run only.
//!
//! The steps that led there, at 256 outstanding:
//!
//! | change | messages/s | CPU per 1,000 |
//! |---|---|---|
//! | as the walking skeleton was, submissions over one stream | 8,300 | 0.187 s |
//! | rows of busy tables packed beside sled ([`store::packed`](crate::store::packed)) | 13,600 | 0.104 s |
//! | another allocator, one row a case, no digest of contents, new commits read from memory | 17,500 | 0.079 s |
//! | payloads decoded once, 收件 with its forward, receipts and own cursors without a sync | 20,300 | 0.065 s |
//! | shares of a commit, one verification less each way | 22,400 | 0.064 s |
//!
//! # Where the microseconds go
//!
//! Of 64 µs that both nodes spend on a message at 256 outstanding, a profile by thread says: committer of
//! the sender 25, of the receiver 18, asynchronous threads of both 18 (gRPC, TLS, hashing of bodies,
//! P-256), writers of the index 2 to 4. Within the committers no single function stands out any more:
//! judging and decoding about a third, building rows and the table in memory a quarter, the frame
//! (copying, check sums, the write) a fifth, trees and tiles a tenth.
//!
//! At 256 outstanding a fifth of the two cores is idle: both committers wait for their own sync at the
//! same time now and then. **Next:** judge the next commit while the last one is being synced. The frame
//! would be written by the committer and synced by a thread of its own; rows, snapshot and answers of a
//! commit would be let out when its sync is done, and the ledger would look into the rows of one commit
//! that is on its way before it asks the index.
//!
//! A lone message takes two syncs (0.3 ms) and about 0.9 ms of waking threads: sixteen of them hand it on,
//! and each costs 30 to 60 µs on a machine whose cores sleep in between. **Next:** fewer hands.
//!
//! # Files, and coming back
//!
//! `tongban bench file`, from the submission to the last verified, durable chunk at the partner, while the
//! disk wrote 2.1 to 2.4 GB/s past the cache, 0.6 to 1.6 GB/s through it with a sync at the end, and read
//! 1.4 GB/s (`dd`, 1 MiB at once):
//!
//! | file | transfer | upload | a node grew by |
//! |---|---|---|---|
//! | 1 GiB | 486 to 676 MB/s, five of six above 590 | 806 to 1,000 MB/s | 30 to 32 MiB, once 40 |
//! | 50 MiB | 310 to 550 MB/s, thirteen runs, mean 396 | 430 to 920 MB/s | 19 to 32 MiB |
//! | 256 MiB, a line of 30 ms and 1 Gbit/s | 114 to 116 MB/s of 125 | | 28 to 33 MiB |
//!
//! Before, run by run beside these: 1 GiB at 347 to 373 MB/s while the machine's free memory was cold to its
//! host, and 552 to 574 MB/s when it was warm; 50 MiB at 345 to 501 MB/s, so no faster now than chance: a
//! run is either fast or slow as a whole, its upload with it, whichever binary. What it took:
//!
//! | change | why |
//! |---|---|
//! | large files past the system's cache, in blocks that are used again | copying into fresh pages of the cache was up to 44 % of two cores, more than hashing |
//! | a block is written while the next one is hashed | the disk and the processor took turns |
//! | sockets read in large pieces, frames of 32 KiB written with their heads | rustls asks for 4 KiB at a time; a chunk was five frames, ten TLS records, ten system calls |
//!
//! Of both cores at 535 MB/s: SHA-256 20 % (ring, with the processor's own instructions, 1.7 GB/s on one
//! core; the receiver hashes each byte of a file once, the sender did so at the upload), copies in memory
//! 28 % (sender two: message, TLS record; receiver five: socket, record, frame, message, block), AES-GCM
//! 7 %, sockets about 20 %, idle 17 %. The disk is waited for by threads of its own. At 50 MiB the first
//! tenth of a second counts: the bulk link is dialled (7 ms), and memory and socket buffers grow into their
//! size; the syncs and renames at the end take less than 1 ms. This start was not profiled further, and the
//! 500 MB/s that were asked for are not reached there but in the fast runs. **Next:** that profile.
//!
//! Over the line of 30 ms, credit grows from 64 to 128 chunks while a credit is answered late and nothing
//! waits for the disk. `bench exchange --link-delay-ms 30`: 6,500 messages/s with 256 outstanding, which is
//! 256 in each 37 ms, and 27,700 with 2,048; batches are on the line several at once
//! (`tongban_batches_in_flight`). The line is a proxy of our own (`node::bench::line`): it has no loss.
//!
//! `tongban bench recover --entries 300000`: ready 0.20 s after a stop in order, 0.19 s after SIGKILL under
//! load, 3.4 s without the index (88,000 entries a second are folded again).
//!
//! # Overload
//!
//! `tongban bench overload --factor 3`: 33 % of the peak still gets its receipt, from 16 clients that share
//! the two cores with both nodes. Nothing is lost or doubled; the goodput is to be understood and mended.
//!
//! # On disk
//!
//! 2,290 bytes of journal and 630 to 870 of index for each message of 2,263 bytes of header and body, on
//! each node: 1.29 times after 1.05 million messages, up to 1.40 while runs wait for their merge.
