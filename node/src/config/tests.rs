use super::*;

const GOOD: &str = r#"
node = "430600"
data_dir = "data"

[peer_listener]
address = "127.0.0.1:7443"

[local]
socket = "node.sock"

[identity]
tls_chain = "tls.pem"
tls_key = "tls.key"
signing_chain = "signing.pem"
signing_key = "signing.key"

[trust]
dir = "trust"

[[peer]]
node = "421200"
address = "gw.example.cn:7443"
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("/etc/tongban/node.toml"), text)
}

/// The one problem of the good file with `from` replaced by `to`.
fn problem(from: &str, to: &str) -> Problem {
    let text = GOOD.replacen(from, to, 1);
    assert_ne!(text, GOOD, "{from} stands in the good file");
    let error = parse(&text).expect_err("one fact is wrong");
    assert_eq!(error.problems.len(), 1, "{error}");
    error.problems[0].clone()
}

#[test]
fn the_good_file_is_good_and_paths_are_relative_to_it() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.data_dir, Path::new("/etc/tongban/data"));
    assert_eq!(config.socket, Path::new("/etc/tongban/node.sock"));
    let expected = "421200".parse().unwrap();
    assert_eq!(
        config.peers,
        [Peer { node: expected, address: Some("gw.example.cn:7443".into()), dial: true }]
    );
    assert_eq!(config.log, Log { format: LogFormat::Text, level: tracing::Level::INFO });
}

#[test]
fn a_typo_names_file_line_key_and_the_nearest_known_key() {
    let text = GOOD.replace("tls_key =", "tls_kay =");
    let error = parse(&text).unwrap_err();
    assert_eq!(
        error.render(Lang::En),
        "/etc/tongban/node.toml:13: identity.tls_kay: unknown setting tls_kay; the nearest known one is tls_key."
    );
    assert!(error.render(Lang::Zh).contains("最接近的是 tls_key"));
}

#[test]
fn every_typo_is_reported_at_once() {
    let text = GOOD.replace("data_dir", "datadir").replace("dir = \"trust\"", "dri = \"trust\"");
    let error = parse(&text).unwrap_err();
    let settings: Vec<_> = error.problems.iter().map(|problem| problem.setting.as_str()).collect();
    assert_eq!(settings, ["datadir", "trust.dri"]);
}

#[test]
fn a_key_of_another_table_is_sent_home() {
    let found = problem("node = \"430600\"", "node = \"430600\"\nsocket = \"x\"");
    assert!(found.text.en.contains("belongs under [local]"), "{}", found.text.en);
    let found = problem("address = \"127", "data_dir = \"x\"\naddress = \"127");
    assert!(found.text.en.contains("top of the file"), "{}", found.text.en);
}

#[test]
fn each_fact_that_is_wrong_is_refused_at_its_line() {
    for (from, to, setting, line) in [
        ("node = \"430600\"", "node = \"4306\"", "node", Some(2)),
        ("node = \"430600\"", "node = 430600", "node", Some(2)),
        ("data_dir = \"data\"", "", "data_dir", None),
        ("data_dir = \"data\"", "data_dir = \"\"", "data_dir", Some(3)),
        ("127.0.0.1:7443", "localhost:7443", "peer_listener.address", Some(6)),
        ("127.0.0.1:7443", "127.0.0.1:0", "peer_listener.address", Some(6)),
        ("127.0.0.1:7443", "127.0.0.1", "peer_listener.address", Some(6)),
        ("socket = \"node.sock\"", "", "local.socket", Some(8)),
        ("tls_key = \"tls.key\"", "", "identity.tls_key", Some(11)),
        ("\"signing.key\"", "\"tls.key\"", "identity.signing_key", Some(15)),
        ("dir = \"trust\"", "", "trust.dir", Some(17)),
        ("421200", "430600", "peer[0].node", Some(21)),
        ("421200", "42120O", "peer[0].node", Some(21)),
        ("gw.example.cn:7443", "gw.example.cn", "peer[0].address", Some(22)),
        ("gw.example.cn:7443", "gw.example.cn:0", "peer[0].address", Some(22)),
        ("gw.example.cn:7443", "https://gw:7443", "peer[0].address", Some(22)),
        ("address = \"gw.example.cn:7443\"", "dial = true", "peer[0].address", Some(20)),
        ("[peer_listener]\naddress = \"127.0.0.1:7443\"", "", "", None),
    ] {
        if setting.is_empty() {
            continue;
        }
        let found = problem(from, to);
        assert_eq!((found.setting.as_str(), found.line), (setting, line), "{from} → {to}: {found:?}");
    }
}

