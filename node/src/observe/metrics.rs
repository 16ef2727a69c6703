//! The Prometheus text. Every family is always there, with its help and type, whether or not it has
//! series yet. Labels are codes, divisions, domains and the names of checks: bounded by this program's
//! tables, the configuration and the trust folder, and never about a person.

use std::fmt;

use gateway::health::ready::{percent, ready};
use gateway::health::{Facts, Store};
use gateway::id::NodeId;
use gateway::limits::COMMITTER_QUEUE_MAX;
use gateway::measure::HistogramReading;
use gateway::overload::disk::DiskState;
use gateway::time::UnixMillis;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, prometheus_text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::{Observed, machine};

/// Of the answer.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// Hexadecimal digits of an anchor's fingerprint in its label: enough to tell the few of one domain apart.
const FINGERPRINT_DIGITS: usize = 8;

/// The text as of now.
pub fn render(observed: &Observed) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Reading::take(observed)));
    let mut text = String::new();
    // Writing into a String does not fail, and none of our own writers does.
    prometheus_text::encode(&mut text, &registry).expect("text is written into memory");
    text
}

/// One channel.
#[derive(Debug)]
struct Channel {
    from: NodeId,
    to: NodeId,
    size: u64,
    receipted: u64,
    refused: u64,
    staged: u64,
    contacted: bool,
    stopped: Option<&'static str>,
    outbound: bool,
    /// Seconds that the oldest entry without a receipt has waited.
    waiting_seconds: f64,
}

/// One trust domain's lists.
#[derive(Debug)]
struct Lists {
    domain: String,
    age_ms: i64,
    next_update_in_ms: i64,
    refused_in_ms: i64,
}

/// One trust domain's bundle.
#[derive(Debug)]
struct BundleAge {
    domain: String,
    sequence: u64,
    renewal_in_ms: i64,
    refused_in_ms: i64,
}

