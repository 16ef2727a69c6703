//! What a measurement found, for machines (`--json`: one object, its keys are a contract) and people.

use super::disk::DiskFigures;
use super::machine::Machine;
use crate::demo::narrate::pad;
use serde_json::{Value, json};

/// The figures of one run; what a kind of run does not measure is absent.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    pub machine: Option<Machine>,
    pub disk: Option<DiskFigures>,
    /// What was asked for, in words of the command line.
    pub asked: Vec<(&'static str, String)>,
    /// Messages with a verified receipt, in a second.
    pub messages_per_s: Option<f64>,
    /// The same in a closed loop, before the overload.
    pub peak_messages_per_s: Option<f64>,
    /// Messages that fell due in a second of the overload.
    pub offered_per_s: Option<f64>,
    /// The share of the peak that is left under overload.
    pub goodput_ratio: Option<f64>,
    /// From the write to the local socket to the verified receipt at the client, milliseconds.
    pub p50_ms: Option<f64>,
    pub p90_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub max_ms: Option<f64>,
    /// CPU seconds of both nodes for a thousand messages.
    pub cpu_s_per_1k: Option<f64>,
    /// Bytes that a message takes on one node's disk, the mean of both.
    pub bytes_per_message: Option<f64>,
    /// The same without the index.
    pub journal_bytes_per_message: Option<f64>,
    /// Bytes of its header and body.
    pub entry_bytes: Option<f64>,
    /// A file's, from the submission that names it to the partner's event that it is whole; 10^6 bytes.
    pub mb_per_s: Option<f64>,
    /// The same file's, from the local socket to this node's disk.
    pub upload_mb_per_s: Option<f64>,
    /// The most bytes that were on the line between the nodes at one time, in the direction of the load.
    pub line_bytes_most: Option<u64>,
    /// From the start to the ready line, after a stop in order.
    pub ready_s: Option<f64>,
    /// The same after SIGKILL under load.
    pub ready_after_kill_s: Option<f64>,
    /// The same after SIGKILL and the loss of the index.
    pub ready_without_index_s: Option<f64>,
    /// The most that a node grew over what it held before.
    pub rss_growth_mib: Option<f64>,
    /// The larger node's.
    pub peak_rss_mib: Option<f64>,
    /// What the partners of a node are, in Chinese and English.
    pub partners: Option<(String, String)>,
    /// The share of one core that a node took while nobody said anything.
    pub cpu_core_share: Option<f64>,
    /// The most memory of the flooding node until its end; `peak_rss_mib` is then that of before.
    pub flood_peak_rss_mib: Option<f64>,
    /// As `p50_ms` and `p99_ms`, of lone messages without the flood.
    pub calm_p50_ms: Option<f64>,
    pub calm_p99_ms: Option<f64>,
    /// A run of the comparison with a ledger, as a process: seconds from its start to its end.
    pub reconcile_s: Option<f64>,
    /// The most memory of that process.
    pub reconcile_rss_mib: Option<f64>,
    /// Planted differences that it did not find in their class.
    pub breaks_missed: Option<u64>,
    /// Differences that it found and nobody planted.
    pub breaks_invented: Option<u64>,
    /// Accepted and not at the partner.
    pub lost: Option<u64>,
    /// More at the partner than accepted.
    pub duplicated: Option<u64>,
    /// Refused with a hint to try again, and tried again.
    pub refused: Option<u64>,
}

impl Figures {
    /// None yet.
    pub(super) fn of_this_machine() -> Self {
        Self { machine: Some(Machine::here()), ..Self::default() }
    }