#[test]
fn log_words_are_checked() {
    let with = |line: &str| parse(&format!("{GOOD}\n[log]\n{line}\n"));
    assert_eq!(with("format = \"json\"").unwrap().log.format, LogFormat::Json);
    assert_eq!(with("level = \"debug\"").unwrap().log.level, tracing::Level::DEBUG);
    assert!(with("level = \"verbose\"").is_err());
    assert!(with("format = \"xml\"").is_err());
}

#[test]
fn what_is_served_in_plain_is_not_served_to_everybody() {
    let with = |address: &str| parse(&format!("{GOOD}\n[observe]\naddress = \"{address}\"\n"));
    assert_eq!(parse(GOOD).unwrap().observe, None);
    assert_eq!(with("127.0.0.1:9464").unwrap().observe, Some("127.0.0.1:9464".parse().unwrap()));
    assert!(with("10.1.2.3:9464").is_ok(), "a management network");
    for wrong in ["0.0.0.0:9464", "[::]:9464", "127.0.0.1:0", "localhost:9464", "127.0.0.1", "127.0.0.1:7443"]
    {
        let error = with(wrong).unwrap_err();
        assert_eq!(error.problems[0].setting, "observe.address", "{wrong}");
        assert_eq!(error.problems[0].line, Some(25), "{wrong}");
    }
    let error = parse(&format!("{GOOD}\n[observe]\nadress = \"x\"\n")).unwrap_err();
    assert!(error.problems[0].text.en.contains("the nearest known one is address"), "{error}");
}

#[test]
fn an_alarm_hook_is_a_program_or_a_plain_http_address() {
    let with = |line: &str| parse(&format!("{GOOD}\n[alarm]\n{line}\n"));
    assert_eq!(parse(GOOD).unwrap().alarm, Alarm::default());
    let alarm =
        with("command = [\"bin/alarm\", \"-v\"]\nwebhook = \"http://10.1.2.3/hook?a=b\"").unwrap().alarm;
    let command = alarm.command.unwrap();
    assert_eq!(
        (command.program.as_path(), command.arguments.len()),
        (Path::new("/etc/tongban/bin/alarm"), 1)
    );
    let webhook = alarm.webhook.unwrap();
    assert_eq!((webhook.authority.as_str(), webhook.path.as_str()), ("10.1.2.3:80", "/hook?a=b"));
    for (line, setting) in [
        ("command = []", "alarm.command"),
        ("command = [\"\"]", "alarm.command"),
        ("webhook = \"https://10.1.2.3/\"", "alarm.webhook"),
        ("webhook = \"http://user:word@10.1.2.3/\"", "alarm.webhook"),
        ("webhook = \"/hook\"", "alarm.webhook"),
        ("webhook = \"\"", "alarm.webhook"),
    ] {
        assert_eq!(with(line).unwrap_err().problems[0].setting, setting, "{line}");
    }
}

#[test]
fn two_nodes_that_can_never_meet_are_refused() {
    let no_listener = GOOD.replace("[peer_listener]\naddress = \"127.0.0.1:7443\"\n", "");
    assert!(parse(&no_listener).unwrap().peer_listener.is_none(), "a node that only dials is allowed");
    let error = parse(&no_listener.replace("address = \"gw", "dial = false\naddress = \"gw")).unwrap_err();
    assert_eq!(error.problems[0].setting, "peer[0].dial");
}

#[test]
fn a_peer_listed_twice_is_refused() {
    let error = parse(&format!("{GOOD}\n[[peer]]\nnode = \"421200\"\n")).unwrap_err();
    assert_eq!(error.problems[0].setting, "peer[1].node");
}

#[test]
fn a_socket_path_that_the_system_cannot_take_is_refused() {
    let found = problem("node.sock", &"s".repeat(SOCKET_PATH_BYTES_MAX));
    assert_eq!(found.setting, "local.socket");
}