/// Codes with their counts.
type CodeCounts = Vec<(&'static str, u64)>;

/// Everything that is told, at one moment.
#[derive(Debug)]
struct Reading {
    node: NodeId,
    facts: Facts,
    now: UnixMillis,
    queued: Option<usize>,
    histograms: Vec<(&'static str, &'static str, f64, HistogramReading)>,
    by_code: Vec<(&'static str, &'static str, CodeCounts)>,
    links_opened: u64,
    blob_bytes: [(&'static str, u64); 3],
    handshakes: Vec<([(&'static str, &'static str); 2], u64)>,
    channels: Vec<Channel>,
    links: Vec<(NodeId, bool)>,
    looks: Vec<(NodeId, u64)>,
    lists: Vec<Lists>,
    bundles: Vec<BundleAge>,
    certificates: Vec<(&'static str, String, i64)>,
    disk: Option<machine::Disk>,
    store: Option<machine::StoreBytes>,
    process: Option<machine::Process>,
    alarms: Vec<(&'static str, &'static str, u64)>,
    couriers: Vec<super::notify::Counts>,
}

impl Reading {
    fn take(observed: &Observed) -> Self {
        let measures = &observed.measures;
        let facts = observed.facts();
        let now = observed.clock.now();
        let now_ms = i64::try_from(now.0).unwrap_or(i64::MAX);
        let histograms = vec![
            (
                "tongban_commit_seconds",
                "Time of a commit, from its first command to its place in the index",
                1e6,
                measures.commit_micros.read(),
            ),
            (
                "tongban_journal_sync_seconds",
                "Time of a sync of the journal",
                1e6,
                measures.sync_micros.read(),
            ),
            (
                "tongban_commit_entries",
                "Entries of a commit, both directions",
                1.0,
                measures.commit_entries.read(),
            ),
            (
                "tongban_batch_sent_entries",
                "Entries of a batch that was sent",
                1.0,
                measures.batch_sent_entries.read(),
            ),
            (
                "tongban_batches_in_flight",
                "Batches on their way to a partner without a receipt when one more was sent, with it",
                1.0,
                measures.batches_in_flight.read(),
            ),
            (
                "tongban_batch_received_entries",
                "Entries of a batch that was received",
                1.0,
                measures.batch_received_entries.read(),
            ),
        ];
        let by_code = vec![
            (
                "tongban_refusals_given",
                "Entries of peers that were refused here",
                measures.refused_given.read(),
            ),
            ("tongban_refusals_received", "Own entries that peers refused", measures.refused_received.read()),
            (
                "tongban_submissions_refused",
                "Submissions that were not taken",
                measures.refused_submissions.read(),
            ),
            ("tongban_links_ended", "Links that ended, by the code of their end", measures.link_ends.read()),
        ];
        let handshakes = measures
            .handshakes_failed()
            .into_iter()
            .map(|(side, code, count)| ([("side", side.name()), ("code", code)], count));
        let (store, alarms, waiting) = {
            let found = observed.found();
            let mut alarms: Vec<(&'static str, &'static str, u64)> = Vec::new();
            for condition in found.alarms.standing() {
                let (code, severity) = (condition.about.code.code(), condition.severity.name());
                match alarms.iter_mut().find(|(known, of, _)| (*known, *of) == (code, severity)) {
                    Some((_, _, count)) => *count += 1,
                    None => alarms.push((code, severity, 1)),
                }
            }
            (found.store, alarms, found.waiting.clone())
        };
        let gateway = observed.gateway();
        let channels = gateway.map_or_else(Vec::new, |gateway| {
            gateway.look(|snapshot| {
                let logs = snapshot.out.values().map(|log| (true, log));
                let logs = logs.chain(snapshot.inbound.values().map(|log| (false, log)));
                logs.map(|(outbound, log)| {
                    let since = waiting.get(&log.log.channel.to).filter(|_| outbound);
                    Channel {
                        from: log.log.channel.from,
                        to: log.log.channel.to,
                        size: log.size,
                        receipted: log.cosigned.as_ref().map_or(0, |note| note.checkpoint().size),
                        refused: log.refused,
                        staged: log.staged as u64,
                        contacted: log.contacted,
                        stopped: log.stopped.as_ref().map(|stop| stop.code.code()),
                        outbound,
                        waiting_seconds: since
                            .map_or(0.0, |since| now.0.saturating_sub(since.0) as f64 / 1e3),
                    }
                })
                .collect()
            })
        });
        let links = observed
            .peers
            .iter()
            .map(|peer| (*peer, gateway.is_some_and(|gateway| gateway.links().is_live(*peer))));
        let trust = observed.trust.load();
        let lists = trust.domains().iter().filter_map(|domain| {
            let certs::Revocation::Crl { lists, grace_hours } = domain.revocation() else { return None };
            let next_update_ms = lists.iter().map(certs::Crl::next_update_ms).min()?;
            let this_update_ms = lists.iter().map(certs::Crl::this_update_ms).min()?;
            let next_update_in_ms = next_update_ms.saturating_sub(now_ms);
            Some(Lists {
                domain: domain.name().to_string(),
                age_ms: now_ms.saturating_sub(this_update_ms),
                next_update_in_ms,
                refused_in_ms: next_update_in_ms.saturating_add(i64::from(*grace_hours) * 3_600_000),
            })
        });
        let bundles = trust.domains().iter().filter_map(|domain| {
            let bundle = domain.bundle()?;
            Some(BundleAge {
                domain: domain.name().to_string(),
                sequence: bundle.sequence,
                renewal_in_ms: bundle.fresh_until_ms.saturating_sub(now_ms),
                refused_in_ms: bundle.counts_until_ms.saturating_sub(now_ms),
            })
        });
        let own = facts.certificates.iter().map(|certificate| {
            (
                certificate.which.name(),
                observed.node.to_string(),
                certificate.not_after_ms.saturating_sub(now_ms),
            )
        });
        let anchors = trust.domains().iter().flat_map(|domain| {
            domain.anchors().iter().map(move |anchor| {
                let digits: String = anchor.fingerprint().iter().map(|byte| format!("{byte:02x}")).collect();
                let name = format!("{} {}", domain.name(), &digits[..FINGERPRINT_DIGITS]);
                ("anchor", name, anchor.not_after_ms().saturating_sub(now_ms))
            })
        });
        Self {
            node: observed.node,
            now,
            queued: gateway.map(|gateway| gateway.queued()),
            histograms,
            by_code,
            links_opened: measures.links_opened.load(std::sync::atomic::Ordering::Relaxed),
            blob_bytes: [
                ("fetched", &measures.blob_bytes_fetched),
                ("served", &measures.blob_bytes_served),
                ("uploaded", &measures.blob_bytes_uploaded),
            ]
            .map(|(way, bytes)| (way, bytes.load(std::sync::atomic::Ordering::Relaxed))),
            handshakes: handshakes.collect(),
            channels,
            links: links.collect(),
            looks: gateway.map_or_else(Vec::new, |gateway| gateway.links().looks_of_links()),
            lists: lists.collect(),
            bundles: bundles.collect(),
            certificates: own.chain(anchors).collect(),
            disk: machine::disk(&observed.data_dir),
            store,
            process: machine::process(),
            alarms,
            couriers: observed.couriers.counts(),
            facts,
        }
    }
}

impl Collector for Reading {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.node_itself(&mut page)?;
        self.commits(&mut page)?;
        self.channels(&mut page)?;
        self.trust(&mut page)?;
        self.disk_and_process(&mut page)?;
        self.alarms(&mut page)
    }
}

type Label<'a> = (&'a str, &'a str);

impl Reading {
    fn node_itself(&self, page: &mut Page<'_>) -> fmt::Result {
        let build = [("version", env!("CARGO_PKG_VERSION")), ("node", self.node.as_str())];
        page.gauge("tongban_build_info", "This build, always 1", |family| family.put(&build, 1.0))?;
        let checks = ready(&self.facts, self.now);
        let well = checks.iter().all(|check| check.refusal.is_none());
        page.gauge("tongban_ready", "1 when /readyz says yes", |family| family.put(&NONE, flag(well)))?;
        page.gauge("tongban_ready_check", "1 for each check of /readyz that holds", |family| {
            checks
                .iter()
                .try_for_each(|check| family.put(&[("check", check.name)], flag(check.refusal.is_none())))
        })?;
        let (open, done) = match self.facts.store {
            Store::Open => (true, 1.0),
            Store::Opening => (false, 0.0),
            Store::Replaying { bytes, bytes_whole } => (false, percent(bytes, bytes_whole) as f64 / 100.0),
        };
        page.gauge("tongban_store_open", "1 when the store is open", |family| family.put(&NONE, flag(open)))?;
        page.gauge(
            "tongban_store_replay_ratio",
            "Share of the journal's bytes that a start has replayed, 1 when open",
            |family| family.put(&NONE, done),
        )
    }

    fn commits(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge("tongban_committer_queue_commands", "Commands that wait for the committer", |family| {
            self.queued.map_or(Ok(()), |queued| family.put(&NONE, queued as f64))
        })?;
        page.gauge(
            "tongban_committer_queue_commands_max",
            "Submissions' commands beyond which they are refused",
            |family| family.put(&NONE, COMMITTER_QUEUE_MAX as f64),
        )?;
        page.gauge(
            "tongban_commit_in_progress_seconds",
            "For how long the present commit has been going on",
            |family| family.put(&NONE, self.facts.commit_millis.unwrap_or(0) as f64 / 1e3),
        )?;
        for (name, help, divisor, reading) in &self.histograms {
            page.histogram(name, help, *divisor, reading)?;
        }
        for (name, help, counts) in &self.by_code {
            page.counter(name, help, |family| {
                counts.iter().try_for_each(|(code, count)| family.put(&[("code", *code)], *count))
            })?;
        }
        Ok(())
    }

    fn channels(&self, page: &mut Page<'_>) -> fmt::Result {
        let all = || self.channels.iter();
        let outbound = || all().filter(|channel| channel.outbound);
        page.counter("tongban_channel_entries", "Entries of a log, on this node's disk", |family| {
            all().try_for_each(|channel| family.put(&channel.labels(), channel.size))
        })?;
        page.counter(
            "tongban_channel_receipted_entries",
            "Entries of a log with the receiver's cosignature",
            |family| all().try_for_each(|channel| family.put(&channel.labels(), channel.receipted)),
        )?;
        page.counter(
            "tongban_channel_refused_entries",
            "Entries of a log that its receiver refused",
            |family| all().try_for_each(|channel| family.put(&channel.labels(), channel.refused)),
        )?;
        page.gauge("tongban_channel_waiting_entries", "Own entries without a receipt", |family| {
            outbound().try_for_each(|channel| {
                family.put(&channel.labels(), channel.size.saturating_sub(channel.receipted) as f64)
            })
        })?;
        page.gauge(
            "tongban_channel_waiting_seconds",
            "Age of the oldest own entry without a receipt, 0 when there is none",
            |family| {
                outbound().try_for_each(|channel| family.put(&channel.labels(), channel.waiting_seconds))
            },
        )?;
        page.gauge("tongban_channel_staged_drafts", "Drafts that wait for contact", |family| {
            outbound().try_for_each(|channel| family.put(&channel.labels(), channel.staged as f64))
        })?;
        page.gauge(
            "tongban_channel_contacted",
            "1 when the peer has stated its copy since the start",
            |family| {
                outbound().try_for_each(|channel| family.put(&channel.labels(), flag(channel.contacted)))
            },
        )?;
        page.gauge("tongban_channel_stopped", "1 when a channel is stopped, with the code", |family| {
            all().try_for_each(|channel| {
                let [from, to] = channel.labels();
                match channel.stopped {
                    Some(code) => family.put(&[from, to, ("code", code)], 1.0),
                    None => family.put(&[from, to], 0.0),
                }
            })
        })?;
        page.gauge("tongban_link_up", "1 when a link to the peer stands", |family| {
            self.links.iter().try_for_each(|(peer, up)| family.put(&[("peer", peer.as_str())], flag(*up)))
        })?;
        page.counter(
            "tongban_link_looks",
            "Times that the link to a peer looked for entries to send",
            |family| {
                self.looks.iter().try_for_each(|(peer, looks)| family.put(&[("peer", peer.as_str())], *looks))
            },
        )?;
        page.counter("tongban_links_opened", "Links that opened", |family| {
            family.put(&NONE, self.links_opened)
        })?;
        page.counter("tongban_blob_bytes", "Bytes of blobs that went this way", |family| {
            self.blob_bytes.iter().try_for_each(|(way, bytes)| family.put(&[("way", *way)], *bytes))
        })?;
        page.counter("tongban_tls_handshake_failures", "Handshakes that failed, by side and code", |family| {
            self.handshakes.iter().try_for_each(|(labels, count)| family.put(labels, *count))
        })
    }

    fn trust(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "tongban_certificate_remaining_seconds",
            "Until the first certificate of an own chain or an anchor ends, negative after it",
            |family| {
                self.certificates.iter().try_for_each(|(of, name, left_ms)| {
                    family.put(&[("use", *of), ("name", name.as_str())], seconds(*left_ms))
                })
            },
        )?;
        let lists = |page: &mut Page<'_>, name, help, value: fn(&Lists) -> f64| {
            page.gauge(name, help, |family| {
                self.lists
                    .iter()
                    .try_for_each(|lists| family.put(&[("domain", lists.domain.as_str())], value(lists)))
            })
        };
        lists(page, "tongban_crl_age_seconds", "Age of the oldest revocation list", |lists| {
            seconds(lists.age_ms)
        })?;
        lists(
            page,
            "tongban_crl_remaining_seconds",
            "Until a revocation list is due, negative after it",
            |lists| seconds(lists.next_update_in_ms),
        )?;
        lists(
            page,
            "tongban_crl_grace_remaining_seconds",
            "Until the domain's certificates are refused for want of a list",
            |lists| seconds(lists.refused_in_ms),
        )?;
        lists(page, "tongban_crl_stale", "1 when a list is past its nextUpdate and its grace", |lists| {
            flag(lists.refused_in_ms < 0)
        })?;
        let bundles = |page: &mut Page<'_>, name, help, value: fn(&BundleAge) -> f64| {
            page.gauge(name, help, |family| {
                self.bundles
                    .iter()
                    .try_for_each(|bundle| family.put(&[("domain", bundle.domain.as_str())], value(bundle)))
            })
        };
        bundles(
            page,
            "tongban_trust_bundle_sequence",
            "Number of the trust bundle that is followed",
            |bundle| bundle.sequence as f64,
        )?;
        bundles(
            page,
            "tongban_trust_bundle_remaining_seconds",
            "Until the successor of a trust bundle is due, negative after it",
            |bundle| seconds(bundle.renewal_in_ms),
        )?;
        bundles(
            page,
            "tongban_trust_bundle_grace_remaining_seconds",
            "Until the domain's certificates are refused for want of a bundle",
            |bundle| seconds(bundle.refused_in_ms),
        )
    }

    fn disk_and_process(&self, page: &mut Page<'_>) -> fmt::Result {
        let disk = |value: fn(&machine::Disk) -> u64| self.disk.as_ref().map(value);
        let process = |value: fn(&machine::Process) -> f64| self.process.as_ref().map(value);
        let one = |page: &mut Page<'_>, name, help, value: Option<f64>| {
            page.gauge(name, help, |family| value.map_or(Ok(()), |value| family.put(&NONE, value)))
        };
        one(
            page,
            "tongban_disk_free_bytes",
            "Free bytes on the data folder's disk",
            disk(|disk| disk.free_bytes).map(|bytes| bytes as f64),
        )?;
        one(
            page,
            "tongban_disk_size_bytes",
            "Bytes of the data folder's disk",
            disk(|disk| disk.size_bytes).map(|bytes| bytes as f64),
        )?;
        let judged = &self.facts.disk;
        one(
            page,
            "tongban_disk_low_bytes",
            "Free bytes below which nothing new is taken",
            Some(judged.low_bytes as f64),
        )?;
        page.gauge("tongban_disk_state", "1 for what the node takes its disk to have room for", |family| {
            DiskState::ALL
                .iter()
                .try_for_each(|state| family.put(&[("state", state.name())], flag(*state == judged.state)))
        })?;
        one(page, "tongban_disk_full", "1 when the last commit found no room", Some(flag(judged.full)))?;
        page.gauge(
            "tongban_store_bytes",
            "Bytes that a part of the data folder takes on the disk",
            |family| {
                let Some(store) = self.store else { return Ok(()) };
                let parts = [("journal", store.journal), ("index", store.index), ("blobs", store.blobs)];
                parts.iter().try_for_each(|(part, bytes)| family.put(&[("part", *part)], *bytes as f64))
            },
        )?;
        page.counter("process_cpu_seconds", "CPU time of this process", |family| {
            process(|process| process.cpu_seconds).map_or(Ok(()), |seconds| family.put(&NONE, seconds))
        })?;
        one(
            page,
            "process_resident_memory_bytes",
            "Resident memory of this process",
            process(|process| process.resident_bytes as f64),
        )?;
        one(
            page,
            "process_virtual_memory_bytes",
            "Address space of this process",
            process(|process| process.virtual_bytes as f64),
        )?;
        one(page, "process_threads", "Threads of this process", process(|process| process.threads as f64))?;
        one(
            page,
            "process_open_fds",
            "Open files and sockets of this process",
            process(|process| process.open_fds as f64),
        )?;
        one(
            page,
            "process_max_fds",
            "Files and sockets that this process may open",
            process(|process| process.max_fds as f64),
        )?;
        one(
            page,
            "process_start_time_seconds",
            "Start of this process, Unix seconds",
            process(|process| process.started_seconds),
        )
    }

    fn alarms(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge("tongban_alarms_standing", "Alarms that stand, by code and severity", |family| {
            self.alarms.iter().try_for_each(|(code, severity, count)| {
                family.put(&[("code", *code), ("severity", *severity)], *count as f64)
            })
        })?;
        page.counter(
            "tongban_alarm_notices",
            "Notices to the alarm hook, by what became of them",
            |family| {
                self.couriers.iter().try_for_each(|counts| {
                    let outcomes =
                        [("taken", counts.taken), ("failed", counts.failed), ("dropped", counts.dropped)];
                    outcomes.iter().try_for_each(|(outcome, count)| {
                        family.put(&[("sink", counts.sink), ("outcome", *outcome)], *count)
                    })
                })
            },
        )?;
        page.gauge(
            "tongban_alarm_notices_waiting",
            "Notices that the alarm hook has not taken yet",
            |family| {
                self.couriers
                    .iter()
                    .try_for_each(|counts| family.put(&[("sink", counts.sink)], counts.waiting as f64))
            },
        )
    }
}

