//! `tongban bench`: measures this machine with two real nodes of two provinces, for operators who size
//! machines. Real kinds under an active agreement, real certificates, every guarantee kept; the load
//! comes in by the nodes' local sockets and counts only when the partner's cosignature was verified.
//!
//! `pair` starts the two nodes and lets them agree, `exchange` loads them, `file` sends one large file,
//! `recover` stops and kills a node, `overload` offers more than it can take, `peers` gives a node hundreds
//! of `partners`, `ledger` reconciles with a ledger, `line` puts a long line between the two nodes, `disk` asks the disk, `machine` reads what the
//! system knows of processes, `figures` says it to people
//! and machines.

mod disk;
mod exchange;
mod figures;
mod file;
mod ledger;
pub mod line;
mod machine;
mod overload;
mod pair;
mod partners;
mod peers;
mod recover;

use crate::console::{Console, Failure};
use crate::demo::DemoError;
use crate::suite::SigningSuite;
use crate::text::Lang;
use std::path::PathBuf;
use std::time::Duration;

/// `tongban bench …`
#[derive(Debug, clap::Subcommand)]
pub enum BenchCommand {
    /// Messages from one node to the other, from the submission to the verified receipt. 报文收发
    Exchange(ExchangeArgs),
    /// One file from one node to the other, from the submission to its being whole there. 附件传送
    File(FileArgs),
    /// A node that comes back: stopped in order, killed, without its index. 重启恢复
    Recover(RecoverArgs),
    /// More messages than a node can take: what still gets through. 过载
    Overload(OverloadArgs),
    /// One node with hundreds of partners: what idle ones cost, and who waits for a flood. 众多伙伴
    Peers(PeersArgs),
    /// A night's comparison with a business system's ledger that has planted differences. 台账对账
    Reconcile(ReconcileArgs),
    /// The disk: how fast an append becomes durable. 磁盘
    Disk(DiskArgs),
}

/// What every measurement with nodes is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct NodesArgs {
    /// What the nodes sign with. 算法套件
    #[arg(long, value_enum, default_value_t = SigningSuite::P256Sha256)]
    pub suite: SigningSuite,
    /// Keep the nodes' folders here; must be empty or absent. 保留节点目录
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// The line between the two nodes; loopback itself when absent.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LineArgs {
    /// Put a line of that round trip between the nodes, milliseconds. 节点间往返时延（毫秒）
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..=i64::from(line::ROUND_TRIP_MILLIS_MAX)))]
    pub link_delay_ms: Option<u32>,
    /// What that line carries in each direction, Mbit/s. 线路带宽（兆比特每秒）
    #[arg(long, value_name = "MBIT", requires = "link_delay_ms", default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub link_mbit: u32,
}

impl LineArgs {
    fn length(&self) -> Option<line::Length> {
        let round_trip = Duration::from_millis(u64::from(self.link_delay_ms?));
        Some(line::Length { round_trip, bits_per_s: u64::from(self.link_mbit) * 1_000_000 })
    }

    /// What was asked for, for the figures.
    fn asked(&self) -> Vec<(&'static str, String)> {
        let Some(delay) = self.link_delay_ms else { return Vec::new() };
        vec![("link_delay_ms", delay.to_string()), ("link_mbit", self.link_mbit.to_string())]
    }
}

/// What `bench exchange` is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct ExchangeArgs {
    /// Bytes of a payload. 报文字节数
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(256..=1_000_000))]
    pub size: u32,
    /// Messages that are out at once, without a receipt. 同时在途
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=8192))]
    pub concurrency: u32,
    /// Seconds that are measured. 计时秒数
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub duration: u32,
    /// Seconds under load before measuring begins. 预热秒数
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=600))]
    pub warm_up: u32,
    /// A long line between the nodes.
    #[command(flatten)]
    pub line: LineArgs,
    /// The nodes.
    #[command(flatten)]
    pub nodes: NodesArgs,
}

