//! The commands below `tongban trust`, and who carries each out.

use clap::Subcommand;

use super::{Home, NamedArgs, Place, admin, anchor, bundle, crl, domain, node, show, waiting};
use crate::console::{Console, Failure};

/// `tongban trust …`
#[derive(Debug, Subcommand)]
pub enum TrustCommand {
    /// Take a folder with trust.toml over into an administration log. 启用管理日志
    Adopt(admin::AdoptArgs),
    /// Administrators and their keys. 管理员
    #[command(subcommand)]
    Admin(TrustAdminCommand),
    /// Trust domains. 信任域
    #[command(subcommand)]
    Domain(TrustDomainCommand),
    /// Root certificates. 根证书
    #[command(subcommand)]
    Anchor(TrustAnchorCommand),
    /// Revocation lists. 吊销列表
    #[command(subcommand)]
    Crl(TrustCrlCommand),
    /// Partners' nodes. 伙伴节点
    #[command(subcommand)]
    Node(TrustNodeCommand),
    /// Trust bundles that provinces publish. 信任包
    #[command(subcommand)]
    Bundle(TrustBundleCommand),
    /// Approve a proposal (security administrator). 批准申请
    Approve(waiting::RecordArgs),
    /// Decline or withdraw a proposal. 否决或撤回申请
    Decline(waiting::RecordArgs),
    /// Confirm what one person did alone. 确认紧急处置
    Confirm(waiting::RecordArgs),
    /// Record that the log was read up to a record (audit administrator). 审查日志
    Review(waiting::RecordArgs),
    /// The administration log. 管理日志
    #[command(subcommand)]
    Log(TrustLogCommand),
}

/// `tongban trust admin …`
#[derive(Debug, Subcommand)]
pub enum TrustAdminCommand {
    /// Make an administrator's key. 生成管理员密钥
    Make(admin::AdminMakeArgs),
    /// Propose an administrator. 申请新增管理员
    Add(admin::AdminAddArgs),
    /// Propose that an administrator goes. 申请撤销管理员
    Remove(NamedArgs),
}

/// `tongban trust domain …`
#[derive(Debug, Subcommand)]
pub enum TrustDomainCommand {
    /// Propose a trust domain with its root, prepared. 申请新增信任域
    Add(domain::DomainAddArgs),
    /// All domains with roots and suspensions. 列出信任域
    List(Place),
    /// One domain. 查看信任域
    Show(show::DomainShowArgs),
    /// Propose other division prefixes. 申请变更区划前缀
    Prefixes(domain::DomainPrefixesArgs),
    /// Propose that a domain goes. 申请移除信任域
    Remove(NamedArgs),
}

/// `tongban trust anchor …`
#[derive(Debug, Subcommand)]
pub enum TrustAnchorCommand {
    /// Propose a further root, which begins as prepared. 申请登记根证书（待用）
    #[command(visible_alias = "prepare")]
    Import(anchor::AnchorImportArgs),
    /// Propose that a root is used. 申请启用根证书
    Activate(anchor::AnchorArgs),
    /// At once: nothing new under this root; old evidence still verifies. 立即停用根证书
    Taint(anchor::AnchorArgs),
    /// At once: nothing under this root counts any more. 立即撤销根证书
    Revoke(anchor::AnchorRevokeArgs),
}

/// `tongban trust crl …`
#[derive(Debug, Subcommand)]
pub enum TrustCrlCommand {
    /// Install newer revocation lists. 导入吊销列表
    Import(crl::CrlImportArgs),
    /// The lists of every domain. 查看吊销列表
    Show(Place),
}

/// `tongban trust node …`
#[derive(Debug, Subcommand)]
pub enum TrustNodeCommand {
    /// Propose that nodes are listed, or that a listed one has other keys. 申请列入节点或更改其密钥
    Add(node::NodeAddArgs),
    /// Propose that listed nodes go. 申请移出节点
    Remove(node::NodesArgs),
    /// Propose that a domain's list ends: all that its authority certified count. 申请取消节点列表
    Any(node::AnyArgs),
    /// At once: the node opens nothing new and its connections close. 立即暂停节点
    Suspend(node::NodeArgs),
    /// Propose that a suspension ends. 申请恢复节点
    Resume(node::NodeArgs),
}

