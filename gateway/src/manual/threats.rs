//! The threat model: who attacks what, what stands in the way, which test proves it, and what is *not*
//! defended.
//!
//! `tests/tests/threats.rs` reads this page: each name of a test in it must be a test in the tree, and each
//! parser of the last table a target of the fuzzer. Where a row says *not proven yet*, there is no test.
//!
//! # Assets
//!
//! | asset | lost when |
//! |---|---|
//! | evidence: what was sent and received, provable for years | an acknowledged entry is gone, doubled, changed, or can be denied |
//! | authority: who may say what for which city | somebody acts for another city, or beyond the agreement |
//! | persons: names, numbers, licences, files | they are in a log, an error, a header, an index, or with somebody not entitled |
//! | service: applications go on | one partner, disk or submitter stops the others |
//! | keys: TLS, signing, `alias.key` | somebody else has a copy |
//!
//! # Trust boundaries
//!
//! ```text
//!   business systems            ┆        node (one process, one user)        ┆        partner nodes
//!   one-stop window, approval   ┆                                            ┆
//!        │                      ┆   ┌──────────┐    ┌───────────┐            ┆            │
//!        ├──── unix socket ─────╂──▶│ local.v1 │───▶│           │   TLS 1.3  ┆            │
//!        │     mode 0600   (B1) ┆   └──────────┘    │ committer │◀───mTLS────╂────────────┤ (B2)
//!   operator, administrator     ┆   files of keys,  │           │   Link     ┆            │
//!        ├──── config, trust ───╂──▶trust (B4)─────▶└─────┬─────┘            ┆   somebody on the
//!        │                      ┆                         │                  ┆   network (B2)
//!   monitoring ◀── metrics (B5)─╂──                 journal, index, blobs    ┆
//!                               ┆                     ═══ disk (B3) ═══      ┆   auditor ◀── bundles (B6)
//! ```
//!
//! Everything that crosses a double line is hostile: parsed under a limit, judged, and only then believed.
//! What is *inside*: the process, its user, root of the machine, the clock. Whoever has those is the node.
//!
//! # Somebody on the network
//!
//! | threat | defence | proven by |
//! |---|---|---|
//! | reads or changes what is under way | TLS 1.3 only, both sides with certificates | `tls_1_2_is_not_spoken`, `tls_1_2_is_not_spoken_and_no_session_is_resumed` |
//! | connects without a certificate, or with another authority's | client certificate demanded; chain, name and prefix judged | `a_client_without_a_certificate_is_refused`, `each_wrong_certificate_is_refused_with_its_code_and_the_node_stays_up`, `another_provinces_certificate_for_our_name_is_refused` |
//! | answers in another node's place | the dialler expects one division | `another_node_than_dialled_is_refused` |
//! | resumes a session of a certificate revoked since | no tickets, no session cache | `nothing_is_resumed` |
//! | a certificate made to crash or exhaust the reader | sizes before parsing; fuzzed | `sizes_are_bounded_before_anything_is_parsed`, `no_changed_bit_of_a_chain_passes`, `every_seed_and_its_mutations_keep_the_properties_of_their_parser` |
//! | replays, reorders or cuts a conversation | position is identity; newest link fences; life of a process named | `frames_that_come_twice_or_in_another_order_do_no_harm`, `the_newest_link_fences_older_ones_and_two_that_dial_at_once_end_with_one` |
//! | holds many connections open in the handshake | 4 seconds each, 256 at once, 128 of one address; when all are taken, the oldest of the most crowded address gives way | `silent_connections_keep_no_partner_out`, `when_all_places_are_taken_the_oldest_of_the_most_crowded_address_gives_way` |
//! | the same from an address that a partner shares (one NAT) | — | **not defended**: he takes turns with 128 silent ones. Also a flood that fills the line or the kernel's queue; the node still dials out |
//!
//! # A malicious partner node
//!
//! It has good certificates of its own, and says whatever it likes.
//!
//! | threat | defence | proven by |
//! |---|---|---|
//! | speaks for another city | node in `Open` is the certificate's; a signing certificate of the same division only | `a_partner_may_not_claim_another_node_nor_bring_another_nodes_signing_key` |
//! | an authority certifies a city of another province | prefixes of authorities are disjoint, and checked before the path | `a_division_outside_the_domains_prefixes_is_refused`, `overlapping_prefixes_are_refused` |
//! | nonsense as frames, headers, payloads | one strict reader each; poison advances the channel and is refused once | `what_cannot_be_understood_or_is_not_allowed_advances_the_channel_and_is_refused_once`, `each_broken_frame_closes_its_link_with_its_code_and_changes_nothing` |
//! | writes persons, or megabytes, into our log | only known codes and short causes are repeated | `what_a_peer_writes_instead_of_a_code_does_not_reach_the_log` |
//! | rewrites its log, or shows two histories | checkpoint against the tree before anything is cosigned; both notes kept | `two_signed_roots_for_one_size_are_a_fork_that_stops_the_channel_and_is_kept`, `entries_that_do_not_hash_to_the_signed_root_stop_that_channel_until_it_is_resumed`, `a_lie_stops_its_channel_and_is_never_healed` |
//! | denies having received | its cosignature, offline | `a_bundle_verifies_with_both_nodes_stopped_and_each_forgery_is_named` |
//! | acknowledges what was never sent, to have us sign it | only our own signature is believed | `a_receipt_for_what_was_never_signed_is_not_believed` |
//! | acts without agreement, decides as receiving place, asks for fields not agreed | authorisation at commit, by role, item, direction, purpose, field | `a_forward_is_refused_for_each_wrong_fact`, `only_the_owner_of_a_transition_makes_it_and_only_in_its_state`, `a_licence_query_is_refused_for_each_wrong_fact_and_answered_when_right`, `the_receiving_place_never_decides` |
//! | same id, other content | typed refusal | `the_same_id_with_other_content_is_refused` |
//! | fetches files that it was never sent | a blob is served to whom an entry naming it went | `a_file_is_served_only_to_a_node_that_was_sent_an_entry_naming_it` |
//! | sends forged chunks or lists | every chunk against the list, the list against its name | `a_forged_chunk_is_not_written_and_a_forged_list_not_believed`, `a_flipped_bit_is_refused_and_the_file_comes_when_its_sender_has_mended_it` |
//! | floods, or stands still | quota, credit, bounded queues, turns | `a_partner_over_its_quota_is_slowed_down_and_loses_nothing`, `a_lone_message_passes_a_flood_to_another_partner`, `a_partner_that_stands_still_holds_up_no_other` |
//! | a clock far off | skew is checked at first receipt; waits, no stop | `a_checkpoint_from_the_future_or_the_past_waits` |
//! | uses what a restored backup forgot | nothing is signed before contact | `a_restored_backup_never_forks_and_everything_comes_back`, `a_copy_stated_to_a_new_life_of_the_peer_takes_nothing_that_an_older_life_sent` |
//! | lies about its own copy: states less than it holds | — | **not defended**: it may later show two roots of a restored sender. Exported bundles and, one day, witnesses are ([`contact`](super::contact)) |
//! | writes falsehoods that are well formed and agreed | — | **not defended**: a signature proves who said it, not that it is true |
//!
//! # A stolen TLS key
//!
//! | threat | defence | proven by |
//! |---|---|---|
//! | signs checkpoints or documents | usages keep the two keys apart | `a_tls_key_signs_nothing` |
//! | opens links and reads what the city is sent | revocation list or suspension: live links close, nothing more is said | `a_revoked_certificate_closes_its_live_link_and_gets_nothing`, `a_peer_that_loses_its_standing_loses_its_link_and_is_heard_no_more` |
//! | … though nobody reads the link | the revocation does not wait for the peer | `a_revocation_ends_a_link_that_waits_for_a_peer_who_does_not_read` |
//! | *before anybody notices*: states that he has nothing and is sent the whole history, or fetches its files, or fences the city out | `Open` bears the signing key's signature over this very TLS connection; nothing is sent and no link gives way before it is good | `a_thief_of_a_tls_key_alone_is_sent_nothing_and_fences_nobody_out` |
//! | says that he speaks an older version, whose `Open` proves nothing | whoever has proved it once must prove it always, over restarts | `an_open_without_a_proof_is_believed_only_of_a_node_that_was_never_met_with_one` |
//! | *of a partner that has never been met since both could* | — | **not defended** until the first contact of two releases that can: version 1 is believed without a proof, with a warning in the log |
//! | answers the city's own dialling in its partner's place | — | with the *partner's* TLS key he reads the sizes and newest notes in the dialler's `Open`, nothing of an entry: **not defended** |
//!
//! # A stolen signing key
//!
//! | threat | defence | proven by |
//! |---|---|---|
//! | opens connections | usages | `a_signing_key_opens_no_connection_from_either_side` |
//! | signs after its revocation | trust is asked per batch | `a_peer_whose_signing_key_is_suspended_writes_nothing_more` |
//! | old evidence becomes worthless | judged at the time of the cosignature, by the date of the revocation | `evidence_from_before_a_revocation_stands` |
//! | entries that the city does not remember | alarm, and recovery before anything is signed | `a_sender_restored_from_a_backup_recovers_before_it_signs` |
//! | *back-dates* with the other signer's help | — | **not defended**: no time stamps and no witnesses yet |
//! | makes evidence after it was stolen | what was signed for after `compromised_from` prints as disputed, and is not proven | `evidence_signed_for_after_the_key_was_lost_is_disputed_and_before_it_stands` |
//!
//! # A malicious administrator or operator
//!
//! | threat | defence | proven by |
//! |---|---|---|
//! | brings a trust folder that lets one authority speak for another's cities | refused whole; the last good one stays | `bad_trust_files_are_refused_and_the_last_good_ones_stay_in_force` |
//! | lets revocation data lapse | fails closed after a stated grace, and says so | `a_stale_revocation_list_counts_until_its_grace_is_over`, `a_list_out_of_date_warns_and_after_its_grace_the_node_is_not_ready_until_it_is_renewed` |
//! | reads persons in logs and metrics | none are there; identifiers of persons are masked types | `the_log_tells_each_decision_as_json_and_nothing_about_a_person`, `debug_of_a_person_shows_nothing_of_the_person` |
//! | reads metrics and probes from elsewhere | in plain on loopback, unless somebody states otherwise | `what_is_served_in_plain_is_not_served_to_everybody` |
//! | finds a person in the index | case facts hold no personal field, holders are hashed | `no_personal_byte_survives_the_stripping` |
//! | deletes or changes history | the partner holds the same log; the journal names the damage | `a_damaged_journal_is_named_not_opened_and_repaired_with_the_partners_help`, `a_node_that_lost_its_whole_store_gets_it_back` |
//! | adds a root, a prefix or a colleague alone | two administrators' signatures in a chained log, judged each time it is read; an edited `trust.toml` is refused | `a_new_domain_takes_two_people_and_its_root_begins_unused`, `one_person_suspends_at_once_another_confirms_and_resuming_takes_two`, `trust_toml_edited_behind_the_log_is_refused` |
//! | changes, removes or cuts the log | hash chain and signatures; the node remembers the end that it saw | `every_changed_byte_removed_line_and_other_order_is_found`, `a_log_that_was_cut_is_not_believed_by_the_node_that_saw_it_nor_after_a_restart` |
//! | holds two administrators' keys; rolls the trust folder and `trust.head` back together; never begins the log | — | **not defended**: the program tells keys apart, not people; an auditor's copy of the log's last digest shows the second; without a log `trust.toml` decides, as before |
//! | sends what he likes through the socket; copies the key files | — | **not defended** on this node: keys are files. What he sends is signed by his node and stands in the partner's log |
//! | guesses holders from the index's hashes of type and number | — | **not defended**: the hash has no secret, and identity numbers can be enumerated. Whoever has the index has the journal with the bodies beside it |
//!
//! # A malicious business system
//!
//! | threat | defence | proven by |
//! |---|---|---|
//! | any other user of the machine connects | socket 0600 in a folder 0700 | `the_socket_is_the_owners_alone_and_goes_away` |
//! | floods | a quota of its own, by its user | `a_submitter_over_its_quota_is_told_when_to_come_back_and_others_are_not`, `a_name_that_could_be_taken_for_a_user_is_refused` |
//! | names files of others | only what it uploaded or was granted | `a_submitter_names_only_what_it_uploaded_and_a_file_is_stored_once` |
//! | submits control kinds, or acts without agreement | judged as a partner's entries are, before they are signed | `without_an_agreement_nothing_is_sent` |
//! | doubles by retrying | message id or key: the first answer again | `the_same_message_again_gets_the_original_answer_also_after_a_restart` |
//! | reads slowly, never acknowledges | costs disk, not memory | `slow_late_and_killed_consumers_cost_disk_and_not_memory_and_do_not_hinder_each_other` |
//! | *reads another system's inbox, or acknowledges for it* | — | **not defended**: all systems behind one socket are one user's; names of consumers are believed |
//!
//! # A rotten disk, and somebody with the disk in hand
//!
//! | threat | defence | proven by |
//! |---|---|---|
//! | a bit flips in the journal | check sums for head, table, facts and bodies; position named; never cut silently | `any_flipped_bit_in_the_middle_is_reported_with_its_position_and_nothing_is_cut` |
//! | a write tears | only the last, unacknowledged frame is cut | `a_tail_torn_at_any_byte_is_cut_and_earlier_frames_stand` |
//! | the index rots or vanishes | made anew from the journal | `an_index_that_is_lost_is_rebuilt_as_it_was`, `a_block_that_rots_in_use_is_an_error_and_the_next_open_makes_the_index_anew` |
//! | a sync fails | outcome unknown: stop, reopen, re-read | `whatever_fails_acknowledged_frames_stand_and_erased_bodies_are_gone` |
//! | the disk is full | nothing new is taken, what was taken is finished | `a_full_disk_stops_what_is_new_finishes_what_was_taken_and_recovers_by_itself` |
//! | files with good check sums made to crash the reader | bounded and fuzzed with check sums mended | `every_seed_and_its_mutations_keep_the_properties_of_their_parser` |
//! | an old disk put back | nothing is signed before contact | `a_node_restored_from_any_backup_recovers_its_log_and_judges_as_it_did` |
//! | another user of the machine reads it | folders 0700, journal 0600, whatever the umask | `what_a_node_stores_is_its_owners_alone` |
//! | *takes the disk out and reads it* | — | **not defended**: journal, files and keys are in clear on the disk; encrypt the volume. Whoever has `alias.key` learns which message id stands for a submitter's key. Erasure is not built yet |
//! | *rewrites the journal with right check sums* | — | **not defended** here: CRC is no signature. The partner's copy and its cosignatures show it at the next reconciliation with `--rehash`, for what crossed |
//!
//! # Colluding partners, and what nobody stands against
//!
//! Two signers who agree can write any history between the two of them: two signatures do not defend
//! against their holders. Whoever watches the line sees who talks to whom, when and how much: lengths are
//! not padded. A node's clock is believed for what it signs. There is no rate at which an authority may
//! issue: whoever has a root's key has its province.
//!
//! # Every parser that somebody reaches
//!
//! | target | parser | who reaches it | limit before the first allocation |
//! |---|---|---|---|
//! | `chain` | certificates: profile, path, SPIFFE id | anybody | 5 certificates of 16 KiB (in the handshake: rustls's message limit) |
//! | `frame` | `Frame` and all its messages | partner | [`FRAME_BYTES_MAX`](crate::limits::FRAME_BYTES_MAX), by tonic |
//! | `header` | [`Header`](crate::entry::Header) | partner, disk | [`HEADER_BYTES_MAX`](crate::limits::HEADER_BYTES_MAX) |
//! | `note` | checkpoint, cosignature | partner, disk, auditor | [`NOTE_BYTES_MAX`](crate::limits::NOTE_BYTES_MAX) |
//! | `payload` | payloads of every kind, attachments | partner, submitter | [`BODY_BYTES_MAX`](crate::limits::BODY_BYTES_MAX) |
//! | `envelope`, `document` | DSSE; standard, agreement, attestation, decision | partner, operator | [`ENVELOPE_BYTES_MAX`](crate::limits::ENVELOPE_BYTES_MAX) |
//! | `chunks` | chunk lists | partner | the length against 2 GiB, the list against the length |
//! | `bundle` | proof bundles | whoever hands one in | [`BUNDLE_BYTES_MAX`](crate::proof::BUNDLE_BYTES_MAX) |
//! | `paths` | inclusion and consistency proofs | whoever hands one in | nothing is allocated |
//! | `local` | requests at the socket | submitter | `LOCAL_REQUEST_BYTES_MAX`, by tonic; 1 MiB of body |
//! | `identifiers` | nodes, cases, digests, codes, names | all of these | nothing is allocated before the shape holds |
//! | `journal`, `facts` | segments, frames, facts | disk | [`COMMIT_BYTES_MAX`](crate::limits::COMMIT_BYTES_MAX) |
//! | `run` | runs of the packed index | disk | the file's length |
//! | `blob` | chunk lists on disk, parked uploads | disk | the list of 2 GiB |
//! | `crl`, `pem`, `trust`, `administration` | trust folder | operator | 16 MiB, 160 KiB, 1 MiB, 16 MiB |
//! | `trust_bundle` | trust bundles of provinces | operator | 48 MiB |
//! | `config`, `case`, `codes` | configuration, case files, CSV | operator | 1 MiB, 4 MiB, a row at a time (one row has no bound of its own) |
//! | `ledger`, `mapping` | a business system's ledger, its mapping | operator | 1 MiB a row, 1,000 columns; 256 KiB |
//!
//! Left to the libraries that read them, and not fuzzed here: TLS records and HTTP/2 (rustls, h2), sled's
//! own files, private keys of the operator.