impl Channel {
    fn labels(&self) -> [Label<'_>; 2] {
        [("from", self.from.as_str()), ("to", self.to.as_str())]
    }
}

/// No labels.
const NONE: [Label<'static>; 0] = [];

fn flag(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

fn seconds(millis: i64) -> f64 {
    millis as f64 / 1e3
}

/// The text as it is written, one family after the other.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        fill: impl FnOnce(&mut Gauges<'_>) -> fmt::Result,
    ) -> fmt::Result {
        fill(&mut Gauges(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?))
    }

    /// The text appends `_total` to the name.
    fn counter(
        &mut self,
        name: &str,
        help: &str,
        fill: impl FnOnce(&mut Counters<'_>) -> fmt::Result,
    ) -> fmt::Result {
        fill(&mut Counters(self.0.encode_descriptor(name, help, None, MetricType::Counter)?))
    }

    fn histogram(&mut self, name: &str, help: &str, divisor: f64, reading: &HistogramReading) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let buckets: Vec<(f64, u64)> =
            reading.buckets.iter().map(|(bound, count)| (*bound as f64 / divisor, *count)).collect();
        encoder.encode_histogram::<NoLabelSet>(reading.sum as f64 / divisor, reading.count(), &buckets, None)
    }
}

struct Gauges<'a>(MetricEncoder<'a>);

impl Gauges<'_> {
    fn put<'l, const N: usize>(&mut self, labels: &[Label<'l>; N], value: f64) -> fmt::Result
    where
        [Label<'l>; N]: EncodeLabelSet,
    {
        if N == 0 { self.0.encode_gauge(&value) } else { self.0.encode_family(labels)?.encode_gauge(&value) }
    }
}

struct Counters<'a>(MetricEncoder<'a>);

impl Counters<'_> {
    fn put<'l, const N: usize>(
        &mut self,
        labels: &[Label<'l>; N],
        value: impl prometheus_client::encoding::EncodeCounterValue,
    ) -> fmt::Result
    where
        [Label<'l>; N]: EncodeLabelSet,
    {
        if N == 0 {
            self.0.encode_counter::<NoLabelSet, _, u64>(&value, None)
        } else {
            self.0.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
        }
    }
}