/// `tongban trust bundle …`
#[derive(Debug, Subcommand)]
pub enum TrustBundleCommand {
    /// Sign the state of one's own domain as a bundle for partners. 签发本省信任包
    Publish(bundle::PublishArgs),
    /// What a bundle file says and what this node would make of it. Exit code 3 when it is refused. 解读信任包
    Inspect(bundle::InspectArgs),
    /// The bundles that this node follows, how fresh they are, and what they suggest. 查看所采用的信任包
    Show,
    /// Propose the new root or prefixes that a bundle suggests. 就信任包所提的新根或前缀提出申请
    Propose(bundle::ProposeArgs),
}

/// `tongban trust log …`
#[derive(Debug, Subcommand)]
pub enum TrustLogCommand {
    /// Who did what, and what waits for a second person. 查看日志与待办
    Show(Place),
    /// Verify signatures, chain and rules. Exit code 8 when it cannot be trusted. 验证日志
    Verify(Place),
}

impl TrustCommand {
    /// Does what was asked.
    ///
    /// # Errors
    /// Those of the command.
    pub fn run(&self, console: Console, home: Home<'_>) -> Result<(), Failure> {
        match self {
            Self::Adopt(args) => admin::adopt(console, home, args),
            Self::Admin(TrustAdminCommand::Make(args)) => admin::admin_make(console, args),
            Self::Admin(TrustAdminCommand::Add(args)) => admin::admin_add(console, home, args),
            Self::Admin(TrustAdminCommand::Remove(args)) => admin::admin_remove(console, home, args),
            Self::Domain(TrustDomainCommand::Add(args)) => domain::domain_add(console, home, args),
            Self::Domain(TrustDomainCommand::List(place)) => show::domain_list(console, home, place),
            Self::Domain(TrustDomainCommand::Show(args)) => show::domain_show(console, home, args),
            Self::Domain(TrustDomainCommand::Prefixes(args)) => domain::domain_prefixes(console, home, args),
            Self::Domain(TrustDomainCommand::Remove(args)) => domain::domain_remove(console, home, args),
            Self::Anchor(TrustAnchorCommand::Import(args)) => anchor::anchor_import(console, home, args),
            Self::Anchor(TrustAnchorCommand::Activate(args)) => anchor::anchor_activate(console, home, args),
            Self::Anchor(TrustAnchorCommand::Taint(args)) => anchor::anchor_taint(console, home, args),
            Self::Anchor(TrustAnchorCommand::Revoke(args)) => anchor::anchor_revoke(console, home, args),
            Self::Crl(TrustCrlCommand::Import(args)) => crl::crl_import(console, home, args),
            Self::Crl(TrustCrlCommand::Show(place)) => show::crl_show(console, home, place),
            Self::Node(TrustNodeCommand::Add(args)) => node::node_add(console, home, args),
            Self::Node(TrustNodeCommand::Remove(args)) => node::node_remove(console, home, args),
            Self::Node(TrustNodeCommand::Any(args)) => node::node_any(console, home, args),
            Self::Node(TrustNodeCommand::Suspend(args)) => node::node_suspend(console, home, args),
            Self::Node(TrustNodeCommand::Resume(args)) => node::node_resume(console, home, args),
            Self::Bundle(TrustBundleCommand::Publish(args)) => bundle::publish(console, home, args),
            Self::Bundle(TrustBundleCommand::Inspect(args)) => bundle::inspect(console, home, args),
            Self::Bundle(TrustBundleCommand::Show) => bundle::show(console, home),
            Self::Bundle(TrustBundleCommand::Propose(args)) => bundle::propose(console, home, args),
            Self::Approve(args) => waiting::approve(console, home, args),
            Self::Decline(args) => waiting::decline(console, home, args),
            Self::Confirm(args) => waiting::confirm(console, home, args),
            Self::Review(args) => waiting::review(console, home, args),
            Self::Log(TrustLogCommand::Show(place)) => show::log_show(console, home, place),
            Self::Log(TrustLogCommand::Verify(place)) => show::log_verify(console, home, place),
        }
    }
}
