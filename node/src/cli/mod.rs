//! The command line. This module names the commands and finds the node; each command has a file.
//!
//! Results go to stdout, as text or with `--json` as one JSON document a line; talk goes to stderr.
//! Exit codes are listed at [`crate::console`].

pub mod act;
pub mod blob;
pub mod case;
pub mod case_file;
pub mod certs;
pub mod channel;
pub mod check;
pub mod codes;
pub mod doctor;
pub mod document;
pub mod inbox;
pub mod ledger;
pub mod letters;
pub mod licence;
pub mod pki;
pub mod proof;
pub mod reconcile;
pub mod rotate;
#[cfg(test)]
mod samples;
pub mod standard;
pub mod status;
pub mod store;
pub mod trust;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::both;
use crate::client::{self, Clients};
use crate::config::Config;
use crate::console::{Console, Failure};
use crate::text::Lang;

/// Gateway between the government services of cities in different provinces.
/// 跨省通办网关：一城一节点，异地收件、属地办理，收发可证。
#[derive(Debug, Parser)]
#[command(name = "tongban", version, propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    /// Language of messages; the locale decides when absent. 提示语言
    #[arg(long, global = true, help_heading = "Common 通用", value_enum)]
    pub lang: Option<Lang>,
    /// One JSON document a line on stdout. 结果以 JSON 输出
    #[arg(long, global = true, help_heading = "Common 通用")]
    pub json: bool,
    /// The node's configuration file. 节点配置文件
    #[arg(long, global = true, help_heading = "Common 通用", value_name = "FILE", env = "TONGBAN_CONFIG")]
    pub config: Option<PathBuf>,
    /// The node's Unix socket, instead of the one in --config. 节点本地套接字
    #[arg(long, global = true, help_heading = "Common 通用", value_name = "PATH", env = "TONGBAN_SOCKET")]
    pub socket: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the node named by --config. 启动节点
    Serve,
    /// The node and its channels at a glance. 节点与各通道概况
    Status,
    /// Why a partner cannot be worked with: each step to each partner, whose side, what to do. Exit code 12: a fault
    /// may be on this side; 13: only elsewhere. 诊断与各伙伴的连接
    Doctor(doctor::DoctorArgs),
    /// Cases: submit, look up, act. 办件
    #[command(subcommand)]
    Case(CaseCommand),
    /// Licences: put into the catalogue, ask a partner. 电子证照
    #[command(subcommand)]
    Licence(LicenceCommand),
    /// Files that go with messages. 附件
    #[command(subcommand)]
    Blob(BlobCommand),
    /// Standards (一事一标准). 标准
    #[command(subcommand)]
    Standard(StandardCommand),
    /// Agreements between two nodes. 协议
    #[command(subcommand)]
    Agreement(AgreementCommand),
    /// Standards and agreements that this node holds. 文书
    #[command(subcommand)]
    Document(DocumentCommand),
    /// Channels: list, show, resume after a stop. 通道
    #[command(subcommand)]
    Channel(ChannelCommand),
    /// What arrived for a business system. 收件箱
    #[command(subcommand)]
    Inbox(InboxCommand),
    /// Dead letters: refused, expired, dropped or overdue messages. 死信
    #[command(subcommand)]
    Letters(LettersCommand),
    /// Evidence for one message, verifiable offline. 证据
    #[command(subcommand)]
    Proof(ProofCommand),
    /// Compare both copies with a partner. 对账
    #[command(subcommand)]
    Reconcile(ReconcileCommand),
    /// Check identifiers. 校验标识代码
    #[command(subcommand)]
    Codes(CodesCommand),
    /// Check a configuration. 配置
    #[command(subcommand, name = "config")]
    Config(ConfigCommand),
    /// This node's certificates: inspect, list, check, request, install. 本节点证书
    #[command(subcommand)]
    Certs(CertsCommand),
    /// Whom this node trusts: two people change it, and every change stands in a signed log. 信任管理（双人）
    #[command(subcommand)]
    Trust(trust::command::TrustCommand),
    /// Certificates for development and pilots. 开发与试点用证书
    #[command(subcommand)]
    Pki(PkiCommand),
    /// Look at or repair the journal of a stopped node. 检修停机节点的日志
    #[command(subcommand)]
    Store(StoreCommand),
    /// A demonstration of two cities on this machine. 双城演示
    Demo(crate::demo::DemoArgs),
    /// Measure this machine: two nodes under load, with every guarantee kept. 压测本机
    #[command(subcommand)]
    Bench(crate::bench::BenchCommand),
}

