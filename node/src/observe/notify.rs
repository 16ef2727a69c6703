//! Passes alarms on: to a program's standard input, to an address by HTTP POST, or both. Each has its
//! own queue, in order, and is tried until it takes the notice, with growing, jittered pauses. A queue
//! that is full drops its oldest notice and counts it: what is newest matters most, and the log has all.

use std::collections::VecDeque;
use std::io;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gateway::clock::Randomness;
use gateway::health::alarm::Notice;
use gateway::id::NodeId;
use gateway::limits::{
    ALARM_ATTEMPT_MILLIS_MAX, ALARM_QUEUE_MAX, ALARM_RETRY_MILLIS_MAX, ALARM_RETRY_MILLIS_MIN,
};
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::config::{Alarm, AlarmCommand, Webhook};

/// The form of a notice; raised when a program that reads it would have to change.
const FORMAT: &str = "tongban-alarm/v1";

/// Everybody who is told.
pub struct Couriers {
    couriers: Vec<Arc<Courier>>,
}

/// What one courier has done, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// `command` or `webhook`.
    pub sink: &'static str,
    /// Notices that were taken.
    pub taken: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Notices that were dropped from a full queue.
    pub dropped: u64,
    /// Notices that wait, the one that is being tried included.
    pub waiting: usize,
}

impl Couriers {
    /// Those that a configuration names.
    pub fn new(alarm: &Alarm, randomness: &Arc<dyn Randomness>) -> Self {
        let command = alarm.command.clone().map(Sink::Command);
        let webhook = alarm.webhook.clone().map(Sink::Webhook);
        let couriers = command.into_iter().chain(webhook);
        Self { couriers: couriers.map(|sink| Arc::new(Courier::new(sink, Arc::clone(randomness)))).collect() }
    }

    /// Carries until the returned set is dropped.
    pub fn start(&self) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for courier in &self.couriers {
            tasks.spawn(Arc::clone(courier).carry());
        }
        tasks
    }

    /// Puts a notice into every queue.
    pub fn send(&self, node: NodeId, notice: &Notice) {
        let text = Bytes::from(format!("{}\n", document(node, notice)));
        for courier in &self.couriers {
            courier.put(text.clone());
        }
    }

    /// Tries what waits at once, for as long as `patience` lasts; how many notices still wait then.
    pub async fn flush(&self, patience: Duration) -> usize {
        let all = async {
            for courier in &self.couriers {
                courier.hurry.notify_one();
                // The sender is the courier's own, so it does not go away.
                let _ = courier.outstanding.subscribe().wait_for(|outstanding| *outstanding == 0).await;
            }
        };
        let _ = tokio::time::timeout(patience, all).await;
        self.counts().iter().map(|counts| counts.waiting).sum()
    }

    /// What each has done.
    pub fn counts(&self) -> Vec<Counts> {
        let counts = self.couriers.iter().map(|courier| Counts {
            sink: courier.sink.name(),
            taken: courier.taken.load(Ordering::Relaxed),
            failed: courier.failed.load(Ordering::Relaxed),
            dropped: courier.dropped.load(Ordering::Relaxed),
            waiting: *courier.outstanding.borrow(),
        });
        counts.collect()
    }
}

/// The notice as a program reads it.
fn document(node: NodeId, notice: &Notice) -> Value {
    let condition = &notice.condition;
    let code = condition.about.code;
    json!({
        "format": FORMAT,
        "node": node.as_str(),
        "change": notice.change.name(),
        "code": code.code(),
        "subject": condition.about.subject,
        "severity": condition.severity.name(),
        "fault": code.fault().name(),
        "detail": condition.detail,
        "since_ms": notice.since.0,
        "at_ms": notice.at.0,
        "message_zh": code.zh(),
        "message_en": code.en(),
    })
}

enum Sink {
    Command(AlarmCommand),
    Webhook(Webhook),
}

impl Sink {
    fn name(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Webhook(_) => "webhook",
        }
    }
}

