//! The two-city rig: 岳阳 430600 and 咸宁 421200 as real processes, with certificates of two provinces,
//! on loopback. Tests speak to them only through their public doors: the local sockets, the command
//! line, the wire, signals, and the files an operator sees.
//!
//! Every wait is on a condition with a deadline. Processes end when the rig is dropped.

pub mod city;
pub mod crashes;
pub mod desk;
pub mod disk;
pub mod documents;
pub mod files;
pub mod network;
pub mod office;
pub mod parsers;
pub mod probe;
pub mod stranger;
pub mod versions;

use city::City;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at a condition.
pub const LOOK: Duration = Duration::from_millis(10);

/// The receiving place.
pub const YUEYANG: &str = "430600";
/// The competent place.
pub const XIANNING: &str = "421200";

/// Two cities and the folder that they live in.
pub struct Rig {
    /// 岳阳, receives.
    pub yueyang: City,
    /// 咸宁, decides.
    pub xianning: City,
    dir: TempDir,
}

impl Rig {
    /// Issues certificates and writes both configurations; nothing runs yet.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let pki = dir.path().join("pki");
        devpki::write(&pki, &devpki::Plan::two_provinces(now_ms())).expect("certificates are issued");
        let (one, other) = (free_port(), free_port());
        let city = |node, port, partner, partner_port| {
            let home = dir.path().join(node);
            copy_folder(&pki.join("nodes").join(node), &home.join("keys"));
            copy_folder(&pki.join("trust"), &home.join("trust"));
            City::new(node, home, port, partner, partner_port)
        };
        let yueyang = city(YUEYANG, one, XIANNING, other);
        let xianning = city(XIANNING, other, YUEYANG, one);
        Self { yueyang, xianning, dir }
    }

    /// Makes a node that cannot be dialled: it has no listener, and its partner no address for it. To be
    /// called before either starts.
    pub fn only_dials(&self, node: &str) {
        let (dials, listens) =
            if node == YUEYANG { (&self.yueyang, &self.xianning) } else { (&self.xianning, &self.yueyang) };
        let listener = format!("address = \"127.0.0.1:{}\"", dials.port);
        let text = std::fs::read_to_string(dials.config()).expect("a configuration");
        let text = text.replace("[peer_listener]\n", "").replace(&format!("{listener}\n"), "");
        std::fs::write(dials.config(), text).expect("a configuration is written");
        let peer = format!("{listener}\ndial = true\n");
        let text = std::fs::read_to_string(listens.config()).expect("a configuration");
        assert!(text.contains(&peer), "the partner's address stands in the configuration");
        std::fs::write(listens.config(), text.replace(&peer, "")).expect("a configuration is written");
    }

    /// The folder of the certification authorities and of everything they issued.
    pub fn pki(&self) -> PathBuf {
        self.dir.path().join("pki")
    }

    /// A path below the rig's own folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Both nodes run and have met.
    pub async fn running() -> Self {
        let mut rig = Self::new();
        rig.yueyang.start().await;
        rig.xianning.start().await;
        rig.meet().await;
        rig
    }

    /// Both run, and an agreement over the test item is in effect on both.
    pub async fn agreed() -> Self {
        let rig = Self::running().await;
        documents::conclude(&rig).await;
        rig
    }

    /// Waits until either node may write to the other.
    pub async fn meet(&self) {
        for city in [&self.yueyang, &self.xianning] {
            let mut desk = city.desk().await;
            eventually("the two nodes to meet", async || {
                let status = desk.status().await;
                status.channels.iter().all(|channel| channel.connected && channel.contacted)
            })
            .await;
        }
    }

    /// Waits until both copies of both channels are equal and both folds agree, and gives the roots.
    pub async fn balanced(&self) -> Vec<(u64, String)> {
        let mut desk = self.yueyang.desk().await;
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let last = match desk.reconcile(XIANNING).await {
                Ok(reply) if reply.balanced && !reply.in_flight => {
                    return reply
                        .channels
                        .iter()
                        .map(|channel| {
                            assert_eq!(channel.root_here, channel.root_there);
                            (channel.size, channel.root_here.clone())
                        })
                        .collect();
                }
                Ok(reply) => format!("{:?} in flight: {}", reply.breaks, reply.in_flight),
                Err(status) => status.to_string(),
            };
            assert!(std::time::Instant::now() < deadline, "the books do not balance: {last}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Default for Rig {
    fn default() -> Self {
        Self::new()
    }
}

/// Waits until a condition holds.
///
/// # Panics
/// When it does not within [`PATIENCE`].
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !holds().await {
        assert!(std::time::Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// This machine's clock, Unix ms.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_millis()).expect("a clock of this age")
}

/// A port that is free now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// Copies a folder with everything in it, modes included.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("a folder can be read") {
        let entry = entry.expect("a folder can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            // A file that goes away while a running node's folder is copied is not in the copy.
            let _ = std::fs::copy(entry.path(), target);
        }
    }
}