/// `tongban case …`
#[derive(Debug, Subcommand)]
pub enum CaseCommand {
    /// Forward a case to the competent place. 转递办件
    Submit(case::SubmitArgs),
    /// One case with its steps. 查看办件
    Show(case::ShowArgs),
    /// Cases, by number. 列出办件
    List(case::ListArgs),
    /// One act in the life of a case. 办理环节
    Act(Box<act::ActArgs>),
}

/// `tongban licence …`
#[derive(Debug, Subcommand)]
pub enum LicenceCommand {
    /// Put a licence into this node's own catalogue. 证照入库
    Put(licence::PutArgs),
    /// Ask a partner for a licence and wait for its attestation. 查询对方证照
    Query(Box<licence::QueryArgs>),
}

/// `tongban blob …`
#[derive(Debug, Subcommand)]
pub enum BlobCommand {
    /// Upload a file, to be named in a message. 上传附件
    Put(blob::PutArgs),
    /// Write a file of this node to a new file here. 取出附件
    Get(blob::GetArgs),
    /// Whether a file is here, who names it, who has received it. 查看附件
    Show(blob::ShowArgs),
}

/// `tongban standard …`
#[derive(Debug, Subcommand)]
pub enum StandardCommand {
    /// Sign a standard and send it to a partner. 发布标准
    Publish(document::PublishArgs),
    /// Look for catch-all clauses and vague wording before it is signed. 查兜底条款与模糊语言
    Check(standard::CheckArgs),
    /// Compare two standards: same, stricter, different. 比较两份标准
    Diff(standard::DiffArgs),
}

/// `tongban agreement …`
#[derive(Debug, Subcommand)]
pub enum AgreementCommand {
    /// Sign an agreement and send the signature to the partner. 签署协议
    Sign(document::PublishArgs),
}

/// `tongban document …`
#[derive(Debug, Subcommand)]
pub enum DocumentCommand {
    /// Standards and agreements, with who signed. 列出文书及签署方
    List(document::ListArgs),
}

/// `tongban channel …`
#[derive(Debug, Subcommand)]
pub enum ChannelCommand {
    /// All channels. 列出通道
    List,
    /// One channel, with its newest checkpoint. 查看通道
    Show(channel::ShowArgs),
    /// End a stop, after its cause was found. 查明原因后解除停止
    Resume(channel::ResumeArgs),
}

/// `tongban inbox …`
#[derive(Debug, Subcommand)]
pub enum InboxCommand {
    /// Print entries as they arrive, from the consumer's cursor on. 持续取件
    Follow(inbox::FollowArgs),
}

/// `tongban letters …`
#[derive(Debug, Subcommand)]
pub enum LettersCommand {
    /// Dead letters with code, whose fault and age. 列出死信
    List(letters::ListArgs),
    /// One letter; with --json also its payload. 查看死信
    Show(letters::ShowArgs),
    /// Send a letter's content again, as a new entry. 重投
    Requeue(letters::RequeueArgs),
    /// Give a letter up, with a cancellation to the partner. 作废
    Discard(letters::DiscardArgs),
}

/// `tongban proof …`
#[derive(Debug, Subcommand)]
pub enum ProofCommand {
    /// Export the evidence for one message. 导出证据包
    Export(proof::ExportArgs),
    /// Verify a bundle with public keys alone; no node is needed. 离线验证证据包
    Verify(proof::VerifyArgs),
}

