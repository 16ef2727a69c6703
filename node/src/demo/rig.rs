//! The two nodes: their folders, keys, configurations and processes. A node here is the same program
//! as this one, run as `tongban serve`; whatever happens, both processes end with the demo.

use super::error::{DemoError, within};
use super::place::{Place, XIANNING, YUEYANG};
use devpki::{KeyKind, NodePlan};
use rustix::process::{Pid, Signal, kill_process};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long a node that holds little may take to be ready.
pub(crate) const READY: Duration = Duration::from_secs(10);
/// Lines of a log that an error shows.
const TAIL_LINES: usize = 12;
/// The local socket in a node's folder.
const SOCKET: &str = "tongban.sock";
/// The folder of the certification authorities.
const AUTHORITIES: &str = "authorities";

/// Both nodes.
#[derive(Debug)]
pub(crate) struct Rig {
    /// 岳阳's.
    pub yueyang: Node,
    /// 咸宁's.
    pub xianning: Node,
    folder: Folder,
}

impl Rig {
    /// Issues certificates and writes both configurations, in `keep` or in a folder that goes away.
    pub(crate) fn build(keep: Option<&Path>, now_ms: i64, signing: KeyKind) -> Result<Self, DemoError> {
        let folder = Folder::make(keep)?;
        let authorities = folder.path.join(AUTHORITIES);
        let mut plan = devpki::Plan::two_provinces(now_ms);
        for node in plan.provinces.iter_mut().flat_map(|province| &mut province.nodes) {
            node.signing = signing;
        }
        devpki::write(&authorities, &plan)?;
        let (yueyang_port, xianning_port) = free_ports()?;
        let node = |place: &'static Place, port, partner, partner_port| {
            let home = folder.path.join(format!("{}-{}", place.code, place.en.to_lowercase()));
            give_keys(&authorities, &home, place)?;
            // 岳阳 dials: one link serves both directions.
            let config = write_config(&home, place, port, (partner, partner_port, *place == YUEYANG))?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            Ok::<_, DemoError>(Node { place, address, home, config, child: None })
        };
        Ok(Self {
            yueyang: node(&YUEYANG, yueyang_port, &XIANNING, xianning_port)?,
            xianning: node(&XIANNING, xianning_port, &YUEYANG, yueyang_port)?,
            folder,
        })
    }

    /// One more city of a province that is here already, whose node dials 岳阳's. 岳阳 has to be told
    /// ([`Node::configure`]) before it starts.
    pub(crate) fn join(
        &self,
        place: &'static Place,
        now_ms: i64,
        signing: KeyKind,
    ) -> Result<Node, DemoError> {
        let authorities = self.authorities();
        devpki::join(&authorities, place.domain, &NodePlan { signing, ..NodePlan::new(place.code) }, now_ms)?;
        let home = self.folder.path.join(format!("{}-{}", place.code, place.en.to_lowercase()));
        give_keys(&authorities, &home, place)?;
        let (port, _) = free_ports()?;
        let config = write_config(&home, place, port, (&YUEYANG, self.yueyang.address.port(), true))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Node { place, address, home, config, child: None })
    }

    /// The folder of the certification authorities, as `devpki` writes it.
    pub(crate) fn authorities(&self) -> PathBuf {
        self.folder.path.join(AUTHORITIES)
    }

    /// The folder that holds both nodes'.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// Keeps the folder whatever `--keep` said: somebody has to look at the logs.
    pub(crate) fn keep_folder(&mut self) {
        self.folder.temporary = false;
    }

    /// Whether the folder stays.
    pub(crate) fn folder_stays(&self) -> bool {
        !self.folder.temporary
    }

    /// Ends both processes.
    pub(crate) async fn stop(&mut self) -> Result<(), DemoError> {
        self.yueyang.kill().await?;
        self.xianning.kill().await.map(drop)
    }
}

