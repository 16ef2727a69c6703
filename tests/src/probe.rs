//! What a monitoring system sees of a node: one HTTP request a look.

use crate::{LOOK, PATIENCE};
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Asks once: status and body; nothing when nobody listens or the answer breaks off.
pub async fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// `/readyz`: whether it says yes, and each failed check with its code.
pub async fn ready(port: u16) -> Option<(bool, Vec<(String, String)>)> {
    let (status, body) = get(port, "/readyz").await?;
    let body: Value = serde_json::from_str(&body).expect("a JSON body");
    assert_eq!(body["ready"], status == 200, "status and body agree: {body}");
    let checks = body["checks"].as_array().expect("checks").iter();
    let failed = checks.filter(|check| check["ok"] == false).map(|check| {
        let text = |field: &str| check[field].as_str().unwrap_or_default().to_owned();
        assert!(!text("message_zh").is_empty() && !text("message_en").is_empty(), "{check}");
        (text("check"), text("code"))
    });
    Some((status == 200, failed.collect()))
}

/// Waits until `/readyz` fails with exactly these checks and codes (none: it says yes).
pub async fn readiness(port: u16, expected: &[(&str, &str)]) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let seen = ready(port).await;
        let as_expected = seen.as_ref().is_some_and(|(_, failed)| {
            failed.iter().map(|(check, code)| (check.as_str(), code.as_str())).eq(expected.iter().copied())
        });
        if as_expected {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "waited for {expected:?}, last saw {seen:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// One scrape.
#[derive(Debug)]
pub struct Metrics {
    series: BTreeMap<String, f64>,
    types: BTreeMap<String, String>,
}

impl Metrics {
    /// Scrapes a node and reads the text strictly.
    ///
    /// # Panics
    /// When the node does not answer or a line is not of the Prometheus text format.
    pub async fn scrape(port: u16) -> Self {
        let (status, text) = get(port, "/metrics").await.expect("a scrape");
        assert_eq!(status, 200);
        let (mut series, mut types) = (BTreeMap::new(), BTreeMap::new());
        for line in text.lines() {
            if let Some(declared) = line.strip_prefix("# TYPE ") {
                let (name, kind) = declared.split_once(' ').expect("a name and a type");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is declared twice");
            } else if !line.starts_with("# HELP ") {
                let (name, value) = line.rsplit_once(' ').expect("a series and a value");
                let value = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
                assert!(series.insert(name.to_owned(), value).is_none(), "{name} is there twice");
            }
        }
        Self { series, types }
    }

    /// The value of a series, written as in the text.
    ///
    /// # Panics
    /// When there is none.
    pub fn value(&self, series: &str) -> f64 {
        *self.series.get(series).unwrap_or_else(|| panic!("no series {series} in {:#?}", self.series))
    }

    /// All series with their labels.
    pub fn series(&self) -> impl Iterator<Item = (&str, f64)> {
        self.series.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// The names of the families, each with its type.
    pub fn families(&self) -> &BTreeMap<String, String> {
        &self.types
    }
}