/// `tongban reconcile …`
#[derive(Debug, Subcommand)]
pub enum ReconcileCommand {
    /// Compare now. Exit code 0 balanced, 10 breaks, 11 in flight or not comparable. 立即对账
    Run(reconcile::RunArgs),
    /// Compare a business system's ledger with the channels, and write the reports. Exit codes as above. 与业务台账对账
    Ledger(ledger::LedgerArgs),
    /// Runs with a partner. 历次对账
    History(ledger::Place),
    /// One run. 查看一次对账
    Show(ledger::ShowArgs),
    /// One finding: what both sides say, who acts, and the case's messages. 解释一条差异
    Explain(ledger::ExplainArgs),
}

/// `tongban codes …`
#[derive(Debug, Subcommand)]
pub enum CodesCommand {
    /// Check identifiers of a CSV file with the columns kind and value; prints a JSON object a line. 批量校验
    Check(codes::CheckArgs),
}

/// `tongban config …`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a file, and the certificates, keys and trust that it names. 核对配置
    Check(check::CheckArgs),
}

/// `tongban certs …`
#[derive(Debug, Subcommand)]
pub enum CertsCommand {
    /// What a file says and what is wrong with it. Exit code 3 when it cannot be used. 解读证书
    Inspect(certs::InspectArgs),
    /// What this node depends on, by the time when it ends. 按到期时间列出
    List(certs::ListArgs),
    /// For cron: exit code 3 when anything is wrong or ends soon. 定时检查
    Check(certs::CheckArgs),
    /// Make a key and the request for its certificate. 生成密钥与证书请求
    Request(rotate::RequestArgs),
    /// Check a new certificate and take it into use; the old one is kept. 安装新证书
    Install(rotate::InstallArgs),
    /// Both halves of a rotation: --out requests, --chain installs. 轮换证书
    Rotate(rotate::RotateArgs),
}

/// `tongban pki …`
#[derive(Debug, Subcommand)]
pub enum PkiCommand {
    /// Write authorities, certificates and ready-to-run configurations into a new folder. 生成试点证书与配置
    Dev(pki::DevArgs),
    /// Issue to one more node of a folder that `pki dev` made. 为新节点签发证书
    Join(pki::JoinArgs),
}

/// `tongban store …`
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Show damage in the journal; with --apply, set what is behind it aside. 检查或修复日志
    Repair(store::RepairArgs),
}

/// How long a command waits for the partner.
#[derive(Debug, Clone, Copy, Args)]
pub struct Wait {
    /// Wait this many seconds for the partner's receipt; 0 does not wait. 等待回执的秒数
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub wait: u64,
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let lang = cli.lang.unwrap_or_else(|| Lang::of_environment(|name| std::env::var(name).ok()));
    let console = Console { lang, json: cli.json };
    let node = Node { config: cli.config, socket: cli.socket };
    match dispatch(console, &node, cli.command) {
        Ok(exit) => exit,
        Err(failure) => {
            console.fail(&failure);
            ExitCode::from(failure.exit)
        }
    }
}