struct Courier {
    sink: Sink,
    randomness: Arc<dyn Randomness>,
    queue: Mutex<VecDeque<Bytes>>,
    /// Notices in the queue and in hand.
    outstanding: watch::Sender<usize>,
    /// Ends a pause.
    hurry: Notify,
    taken: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

impl Courier {
    fn new(sink: Sink, randomness: Arc<dyn Randomness>) -> Self {
        Self {
            sink,
            randomness,
            queue: Mutex::default(),
            outstanding: watch::Sender::new(0),
            hurry: Notify::new(),
            taken: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    fn put(&self, notice: Bytes) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let full = queue.len() >= ALARM_QUEUE_MAX;
        if full {
            queue.pop_front();
            self.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(sink = self.sink.name(), outcome = "dropped", "an alarm's notice waited too long");
        }
        queue.push_back(notice);
        drop(queue);
        if !full {
            self.outstanding.send_modify(|outstanding| *outstanding += 1);
        }
    }

    async fn carry(self: Arc<Self>) {
        let mut waits = self.outstanding.subscribe();
        loop {
            if waits.wait_for(|outstanding| *outstanding > 0).await.is_err() {
                return;
            }
            let next = self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(notice) = next else { continue };
            let mut pause = ALARM_RETRY_MILLIS_MIN;
            while let Err(error) = self.attempt(&notice).await {
                self.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(sink = self.sink.name(), outcome = "failed", %error, retry_ms = pause,
                    "an alarm's notice was not taken");
                let jittered = pause / 2 + self.random() % (pause / 2 + 1);
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(jittered)) => {}
                    () = self.hurry.notified() => {}
                }
                pause = (2 * pause).min(ALARM_RETRY_MILLIS_MAX);
            }
            self.taken.fetch_add(1, Ordering::Relaxed);
            self.outstanding.send_modify(|outstanding| *outstanding -= 1);
        }
    }

    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        self.randomness.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }

    async fn attempt(&self, notice: &Bytes) -> io::Result<()> {
        let attempt = async {
            match &self.sink {
                Sink::Command(command) => run(command, notice).await,
                Sink::Webhook(webhook) => post(webhook, notice).await,
            }
        };
        let patience = Duration::from_millis(ALARM_ATTEMPT_MILLIS_MAX);
        tokio::time::timeout(patience, attempt).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Runs the program to its end. One that takes too long is killed when this is dropped.
async fn run(command: &AlarmCommand, notice: &Bytes) -> io::Result<()> {
    let mut child = tokio::process::Command::new(&command.program)
        .args(&command.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program may decide without reading; its exit code counts.
        let _ = stdin.write_all(notice).await;
    }
    let status = child.wait().await?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("the command ended with {status}"))) }
}

