//! One node as a process, and the files around it.

use crate::desk::Desk;
use crate::{PATIENCE, eventually};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

/// The `tongban` binary of this build, made once.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().expect("a test knows its own path");
        // Tests lie in target/<profile>/deps, examples beside them, the command line in target/<profile>.
        let folder = test.parent().expect("a program lies in a folder");
        let of_tests = folder.file_name().is_some_and(|name| name == "deps" || name == "examples");
        let folder =
            if of_tests { folder.parent().expect("it lies in the profile's folder") } else { folder };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--locked", "--quiet", "--package", "node", "--bin", "tongban"]);
        // What cargo tells a test about its own package would make ring's build script run again, and
        // with it half the tree, here and in the next test run.
        for (name, _) in std::env::vars_os() {
            let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"];
            if name.to_str().is_some_and(|name| of_package.iter().any(|prefix| name.starts_with(prefix))) {
                build.env_remove(&name);
            }
        }
        if folder.file_name().is_some_and(|profile| profile == "release") {
            build.arg("--release");
        }
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
        assert!(built.success(), "tongban does not build");
        folder.join("tongban")
    })
}

/// Runs `tongban` with arguments to its end.
pub fn tongban(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).output().expect("tongban runs")
}

/// A node: its folder and, while it runs, its process.
pub struct City {
    /// Its division code.
    pub node: &'static str,
    /// Where partners dial it.
    pub port: u16,
    home: PathBuf,
    child: Option<Child>,
    before: Vec<String>,
}

impl City {
    /// A node in its folder, which holds its keys and its trust, with one partner that it dials.
    pub fn new(node: &'static str, home: PathBuf, port: u16, partner: &str, partner_port: u16) -> Self {
        let text = format!(
            "node = \"{node}\"\ndata_dir = \"data\"\n\
             [peer_listener]\naddress = \"127.0.0.1:{port}\"\n\
             [local]\nsocket = \"node.sock\"\n\
             [identity]\ntls_chain = \"keys/tls.pem\"\ntls_key = \"keys/tls.key\"\n\
             signing_chain = \"keys/signing.pem\"\nsigning_key = \"keys/signing.key\"\n\
             [trust]\ndir = \"trust\"\n\
             [[peer]]\nnode = \"{partner}\"\naddress = \"127.0.0.1:{partner_port}\"\ndial = true\n"
        );
        std::fs::write(home.join("tongban.toml"), text).expect("a configuration is written");
        Self { node, port, home, child: None, before: Vec::new() }
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.home.join("tongban.toml")
    }

    /// Adds lines to the configuration, before the node starts.
    pub fn configure(&self, lines: &str) {
        let text = std::fs::read_to_string(self.config()).expect("a configuration");
        std::fs::write(self.config(), format!("{text}\n{lines}\n")).expect("a configuration is written");
    }

    /// From now on started through a program that becomes the node, such as `ip netns exec`: it keeps its
    /// process id, and the word after the last of these is the node's program.
    pub fn start_through(&mut self, words: &[&str]) {
        self.before = words.iter().map(|word| (*word).to_owned()).collect();
    }

    /// The process id, while it runs.
    pub fn process(&self) -> u32 {
        self.child.as_ref().expect("the node runs").id()
    }

    /// Has the node serve metrics and probes; the port.
    pub fn observe(&self) -> u16 {
        let port = crate::free_port();
        self.configure(&format!("[observe]\naddress = \"127.0.0.1:{port}\""));
        port
    }

    /// Where journal and index lie.
    pub fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// A file or folder of the node.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// Everything the node has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("node.log")).unwrap_or_default()
    }

    /// Waits until the log holds a text.
    pub async fn logs(&self, text: &str) {
        eventually(&format!("{} to log {text}", self.node), async || self.log().contains(text)).await;
    }

    /// Starts the process and does not wait.
    pub fn launch(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.home.join("node.log"));
        let mut command = match self.before.split_first() {
            None => Command::new(binary()),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(binary());
                command
            }
        };
        let child = command
            .arg("serve")
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.expect("a log file"))
            .spawn()
            .expect("tongban starts");
        self.child = Some(child);
    }

    /// Starts the process and waits for its ready line.
    pub async fn start(&mut self) {
        self.launch();
        let stdout = self.child.as_mut().and_then(|child| child.stdout.take()).expect("stdout is piped");
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let line = tokio::time::timeout(PATIENCE, line).await.expect("the node is ready in time");
        let line = line.expect("the reader ends").expect("stdout is readable");
        assert!(line.contains("ready"), "{} did not start: {}", self.node, self.log());
    }

    /// Runs `serve` expecting that it ends by itself: its exit code and what it said.
    pub fn fails_to_start(&self) -> (i32, String) {
        let output = Command::new(binary()).arg("serve").arg("--config").arg(self.config()).output();
        let output = output.expect("tongban runs");
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// SIGKILL, and waits until the process is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
        }
    }

    /// Stops the process where it stands (SIGSTOP), or lets it go on.
    pub fn freeze(&self, freeze: bool) {
        let id = self.child.as_ref().expect("the node runs").id().to_string();
        let signal = if freeze { "-STOP" } else { "-CONT" };
        let sent = Command::new("kill").args([signal, &id]).status().expect("kill runs");
        assert!(sent.success(), "the process is there");
    }

    /// Whether the process runs still.
    pub fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// KiB of the process's memory that are resident.
    pub fn resident_kib(&self) -> u64 {
        let id = self.child.as_ref().expect("the node runs").id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("/proc is mounted");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a resident size");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// A connection of a business system and operator.
    pub async fn desk(&self) -> Desk {
        let socket = self.home.join("node.sock");
        Desk::new(node::client::connect(&socket).await.expect("the node answers on its socket"))
    }
}

impl Drop for City {
    fn drop(&mut self) {
        self.kill();
    }
}