/// One node: its folder and, while it runs, its process.
#[derive(Debug)]
pub(crate) struct Node {
    /// The city.
    pub place: &'static Place,
    address: SocketAddr,
    home: PathBuf,
    config: PathBuf,
    child: Option<Child>,
}

impl Node {
    /// Where partners dial it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has the node, which does not run yet, dial another address instead of its partner's.
    pub(crate) fn dials(&self, partner: SocketAddr, instead: SocketAddr) -> Result<(), DemoError> {
        let failed = || DemoError::file(&self.config);
        let text = std::fs::read_to_string(&self.config).map_err(failed())?;
        let (partner, instead) = (format!("\"{partner}\""), format!("\"{instead}\""));
        std::fs::write(&self.config, text.replace(&partner, &instead)).map_err(failed())
    }

    /// The local socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.home.join(SOCKET)
    }

    /// The process, while it runs.
    pub(crate) fn process(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// What this node trusts.
    pub(crate) fn trust(&self) -> PathBuf {
        self.home.join("trust")
    }

    /// Where its journal and index lie.
    pub(crate) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    fn log(&self) -> PathBuf {
        self.home.join("node.log")
    }

    /// Puts a file into the node's folder, before the node starts.
    pub(crate) fn give(&self, name: &str, content: &str) -> Result<(), DemoError> {
        let file = self.home.join(name);
        std::fs::write(&file, content).map_err(DemoError::file(&file))
    }

    /// Adds lines to the end of the configuration, before the node starts.
    pub(crate) fn configure(&self, lines: &str) -> Result<(), DemoError> {
        let text = std::fs::read_to_string(&self.config).map_err(DemoError::file(&self.config))?;
        std::fs::write(&self.config, text + lines).map_err(DemoError::file(&self.config))
    }

    /// Starts the process and waits for its ready line, at most so long; how long that took.
    pub(crate) async fn start(&mut self, patience: Duration) -> Result<Duration, DemoError> {
        let began = Instant::now();
        let program = std::env::current_exe().map_err(DemoError::file(Path::new("tongban")))?;
        let log = self.log();
        let stderr =
            std::fs::File::options().create(true).append(true).open(&log).map_err(DemoError::file(&log))?;
        let mut child = Command::new(&program)
            .arg("serve")
            .arg("--config")
            .arg(&self.config)
            // what the environment says about a node is not about this one
            .env_remove("TONGBAN_CONFIG")
            .env_remove("TONGBAN_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .map_err(DemoError::file(&program))?;
        let Some(stdout) = child.stdout.take() else {
            return Err(DemoError::Broken("a piped standard output is missing".into()));
        };
        let mut lines = BufReader::new(stdout).lines();
        self.child = Some(child);
        let ready = async {
            while let Some(line) = lines.next_line().await.map_err(DemoError::file(&log))? {
                if line.contains("ready") {
                    return Ok(());
                }
            }
            Err(DemoError::NodeEnded { node: self.place.code, tail: tail(&log), log: log.clone() })
        };
        within(patience, &format!("node {} to be ready", self.place.code), ready).await?;
        // whatever it says later must not fill the pipe
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(began.elapsed())
    }

    /// Stops the process where it stands (SIGSTOP), or lets it go on.
    pub(crate) fn freeze(&self, freeze: bool) -> Result<(), DemoError> {
        self.signal(if freeze { Signal::STOP } else { Signal::CONT })
    }

    fn signal(&self, signal: Signal) -> Result<(), DemoError> {
        let id = self.process().and_then(|id| i32::try_from(id).ok());
        let Some(process) = id.and_then(Pid::from_raw) else {
            return Err(DemoError::Broken(format!("node {} does not run", self.place.code)));
        };
        kill_process(process, signal).map_err(|error| DemoError::file(&self.log())(error.into()))
    }

    /// Stops the process in order (SIGTERM) and waits for its end, at most so long.
    pub(crate) async fn stop(&mut self, patience: Duration) -> Result<(), DemoError> {
        self.signal(Signal::TERM)?;
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let log = self.log();
        let ended = async { child.wait().await.map_err(DemoError::file(&log)) };
        let status = within(patience, &format!("node {} to stop", self.place.code), ended).await?;
        if !status.success() {
            let tail = tail(&log);
            return Err(DemoError::Broken(format!("node {} stopped with {status}: {tail}", self.place.code)));
        }
        Ok(())
    }

    /// Kills the process with SIGKILL; the signal that it died of, `None` when it did not run.
    pub(crate) async fn kill(&mut self) -> Result<Option<i32>, DemoError> {
        let Some(mut child) = self.child.take() else { return Ok(None) };
        let log = self.log();
        child.start_kill().map_err(DemoError::file(&log))?;
        let status = child.wait().await.map_err(DemoError::file(&log))?;
        Ok(status.signal())
    }
}

/// A work folder; removed at the end when it is temporary.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    fn make(keep: Option<&Path>) -> Result<Self, DemoError> {
        let temporary = keep.is_none();
        let path = match keep {
            Some(path) => std::path::absolute(path).map_err(DemoError::file(path))?,
            None => std::env::temp_dir().join(format!("tongban-demo-{}", std::process::id())),
        };
        std::fs::create_dir_all(&path).map_err(DemoError::file(&path))?;
        let mut entries = std::fs::read_dir(&path).map_err(DemoError::file(&path))?;
        if entries.next().is_some() {
            return Err(DemoError::KeepNotEmpty(path));
        }
        Ok(Self { path, temporary })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            // a folder left in the temporary directory is no reason to fail
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Two ports that are free now. Nothing else may take them before the nodes do; if something does, the
/// node says so and the demo ends with its log.
fn free_ports() -> Result<(u16, u16), DemoError> {
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    let both = || {
        let (one, other) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
        Ok((port(&one)?, port(&other)?))
    };
    both().map_err(DemoError::file(Path::new("127.0.0.1")))
}

/// Copies what only this node has, and what it trusts, into its folder: no node reads another's.
fn give_keys(authorities: &Path, home: &Path, place: &Place) -> Result<(), DemoError> {
    copy_folder(&authorities.join("nodes").join(place.code), &home.join("keys"))?;
    copy_folder(&authorities.join("trust"), &home.join("trust"))
}

/// Writes a node's configuration with one partner: who, at which port, and whether it is dialled.
fn write_config(
    home: &Path,
    place: &Place,
    port: u16,
    (partner, partner_port, dial): (&Place, u16, bool),
) -> Result<PathBuf, DemoError> {
    let Place { code, domain, .. } = place;
    let partner = partner.code;
    let text = format!(
        r#"# {domain}, written by `tongban demo`
node = "{code}"
data_dir = "data"

[peer_listener]
address = "127.0.0.1:{port}"

[local]
socket = "{SOCKET}"

[identity]
tls_chain = "keys/tls.pem"
tls_key = "keys/tls.key"
signing_chain = "keys/signing.pem"
signing_key = "keys/signing.key"

[trust]
dir = "trust"

[[peer]]
node = "{partner}"
address = "127.0.0.1:{partner_port}"
dial = {dial}
"#
    );
    let file = home.join("tongban.toml");
    std::fs::write(&file, text).map_err(DemoError::file(&file))?;
    Ok(file)
}

/// Copies the files of a folder, their modes included.
fn copy_folder(from: &Path, to: &Path) -> Result<(), DemoError> {
    std::fs::create_dir_all(to).map_err(DemoError::file(to))?;
    for entry in std::fs::read_dir(from).map_err(DemoError::file(from))? {
        let entry = entry.map_err(DemoError::file(from))?;
        std::fs::copy(entry.path(), to.join(entry.file_name())).map_err(DemoError::file(&entry.path()))?;
    }
    Ok(())
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