    /// One object.
    pub(super) fn json(&self) -> Value {
        let mut object = serde_json::Map::new();
        let mut put = |name: &str, value: Option<f64>| {
            if let Some(value) = value {
                object.insert(name.to_owned(), json!((value * 1e4).round() / 1e4));
            }
        };
        put("messages_per_s", self.messages_per_s);
        put("peak_messages_per_s", self.peak_messages_per_s);
        put("offered_per_s", self.offered_per_s);
        put("goodput_ratio", self.goodput_ratio);
        put("p50_ms", self.p50_ms);
        put("p90_ms", self.p90_ms);
        put("p99_ms", self.p99_ms);
        put("max_ms", self.max_ms);
        put("cpu_s_per_1k", self.cpu_s_per_1k);
        put("bytes_per_message", self.bytes_per_message);
        put("journal_bytes_per_message", self.journal_bytes_per_message);
        put("entry_bytes", self.entry_bytes);
        put("mb_per_s", self.mb_per_s);
        put("upload_mb_per_s", self.upload_mb_per_s);
        put("ready_s", self.ready_s);
        put("ready_after_kill_s", self.ready_after_kill_s);
        put("ready_without_index_s", self.ready_without_index_s);
        put("rss_growth_mib", self.rss_growth_mib);
        put("peak_rss_mib", self.peak_rss_mib);
        put("cpu_core_share", self.cpu_core_share);
        put("flood_peak_rss_mib", self.flood_peak_rss_mib);
        put("calm_p50_ms", self.calm_p50_ms);
        put("calm_p99_ms", self.calm_p99_ms);
        put("reconcile_s", self.reconcile_s);
        put("reconcile_rss_mib", self.reconcile_rss_mib);
        put("disk_syncs_per_s", self.disk.as_ref().map(|disk| disk.syncs_per_s));
        for (name, value) in [
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("refused", self.refused),
            ("breaks_missed", self.breaks_missed),
            ("breaks_invented", self.breaks_invented),
        ] {
            if let Some(value) = value {
                object.insert(name.to_owned(), json!(value));
            }
        }
        if let Some((_, en)) = &self.partners {
            object.insert("partners".to_owned(), json!(en));
        }
        if let Some(bytes) = self.line_bytes_most {
            object.insert("link_bytes_most".to_owned(), json!(bytes));
        }
        if let Some(disk) = &self.disk {
            object.insert("disk".to_owned(), json!(disk));
        }
        if let Some(machine) = &self.machine {
            object.insert("machine".to_owned(), json!(machine));
        }
        let asked = self.asked.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
        object.insert("asked".to_owned(), Value::Object(asked.collect()));
        Value::Object(object)
    }