fn dispatch(console: Console, node: &Node, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve => crate::serve::run(console, node.config_file()?)?,
        Command::Status => node.ask(|clients| status::show(console, clients))?,
        Command::Doctor(args) => return doctor::run(console, &Config::load(node.config_file()?)?, &args),
        Command::Case(CaseCommand::Submit(args)) => {
            node.ask(|clients| case::submit(console, clients, args))?
        }
        Command::Case(CaseCommand::Show(args)) => node.ask(|clients| case::show(console, clients, args))?,
        Command::Case(CaseCommand::List(args)) => node.ask(|clients| case::list(console, clients, args))?,
        Command::Case(CaseCommand::Act(args)) => node.ask(|clients| act::act(console, clients, *args))?,
        Command::Licence(LicenceCommand::Put(args)) => {
            node.ask(|clients| licence::put(console, clients, args))?
        }
        Command::Licence(LicenceCommand::Query(args)) => {
            node.ask(|clients| licence::query(console, clients, *args))?
        }
        Command::Blob(BlobCommand::Put(args)) => node.ask(|clients| blob::put(console, clients, args))?,
        Command::Blob(BlobCommand::Get(args)) => node.ask(|clients| blob::get(console, clients, args))?,
        Command::Blob(BlobCommand::Show(args)) => node.ask(|clients| blob::show(console, clients, args))?,
        Command::Standard(StandardCommand::Publish(args)) => {
            node.ask(|clients| document::publish(console, clients, "standard", args))?
        }
        Command::Standard(StandardCommand::Check(args)) => standard::check(console, &args)?,
        Command::Standard(StandardCommand::Diff(args)) => standard::diff(console, &args)?,
        Command::Agreement(AgreementCommand::Sign(args)) => {
            node.ask(|clients| document::publish(console, clients, "agreement", args))?
        }
        Command::Document(DocumentCommand::List(args)) => {
            node.ask(|clients| document::list(console, clients, args))?
        }
        Command::Channel(ChannelCommand::List) => node.ask(|clients| channel::list(console, clients))?,
        Command::Channel(ChannelCommand::Show(args)) => {
            node.ask(|clients| channel::show(console, clients, args))?
        }
        Command::Channel(ChannelCommand::Resume(args)) => {
            node.ask(|clients| channel::resume(console, clients, args))?
        }
        Command::Inbox(InboxCommand::Follow(args)) => {
            node.ask(|clients| inbox::follow(console, clients, args))?
        }
        Command::Letters(LettersCommand::List(args)) => {
            node.ask(|clients| letters::list(console, clients, args))?
        }
        Command::Letters(LettersCommand::Show(args)) => {
            node.ask(|clients| letters::show(console, clients, args))?
        }
        Command::Letters(LettersCommand::Requeue(args)) => {
            node.ask(|clients| letters::requeue(console, clients, args))?
        }
        Command::Letters(LettersCommand::Discard(args)) => {
            node.ask(|clients| letters::discard(console, clients, args))?
        }
        Command::Proof(ProofCommand::Export(args)) => {
            node.ask(|clients| proof::export(console, clients, args))?
        }
        Command::Proof(ProofCommand::Verify(args)) => proof::verify(console, &args)?,
        Command::Reconcile(ReconcileCommand::Run(args)) => {
            node.ask(|clients| reconcile::run(console, clients, args))?
        }
        Command::Reconcile(ReconcileCommand::Ledger(args)) => {
            node.ask(|clients| ledger::run(console, clients, args))?
        }
        Command::Reconcile(ReconcileCommand::History(place)) => ledger::history(console, &place)?,
        Command::Reconcile(ReconcileCommand::Show(args)) => ledger::show(console, &args)?,
        Command::Reconcile(ReconcileCommand::Explain(args)) => {
            node.ask(|clients| ledger::explain(console, clients, args))?
        }
        Command::Codes(CodesCommand::Check(args)) => codes::check(&args)?,
        Command::Config(ConfigCommand::Check(args)) => check::check(console, &args)?,
        Command::Certs(CertsCommand::Inspect(args)) => certs::show(console, &args)?,
        Command::Certs(CertsCommand::List(args)) => certs::list(console, node.config_file()?, &args)?,
        Command::Certs(CertsCommand::Check(args)) => certs::check(console, node.config_file()?, &args)?,
        Command::Certs(CertsCommand::Request(args)) => rotate::request(console, node.config_file()?, &args)?,
        Command::Certs(CertsCommand::Install(args)) => rotate::install(console, node.config_file()?, &args)?,
        Command::Certs(CertsCommand::Rotate(args)) => rotate::rotate(console, node.config_file()?, args)?,
        Command::Trust(command) => command.run(console, trust::Home(node.config.as_deref()))?,
        Command::Pki(PkiCommand::Dev(args)) => pki::dev(console, &args)?,
        Command::Pki(PkiCommand::Join(args)) => pki::join(console, &args)?,
        Command::Store(StoreCommand::Repair(args)) => store::repair(console, node.config_file()?, &args)?,
        Command::Demo(args) => return demo(console, &args),
        Command::Bench(command) => return bench(console, &command),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the demo: 0 only if every promise held.
fn demo(console: Console, args: &crate::demo::DemoArgs) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        Failure::system(both!("起不了运行时：{error}", "cannot start the runtime: {error}"))
    })?;
    let chinese = console.lang == crate::text::Lang::Zh;
    match runtime.block_on(crate::demo::run(args, chinese, console.json)) {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        Err(error) => Err(error.into()),
    }
}

