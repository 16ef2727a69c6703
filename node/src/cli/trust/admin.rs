//! `trust adopt` and `trust admin …`: who may change trust. The private half of a key is never printed.

use std::path::{Path, PathBuf};

use certs::administration::event::Administrator;
use certs::administration::log::to_hex;
use certs::administration::{Act, Change, Role};
use certs::{TrustStore, pem};
use clap::{Args, ValueEnum};

use super::{By, Home, NamedArgs, act, internal, propose};
use crate::both;
use crate::cli::certs::refused;
use crate::cli::read_input;
use crate::cli::rotate::write_new;
use crate::console::{Console, Failure};

/// What an administrator is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Proposes. 系统管理员
    System,
    /// Approves. 安全管理员
    Security,
    /// Reviews. 审计管理员
    Audit,
}

/// `tongban trust admin make`
#[derive(Debug, Args)]
pub struct AdminMakeArgs {
    /// Role and number, such as security-1; no personal name. 名称（角色加编号，勿用人名）
    pub name: String,
    /// The role. 角色
    #[arg(long, value_enum)]
    pub role: RoleArg,
    /// Folder for NAME.key (stays with this person) and NAME.json (goes to the trust folder's keeper). 输出目录
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
}

/// `tongban trust admin add`
#[derive(Debug, Args)]
pub struct AdminAddArgs {
    /// What `trust admin make` wrote, NAME.json. 管理员公钥文件
    pub file: PathBuf,
    /// Who proposes.
    #[command(flatten)]
    pub by: By,
}

/// `tongban trust adopt`
#[derive(Debug, Args)]
pub struct AdoptArgs {
    /// An administrator's NAME.json; at least one of each role. 管理员公钥文件，可重复
    #[arg(long = "admin", value_name = "FILE", required = true)]
    pub administrators: Vec<PathBuf>,
    /// Who takes the folder over; another one confirms.
    #[command(flatten)]
    pub by: By,
}

/// Makes an administrator's key. The private half is never printed.
///
/// # Errors
/// When a file of that name is there.
pub fn admin_make(console: Console, args: &AdminMakeArgs) -> Result<(), Failure> {
    let random = ring::rand::SystemRandom::new();
    let made = ring::signature::Ed25519KeyPair::generate_pkcs8(&random)
        .map_err(|_| Failure::system(both!("没有随机数。", "there is no randomness.")))?;
    let key = pem::public_key(&rustls::pki_types::PrivatePkcs8KeyDer::from(made.as_ref()))
        .map_err(|error| refused(&error))?;
    let role = match args.role {
        RoleArg::System => Role::System,
        RoleArg::Security => Role::Security,
        RoleArg::Audit => Role::Audit,
    };
    let administrator = Administrator { name: args.name.clone(), role, key: to_hex(&key) };
    let document = serde_json::to_value(&administrator).map_err(|error| internal(&error))?;
    let (private, public) =
        (args.out.join(format!("{}.key", args.name)), args.out.join(format!("{}.json", args.name)));
    write_new(&private, &pem::private_key_text(made.as_ref()), 0o600)?;
    write_new(&public, &format!("{document}\n"), 0o644)?;
    console.result(&document, |lang| {
        let (private, public) = (private.display(), public.display());
        lang.pick(
            format!("私钥 {private} 由本人保管；{public} 交给信任目录保管人登记。"),
            format!("{private} stays with this person; {public} goes to whoever keeps the trust folder."),
        )
    })
}

/// Takes a folder with `trust.toml` over into an administration log.
///
/// # Errors
/// [`certs::administration::NotAllowed`] as a failure.
pub fn adopt(console: Console, home: Home<'_>, args: &AdoptArgs) -> Result<(), Failure> {
    let dir = home.dir(&args.by.place)?;
    let administrators = args.administrators.iter().map(|file| read_admin(file)).collect::<Result<_, _>>()?;
    let (trust_toml, domains) = TrustStore::records(&dir).map_err(|error| refused(&error))?;
    act(console, home, &args.by, &Act::Adopt { trust_toml, domains, administrators }, None)
}

/// Proposes an administrator.
///
/// # Errors
/// As [`adopt`].
pub fn admin_add(console: Console, home: Home<'_>, args: &AdminAddArgs) -> Result<(), Failure> {
    let administrator = read_admin(&args.file)?;
    propose(console, home, &args.by, Change::AdministratorAdd { administrator }, None)
}

/// Proposes that an administrator goes.
///
/// # Errors
/// As [`adopt`].
pub fn admin_remove(console: Console, home: Home<'_>, args: &NamedArgs) -> Result<(), Failure> {
    propose(console, home, &args.by, Change::AdministratorRemove { name: args.name.clone() }, None)
}

fn read_admin(file: &Path) -> Result<Administrator, Failure> {
    let bytes = read_input(file, 4096)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let file = file.display();
        Failure::input(both!(
            "{file} 不是管理员公钥文件：{error}",
            "{file} is no administrator's file: {error}"
        ))
    })
}