#[test]
fn a_file_that_is_not_there_or_not_toml_is_named() {
    let error = Config::load(Path::new("/nowhere/tongban.toml")).unwrap_err();
    assert!(error.render(Lang::En).starts_with("/nowhere/tongban.toml: cannot read"));
    let error = parse("\nnode = = 1\n").unwrap_err();
    assert_eq!(error.problems[0].line, Some(2));
}

#[test]
fn the_sample_parses_and_explains_every_setting() {
    let sample = include_str!("../../docs/tongban.sample.toml");
    // What is commented out in the sample has to be right as well.
    let uncommented: String = sample
        .lines()
        .map(|line| match line.strip_prefix("#:") {
            Some(setting) => format!("{}\n", setting.trim_start()),
            None => format!("{line}\n"),
        })
        .collect();
    for text in [sample, &uncommented] {
        if let Err(error) = Config::parse(Path::new("tongban.sample.toml"), text) {
            panic!("{error}");
        }
    }
    let tree: toml::Table = uncommented.parse().unwrap();
    for (table, keys) in file::known_keys() {
        let found = match tree.get(table) {
            None => &tree,
            Some(toml::Value::Array(elements)) => elements[0].as_table().unwrap(),
            Some(value) => value.as_table().unwrap(),
        };
        for key in keys {
            assert!(found.contains_key(*key), "{table}.{key} is not in the sample");
        }
    }
}

#[test]
fn material_of_a_fresh_hierarchy_is_good_and_each_wrong_fact_is_named() {
    let now_ms = 1_790_000_000_000;
    let dir = tempfile::tempdir().unwrap();
    let pki = dir.path().join("pki");
    devpki::write(&pki, &devpki::Plan::two_provinces(now_ms)).unwrap();
    let file = pki.join("nodes/430600/tongban.toml");
    let text = GOOD.replace("dir = \"trust\"", "dir = \"../../trust\"");
    let check = |text: &str, now_ms| {
        let config = Config::parse(&file, text).unwrap();
        material::Material::load(&config, now_ms).map(drop)
    };
    check(&text, now_ms).unwrap();
    let settings = |outcome: Result<(), ConfigError>| {
        let problems = outcome.expect_err("one fact is wrong").problems;
        problems.into_iter().map(|problem| problem.setting).collect::<Vec<_>>()
    };
    let both_chains = vec!["identity.tls_chain".to_owned(), "identity.signing_chain".to_owned()];
    assert_eq!(settings(check(&text.replace("430600", "430100"), now_ms)), both_chains);
    assert_eq!(settings(check(&text, now_ms + 40 * 365 * 86_400_000)), both_chains);
    assert_eq!(settings(check(&text.replace("tls.pem", "absent.pem"), now_ms)), both_chains[..1]);
    assert_eq!(settings(check(&text.replace("\"signing.pem\"", "\"tls.pem\""), now_ms)), both_chains[1..]);
    assert_eq!(settings(check(&text.replace("../../trust", "../../ca"), now_ms)), ["trust.dir"]);
    assert_eq!(settings(check(&text.replace("\"data\"", "\"absent/data\""), now_ms)), ["data_dir"]);
    assert_eq!(settings(check(&text.replace("\"data\"", "\"tls.pem\""), now_ms)), ["data_dir"]);
}

#[test]
fn limits_have_defaults_units_and_bounds() {
    assert_eq!(parse(GOOD).unwrap().bounds, Bounds::default());
    let with = |line: &str| parse(&format!("{GOOD}\n[limits]\n{line}\n"));
    let bounds = with("disk_low_mib = 1024\npeer_kib_per_second = 10\noverdue_seconds = 60").unwrap().bounds;
    assert_eq!((bounds.disk_low_bytes, bounds.peer.bytes_per_s), (1 << 30, 10 * 1024));
    assert_eq!(bounds.overdue_millis, 60_000);
    for (line, setting) in [
        ("disk_low_mib = 79", "limits.disk_low_mib"),
        ("staged_mib = 257", "limits.staged_mib"),
        ("submitter_entries_per_second = 0", "limits.submitter_entries_per_second"),
    ] {
        let error = with(line).unwrap_err();
        assert_eq!(error.problems.len(), 1, "{error}");
        assert_eq!((error.problems[0].setting.as_str(), error.problems[0].line.is_some()), (setting, true));
    }
}