/// Runs a measurement: 0 only if nothing was lost or doubled.
fn bench(console: Console, command: &crate::bench::BenchCommand) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        Failure::system(both!("起不了运行时：{error}", "cannot start the runtime: {error}"))
    })?;
    let whole = runtime.block_on(crate::bench::run(command, console))?;
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The node that a command is about.
#[derive(Debug)]
struct Node {
    config: Option<PathBuf>,
    socket: Option<PathBuf>,
}

impl Node {
    fn config_file(&self) -> Result<&Path, Failure> {
        self.config.as_deref().ok_or_else(|| {
            Failure::usage(both!(
                "请用 --config 文件 指明节点配置。",
                "name the node's configuration with --config FILE."
            ))
        })
    }

    fn socket(&self) -> Result<PathBuf, Failure> {
        match (&self.socket, &self.config) {
            (Some(socket), _) => Ok(socket.clone()),
            (None, Some(config)) => Ok(Config::load(config)?.socket),
            (None, None) => Err(Failure::usage(both!(
                "请用 --socket 路径 或 --config 文件 指明节点。",
                "name the node with --socket PATH or --config FILE."
            ))),
        }
    }

    /// Runs a client command against the node.
    fn ask<F>(&self, command: impl FnOnce(Clients) -> F) -> Result<(), Failure>
    where
        F: Future<Output = Result<(), Failure>>,
    {
        let socket = self.socket()?;
        // One thread is plenty for a client, and starts faster.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::system(both!("无法启动：{error}", "cannot start: {error}")))?;
        runtime.block_on(async { command(client::connect(&socket).await?).await })
    }
}