/// What `bench file` is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct FileArgs {
    /// Bytes of the file, at most 2 GiB. 文件字节数
    #[arg(long, default_value_t = 52_428_800,
        value_parser = clap::value_parser!(u64).range(1..=gateway::limits::BLOB_BYTES_MAX))]
    pub bytes: u64,
    /// A long line between the nodes.
    #[command(flatten)]
    pub line: LineArgs,
    /// The nodes.
    #[command(flatten)]
    pub nodes: NodesArgs,
}

/// What `bench recover` is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct RecoverArgs {
    /// Entries that the node holds. 节点所存条目数
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(100..=50_000_000))]
    pub entries: u64,
    /// Bytes of a payload. 报文字节数
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(256..=1_000_000))]
    pub size: u32,
    /// The nodes.
    #[command(flatten)]
    pub nodes: NodesArgs,
}

/// What `bench overload` is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct OverloadArgs {
    /// So many times the peak is offered. 峰值倍数
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub factor: u32,
    /// Streams of the clients, in the peak and in the overload. 客户端流数
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub streams: u32,
    /// Seconds of the peak, and of the overload. 计时秒数
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub duration: u32,
    /// Bytes of a payload. 报文字节数
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(256..=1_000_000))]
    pub size: u32,
    /// The nodes.
    #[command(flatten)]
    pub nodes: NodesArgs,
}

/// What `bench peers` is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct PeersArgs {
    /// Partners, each with a channel each way. Two of them are nodes of their own. 伙伴数
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(2..=2000))]
    pub count: u32,
    /// Seconds for which nobody says anything while the node is measured. 空闲计时秒数
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub idle: u32,
    /// Seconds of lone messages, without the flood and with it. 计时秒数
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub duration: u32,
    /// Messages of the flood that are out at once. 洪流同时在途
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=8192))]
    pub flood: u32,
    /// Bytes of a payload. 报文字节数
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(256..=1_000_000))]
    pub size: u32,
    /// The nodes.
    #[command(flatten)]
    pub nodes: NodesArgs,
}

/// What `bench reconcile` is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct ReconcileArgs {
    /// Cases that both nodes hold, and rows of the ledger. 办件数
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub cases: u64,
    /// Differences that are planted in the ledger. 植入差异数
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    pub breaks: u64,
    /// The nodes.
    #[command(flatten)]
    pub nodes: NodesArgs,
}

/// What `bench disk` is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct DiskArgs {
    /// The folder whose disk is asked; the system's temporary folder when absent. 目录
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Seconds. 秒数
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub duration: u32,
    /// Bytes of one append. 每次追加字节数
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(512..=4_194_304))]
    pub size: u32,
}

/// Runs a measurement; whether nothing was lost or doubled.
///
/// # Errors
/// What kept it from its end.
pub async fn run(command: &BenchCommand, console: Console) -> Result<bool, Failure> {
    let chinese = console.lang == Lang::Zh;
    let figures = match command {
        BenchCommand::Exchange(args) => exchange::run(args, chinese).await?,
        BenchCommand::File(args) => file::run(args, chinese).await?,
        BenchCommand::Recover(args) => recover::run(args, chinese).await?,
        BenchCommand::Overload(args) => overload::run(args, chinese).await?,
        BenchCommand::Peers(args) => peers::run(args, chinese).await?,
        BenchCommand::Reconcile(args) => ledger::run(args, chinese).await?,
        BenchCommand::Disk(args) => {
            let dir = args.dir.clone().unwrap_or_else(std::env::temp_dir);
            let (duration, size) = (args.duration, args.size as usize);
            let asked = tokio::task::spawn_blocking(move || disk::ask(&dir, duration, size)).await;
            let asked = asked.map_err(|panic| DemoError::Broken(panic.to_string()))??;
            figures::Figures { disk: Some(asked), ..figures::Figures::of_this_machine() }
        }
    };
    console.result(&figures.json(), |lang| figures.text(lang == Lang::Zh))?;
    let none = [figures.lost, figures.duplicated, figures.breaks_missed, figures.breaks_invented];
    Ok(none.into_iter().all(|count| count.unwrap_or(0) == 0))
}

/// What a node said instead of an answer.
fn refused(status: &tonic::Status) -> DemoError {
    DemoError::Broken(format!("{:?}: {}", status.code(), status.message()))
}