async fn post(webhook: &Webhook, notice: &Bytes) -> io::Result<()> {
    let stream = TcpStream::connect(&webhook.authority).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // Ends with this attempt, whatever the other side does.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = Request::builder()
        .method(Method::POST)
        .uri(&webhook.path)
        .header(HOST, &webhook.authority)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(notice.clone()))
        .map_err(io::Error::other)?;
    let answer = sender.send_request(request).await.map_err(io::Error::other)?;
    let status = answer.status();
    if status.is_success() { Ok(()) } else { Err(io::Error::other(format!("the webhook answered {status}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway::clock::SystemRandomness;
    use gateway::health::alarm::{About, Change, Condition, Severity};
    use gateway::refusal::RefusalCode;
    use gateway::time::UnixMillis;
    use std::path::Path;
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
    use tokio::net::TcpListener;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn notice(subject: &str) -> Notice {
        Notice {
            change: Change::Raised,
            condition: Condition {
                about: About { code: RefusalCode::Fork, subject: subject.into() },
                severity: Severity::Critical,
                level: 0,
                detail: "size=5".into(),
            },
            since: UnixMillis(1),
            at: UnixMillis(2),
        }
    }

    fn couriers(alarm: &Alarm) -> Couriers {
        let randomness: Arc<dyn Randomness> = Arc::new(SystemRandomness::default());
        Couriers::new(alarm, &randomness)
    }

    fn to_file(script: &str, file: &Path) -> Alarm {
        let arguments = vec!["-c".into(), script.into(), "sh".into(), file.display().to_string()];
        Alarm { command: Some(AlarmCommand { program: "/bin/sh".into(), arguments }), webhook: None }
    }

    fn node() -> NodeId {
        "430600".parse().unwrap()
    }

    #[tokio::test]
    async fn a_command_reads_one_json_object_for_each_notice_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("notices");
        let couriers = couriers(&to_file("cat >> \"$1\"", &file));
        let _carrying = couriers.start();
        for subject in ["a", "b", "c"] {
            couriers.send(node(), &notice(subject));
        }
        assert_eq!(couriers.flush(PATIENCE).await, 0);
        let text = std::fs::read_to_string(&file).unwrap();
        let read: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let subjects: Vec<_> = read.iter().map(|notice| notice["subject"].as_str().unwrap()).collect();
        assert_eq!(subjects, ["a", "b", "c"]);
        assert_eq!(read[0]["format"], FORMAT);
        assert_eq!(read[0]["code"], "channel.fork");
        assert_eq!(read[0]["change"], "raised");
        assert_eq!(read[0]["node"], "430600");
        assert_eq!(couriers.counts()[0].taken, 3);
    }

    #[tokio::test]
    async fn a_command_that_fails_is_tried_again_until_it_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("notices");
        // The first run leaves a mark and fails.
        let script = "[ -e \"$1.tried\" ] || { : > \"$1.tried\"; exit 1; }; cat > \"$1\"";
        let couriers = couriers(&to_file(script, &file));
        let _carrying = couriers.start();
        couriers.send(node(), &notice("a"));
        assert_eq!(couriers.flush(PATIENCE).await, 0);
        assert!(std::fs::read_to_string(&file).unwrap().contains("channel.fork"));
        let counts = couriers.counts()[0];
        assert_eq!((counts.taken, counts.failed), (1, 1));
    }

    #[tokio::test]
    async fn a_queue_that_is_full_drops_the_oldest_and_counts_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("notices");
        let couriers = couriers(&to_file("cat >> \"$1\"", &file));
        // Nobody carries yet.
        for serial in 0..ALARM_QUEUE_MAX + 3 {
            couriers.send(node(), &notice(&format!("subject-{serial}.")));
        }
        let counts = couriers.counts()[0];
        assert_eq!((counts.dropped, counts.waiting), (3, ALARM_QUEUE_MAX));
        let _carrying = couriers.start();
        assert_eq!(couriers.flush(PATIENCE).await, 0);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), ALARM_QUEUE_MAX);
        assert!(!text.contains("subject-2.") && text.contains("subject-3."));
    }

    #[tokio::test]
    async fn a_webhook_is_posted_to_and_a_refusing_one_is_posted_to_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let webhook = Some(Webhook { authority, path: "/hook?team=duty".into() });
        let couriers = couriers(&Alarm { command: None, webhook });
        let _carrying = couriers.start();
        couriers.send(node(), &notice("a"));
        let mut bodies = Vec::new();
        for status in ["503 Service Unavailable", "204 No Content"] {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
                head.push_str(&line);
            }
            assert!(head.starts_with("POST /hook?team=duty HTTP/1.1\r\n"), "{head}");
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            bodies.push(body);
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        assert_eq!(couriers.flush(PATIENCE).await, 0);
        assert_eq!(bodies[0], bodies[1], "the same notice");
        let read: Value = serde_json::from_slice(&bodies[1]).unwrap();
        assert_eq!(read["message_zh"], RefusalCode::Fork.zh());
    }

    #[tokio::test]
    async fn a_flush_does_not_wait_longer_than_it_may() {
        let dir = tempfile::tempdir().unwrap();
        let couriers = couriers(&to_file("exit 1", dir.path()));
        let _carrying = couriers.start();
        couriers.send(node(), &notice("a"));
        assert_eq!(couriers.flush(Duration::from_millis(100)).await, 1);
    }
}