/// Reads a file that a command was given, or stdin for `-`, up to `bytes_max`.
fn read_input(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    use std::io::Read;
    let shown = path.display();
    let mut bytes = Vec::new();
    let outcome = if path == Path::new("-") {
        std::io::stdin().lock().take(bytes_max + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes))
    };
    outcome
        .map_err(|error| Failure::input(both!("读不了 {shown}:{error}", "cannot read {shown}: {error}")))?;
    if bytes.len() as u64 > bytes_max {
        return Err(Failure::input(both!(
            "{shown} 超过 {bytes_max} 字节。",
            "{shown} is longer than {bytes_max} bytes."
        )));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_help_in_both_languages() {
        fn check(command: &clap::Command) {
            for sub in command.get_subcommands() {
                let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
                assert!(!about.is_empty() && !about.is_ascii(), "{}: {about}", sub.get_name());
                check(sub);
            }
        }
        check(&Cli::command());
    }

    #[test]
    fn the_commands_of_the_manual_are_understood() {
        for line in [
            "tongban serve --config node.toml",
            "tongban --lang zh --json status --socket node.sock",
            "tongban doctor --peer 421200 --config node.toml",
            "tongban case submit --file case.json",
            "tongban case submit --file - --key 2026-1 --wait 30",
            "tongban case show KST1",
            "tongban case list --state accepted --limit 5",
            "tongban case act KST1 accept --document-number 1 --promised-working-days 5",
            "tongban case act KST1 supplement-request --item 001=缺签字 --deadline-working-days 5",
            "tongban case act KST1 rate --level 1 --stage receiving",
            "tongban licence put --file licence.json",
            "tongban licence query --to 421200 --id 1.2 --purpose 办理 --org-name a --user-name b --item-name c --item-code d --business-code e",
            "tongban blob put scan.pdf",
            "tongban blob get sha256:0000000000000000000000000000000000000000000000000000000000000000 --out scan.pdf",
            "tongban blob show sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "tongban case submit --file case.json --blob sha256:0000000000000000000000000000000000000000000000000000000000000000=身份证.jpg",
            "tongban standard publish --to 421200 --file s.json",
            "tongban agreement sign --to 421200 --file a.json",
            "tongban document list",
            "tongban channel show 430600>421200",
            "tongban channel resume 430600>421200 --reason 已比对",
            "tongban letters list --peer 421200 --all --limit 5",
            "tongban letters show 018f0000-0000-7000-8000-000000000000",
            "tongban letters requeue 018f0000-0000-7000-8000-000000000000 --expires 24h --apply",
            "tongban letters discard 018f0000-0000-7000-8000-000000000000 --peer 421200 --reason 重复",
            "tongban inbox follow --consumer approval --ack",
            "tongban proof export --message 018f0000-0000-7000-8000-000000000000 --channel 430600>421200 --out p.json",
            "tongban proof verify p.json --anchors trust",
            "tongban reconcile run --peer 421200",
            "tongban codes check --file codes.csv",
            "tongban config check node.toml",
            "tongban certs inspect tls.pem --for tls --trust trust",
            "tongban certs list --expiring 60d --config node.toml",
            "tongban certs check --config node.toml",
            "tongban certs request --for signing --out signing.csr --config node.toml --apply",
            "tongban certs install --for tls new.pem --config node.toml --apply",
            "tongban certs rotate --for tls --out tls.csr --config node.toml",
            "tongban certs rotate --for tls --chain new.pem --config node.toml --apply",
            "tongban trust admin make system-1 --role system --out keys",
            "tongban trust adopt --admin a.json --admin b.json --admin c.json --by system-1 --trust trust",
            "tongban trust domain add jiangxi.tongban --division 36 --anchor root.pem --by system-1",
            "tongban trust domain list --trust trust",
            "tongban trust anchor import root.pem --domain jiangxi.tongban --by system-1",
            "tongban trust anchor revoke 0123456789 --by security-1 --compromised-from 2026-11-30T08:00:00+08:00",
            "tongban trust crl import list.pem --domain jiangxi.tongban --issuer issuing.pem --by system-1",
            "tongban trust node suspend 360100 --by security-1 --key security-1.key --apply",
            "tongban trust node add 360100 --certificate tls.pem --only-listed --by system-1 --trust trust",
            "tongban trust node remove 360100 360200 --by system-1 --trust trust",
            "tongban trust node any --domain jiangxi.tongban --by system-1 --trust trust",
            "tongban trust bundle publish hunan.tongban --chain bundle.pem --key bundle.key --out hunan.json --trust trust --apply",
            "tongban trust bundle inspect hunan.json --config node.toml",
            "tongban trust bundle show --config node.toml",
            "tongban trust bundle propose hunan.tongban --by system-1 --config node.toml",
            "tongban trust approve 4 --by security-1",
            "tongban trust log verify --config node.toml",
            "tongban pki dev out --node 430600 --node 421200",
            "tongban pki join out --node 430100 --port 27432",
            "tongban store repair --config node.toml --apply",
            "tongban bench exchange --size 2048 --concurrency 256 --duration 10 --suite p256-sha256",
            "tongban bench file --bytes 52428800",
            "tongban bench recover --entries 200000",
            "tongban bench overload --factor 3",
            "tongban bench peers --count 400 --idle 20 --duration 10",
            "tongban bench disk",
        ] {
            if let Err(error) = Cli::try_parse_from(line.split(' ')) {
                panic!("{line}: {error}");
            }
        }
        assert!(Cli::try_parse_from(["tongban", "case", "act", "KST1", "explode"]).is_err());
    }
}