    /// Lines for people.
    pub(super) fn text(&self, chinese: bool) -> String {
        let mut lines = Vec::new();
        let mut line = |zh: &str, en: &str, value: String| {
            lines.push(format!("{}{value}", pad(if chinese { zh } else { en }, 34)));
        };
        if let Some(machine) = &self.machine {
            let built = match (machine.optimised, chinese) {
                (true, _) => "",
                (false, true) => "（未优化构建，数字无意义）",
                (false, false) => " (built without optimisation: the figures mean nothing)",
            };
            let words = format!(
                "{} × {}, {} MiB, Linux {}, tongban {}{built}",
                machine.cores, machine.processor, machine.memory_mib, machine.kernel, machine.version
            );
            line("机器", "machine", words);
        }
        if let Some(disk) = &self.disk {
            let words = format!(
                "{:.0}/s, p50 {:.3} ms, p99 {:.3} ms ({} B)",
                disk.syncs_per_s, disk.p50_ms, disk.p99_ms, disk.append_bytes
            );
            line("磁盘落盘", "appends made durable", words);
        }
        for (name, value) in &self.asked {
            line(name, name, value.clone());
        }
        if let Some((zh, en)) = &self.partners {
            line("伙伴", "partners", if chinese { zh.clone() } else { en.clone() });
        }
        if let Some(share) = self.cpu_core_share {
            line("空闲时 CPU（单核）", "CPU while idle, of one core", format!("{:.2} %", share * 100.0));
        }
        if let (Some(p50), Some(p99)) = (self.calm_p50_ms, self.calm_p99_ms) {
            line("单条，无洪流", "a lone message, no flood", format!("p50 {p50:.2}  p99 {p99:.2} ms"));
        }
        if let Some(rate) = self.messages_per_s {
            line("有回执的报文", "messages with a receipt", format!("{rate:.0}/s"));
        }
        if let (Some(peak), Some(ratio)) = (self.peak_messages_per_s, self.goodput_ratio) {
            line("峰值 / 过载时所余", "peak / left under overload", format!("{peak:.0}/s / {ratio:.2}"));
        }
        if let Some(offered) = self.offered_per_s {
            line("所施压力", "offered", format!("{offered:.0}/s"));
        }
        let quantiles = [self.p50_ms, self.p90_ms, self.p99_ms, self.max_ms];
        if let [Some(p50), Some(p90), Some(p99), Some(max)] = quantiles {
            let words = format!("p50 {p50:.2}  p90 {p90:.2}  p99 {p99:.2}  max {max:.2} ms");
            match self.calm_p99_ms {
                None => line("提交至回执验签", "submission to verified receipt", words),
                Some(_) => line("单条，洪流之中", "a lone message, under the flood", words),
            }
        }
        if let Some(cpu) = self.cpu_s_per_1k {
            line("两节点 CPU 每千条", "CPU of both nodes per 1,000", format!("{cpu:.4} s"));
        }
        if let (Some(all), Some(journal), Some(entry)) =
            (self.bytes_per_message, self.journal_bytes_per_message, self.entry_bytes)
        {
            let words = format!("{all:.0} B = {:.2} × ({entry:.0} B), journal {journal:.0} B", all / entry);
            line("每条占盘（单节点）", "on one node's disk, a message", words);
        }
        if let Some(rate) = self.upload_mb_per_s {
            line("附件上传", "file uploaded", format!("{rate:.1} MB/s"));
        }
        if let Some(rate) = self.mb_per_s {
            line("附件传送", "file transferred", format!("{rate:.1} MB/s"));
        }
        if let Some(bytes) = self.line_bytes_most {
            let words = format!("{:.2} MB", bytes as f64 / 1e6);
            line("线路上同时在途最多", "most on the line at one time", words);
        }
        for (zh, en, seconds) in [
            ("就绪：正常停止后", "ready after a stop in order", self.ready_s),
            ("就绪：SIGKILL 后", "ready after SIGKILL", self.ready_after_kill_s),
            ("就绪：索引丢失后", "ready without the index", self.ready_without_index_s),
        ] {
            if let Some(seconds) = seconds {
                line(zh, en, format!("{seconds:.3} s"));
            }
        }
        if let Some(growth) = self.rss_growth_mib {
            line("内存增长（较大者）", "growth of memory, the larger", format!("{growth:.0} MiB"));
        }
        if let Some(rss) = self.peak_rss_mib {
            match self.flood_peak_rss_mib {
                None => {
                    line("内存峰值（较大节点）", "peak memory of the larger node", format!("{rss:.0} MiB"))
                }
                Some(flood) => line(
                    "内存峰值：空闲 / 洪流",
                    "peak memory: idle / flood",
                    format!("{rss:.0} / {flood:.0} MiB"),
                ),
            }
        }
        if let (Some(seconds), Some(rss)) = (self.reconcile_s, self.reconcile_rss_mib) {
            line("台账对账", "comparison with the ledger", format!("{seconds:.1} s, {rss:.0} MiB"));
        }
        if let (Some(missed), Some(invented)) = (self.breaks_missed, self.breaks_invented) {
            line("漏报 / 误报", "missed / invented", format!("{missed} / {invented}"));
        }
        match (self.lost, self.duplicated) {
            (Some(lost), Some(duplicated)) => {
                line("丢失 / 重复", "lost / duplicated", format!("{lost} / {duplicated}"));
            }
            (Some(lost), None) => line("丢失", "lost", lost.to_string()),
            _ => {}
        }
        if let Some(refused) = self.refused.filter(|refused| *refused > 0) {
            line("过载退回重试", "refused with a hint to retry", refused.to_string());
        }
        lines.join("\n")
    }
}
