//! The journey of one message, from submission to receipt, and what a crash leaves at each step.
//!
//! Yueyang (430600) forwards a case to Xianning (421200). *S* is the sender's node, *R* the receiver's.
//!
//! ```text
//!  business system     S: committer        S: disk        link        R: committer       R: disk
//!   │ 1 submit            │                  │              │            │                 │
//!   ├────────────────────▶│ 2 judge, append  │              │            │                 │
//!   │                     │ 3 sign           │              │            │                 │
//!   │                     ├─ 4 one frame ───▶│ synced       │            │                 │
//!   │◀──── 5 answer ──────┤                  │              │            │                 │
//!   │                     │                  ├─ 6 batch ───▶│ 7 verify   │                 │
//!   │                     │                  │              ├───────────▶│ 8 judge, cosign │
//!   │                     │                  │              │            ├─ 9 one frame ──▶│ synced
//!   │                     │                  │              │◀ 10 receipt┤                 │
//!   │                     │◀─ 11 verify ─────┼──────────────┤            │ 12 inbox        │
//!   │◀──── 12 receipt ────┤ (next frame) ───▶│              │            │                 │
//! ```
//!
//! 1. **Submit.** [`Gateway::submit`](crate::gateway::Gateway::submit) asks for room, in memory and in the
//!    log to R, and puts a [`Command::Submit`](crate::committer::Command::Submit) into the bounded queue;
//!    without room the answer is `node.overloaded` or `node.backlog` at once.
//!    [`Gateway::submit_many`](crate::gateway::Gateway::submit_many) does the same for a batch, each of
//!    which has its own fate. *A crash here leaves nothing, and the
//!    caller has no answer: it submits again under the same key.*
//! 2. **Judge and append.** The same id with the same content is the original answer again; other
//!    content is `entry.duplicate_different`. The agreement and the standard are pinned where the
//!    submitter left that to the node. The entry's header is made, `seen` included, and
//!    [`authorize`](crate::authorize::authorize) judges it by the same rules as the receiver will. What
//!    is refused here never enters the log. Before contact with R ([`contact`](super::contact)) the
//!    draft is *staged* instead: durable, without a place. *A crash leaves nothing: all of this is
//!    memory.*
//! 3. **Sign.** When no more commands wait, one checkpoint over all entries of this commit is signed,
//!    per log. *A crash leaves nothing: the signature never left the process, so the same place in the
//!    log may be given to another entry.*
//! 4. **One frame.** Headers, bodies, the checkpoint and whatever else the commit decided become one
//!    journal frame; one write, one sync. *A crash leaves a torn frame, which the next open cuts, or
//!    the whole frame, though nobody was told. Both are good: the caller asks again with its key.* If
//!    the sync fails, the outcome is unknown; the process stops and reads its journal anew. If the disk
//!    is full, nothing was written: the memory of the commit is thrown away and all are told
//!    `store.full`.
//! 5. **Answer.** The index takes the commit, the snapshot for readers changes, the caller hears. *A
//!    crash before the index has it is made good at the next start: the frame is replayed by the code
//!    that applies a live commit.*
//! 6. **Deliver.** [`link`](crate::link) reads the log from R's size on and sends what was committed
//!    since its last look: so batches form by themselves. It reads through the
//!    [`archive`](crate::archive), which still holds the newest commits as they became durable, and the
//!    disk for older ones. *A crash forgets what was in flight; at the next contact R states its size.*
//! 7. **Verify.** R checks the note, its key and the trust in that key at this moment, the limits and
//!    the signature; only then is there a [`VerifiedBatch`](crate::channel::batch::VerifiedBatch). *A
//!    crash leaves nothing at R; S has no receipt and sends again.*
//! 8. **Judge and cosign.** [`Inbound::decide`](crate::channel::inbound::Inbound::decide) places the
//!    batch: new, known, not now, or a fork. Entries are judged one by one, each against everything
//!    before it, this commit included; the refusals that answer them are appended to the reverse
//!    channel in the same commit. Then R signs the head. *A crash leaves nothing; the cosignature was
//!    never released.*
//! 9. **One frame** holds entries, verdicts, cosignature and refusals together. So there is no state in
//!    which R has received and not judged, or judged and not answered.
//! 10. **Receipt.** Answers go out in the order of the batches. *A crash before the receipt arrives: R
//!     has it on disk, and shows it in its next `Open`; S takes it from there.*
//! 11. **Verify the receipt.** Both signatures, the trust in R's key, and that S itself has this root at
//!     this size: a receipt for what S never signed stops the channel.
//! 12. **The receipt** is shown to whoever waits and the credit comes back. It is durable at R, who shows
//!     it at every contact, so S writes it with whatever comes next and spends no sync on it; a crash
//!     before that costs a contact. Meanwhile R's business system
//!     reads its inbox from its durable cursor on; when it acknowledges, the cursor's move is one more
//!     fact. *A crash of the business system between acting and acknowledging shows it the entry again:
//!     its own key for its own act makes that harmless.*
//!
//! # What follows
//!
//! - *At S:* "submitted" means step 4, "receipted" means step 11: R has it on disk and has signed for it.
//!   Nothing in between is promised.
//! - *Throughput* is the number of entries per commit times commits per second; a lone message waits
//!   for nobody. Signatures are per commit and log, not per message.
//! - *Recovery is the normal path:* a new link always begins by asking R's size, and a start always
//!   replays from what the index reflects, if only over nothing.
