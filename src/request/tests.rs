use std::path::Path;

use super::*;

const DIR: &str = "/run/keyslip/request";

fn spec_with(annotations: &str, mounts: &str) -> String {
    format!(r#"{{"process":{{"args":["x"]}},"annotations":{annotations},"mounts":{mounts}}}"#)
}

fn read_text(text: &str) -> Result<Found, Error> {
    read(&Spec::parse(text, Path::new("config.json")).unwrap(), Path::new(DIR), Path::new("/bundle"))
}

fn by_annotation(annotations: &str) -> Result<Request, Error> {
    read_text(&spec_with(annotations, "[]")).unwrap().by_annotation
}

#[test]
fn the_three_forms_mean_the_same() {
    let annotated = by_annotation(r#"{"dev.keyslip.agents":"claude@work"}"#).unwrap();
    let mounted = read_text(&spec_with(
        "{}",
        r#"[{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/r","type":"bind","source":"/run/keyslip/request/claude@work"}]"#,
    ))
    .unwrap();
    assert_eq!(annotated.agents, mounted.by_mount.plain.agents);
    assert_eq!(mounted.by_mount.plain_at, [1]);
    assert_eq!(annotated.agents, [device("claude.work").unwrap()]);
}

#[test]
fn everything_an_annotation_can_say() {
    let request = by_annotation(
        r#"{"dev.keyslip.agents":" claude , codex@work,","dev.keyslip.secrets":"openai","dev.keyslip.template":"review-bot",
            "dev.keyslip.user":"vscode","dev.keyslip.on-missing":"fail","dev.keyslip.sandbox":"forged","other":"x"}"#,
    )
    .unwrap();
    assert_eq!(request.agents.len(), 2);
    assert_eq!(request.secrets[0].as_str(), "openai");
    assert_eq!(request.template.unwrap().as_str(), "review-bot");
    assert_eq!(request.user.as_deref(), Some("vscode"));
    assert!(request.must_not_miss);
}

#[test]
fn a_misspelt_or_impossible_request_is_an_error_and_says_where() {
    for (annotations, part) in [
        (r#"{"dev.keyslip.agent":"claude"}"#, "dev.keyslip.agent"),
        (r#"{"dev.keyslip.agents":"../../x"}"#, "../../x"),
        (r#"{"dev.keyslip.secrets":"../../x"}"#, "../../x"),
        (r#"{"dev.keyslip.agents":"claude@work,claude"}"#, "two accounts"),
        (r#"{"dev.keyslip.agents":"claude","dev.keyslip.agents":"codex"}"#, "twice"),
        (r#"{"dev.keyslip.on-missing":"warn"}"#, "stricter"),
        (r#"{"dev.keyslip.user":"a\nb"}"#, "user name"),
        (r#"{"dev.keyslip.agents":"a\u0000b"}"#, "agent name"),
    ] {
        let error = by_annotation(annotations).unwrap_err().to_string();
        assert!(error.contains(part), "{annotations}: {error}");
    }
}

#[test]
fn ten_thousand_agents_are_too_many() {
    let list: Vec<String> = (0..10_000).map(|n| format!("a{n}")).collect();
    let text = format!(r#"{{"dev.keyslip.agents":"{}"}}"#, list.join(","));
    assert!(matches!(by_annotation(&text), Err(Error::TooMany)));
}

#[test]
fn only_the_text_of_a_mount_counts() {
    for source in [
        "/run/keyslip/request/",
        "/run/keyslip/request/a/b",
        "/run/keyslip/requests/claude",
        "/tmp/request/claude",
        "/run/../run/keyslip/request/claude",
        "run/keyslip/request/claude",
    ] {
        let mounts = format!(r#"[{{"destination":"/r","type":"bind","source":"{source}"}}]"#);
        assert!(
            {
                let found = read_text(&spec_with("{}", &mounts)).unwrap().by_mount;
                found.plain.is_empty() && found.secret.is_empty()
            },
            "{source}"
        );
    }
}

#[test]
fn a_name_that_nobody_can_guess_is_told_from_a_plain_one() {
    let secret = format!("{DIR}/0123456789abcdef0123456789abcdef/claude");
    assert!(requested(&secret, Path::new(DIR)).unwrap().is_secret);
    assert!(!requested(&format!("{DIR}/claude"), Path::new(DIR)).unwrap().is_secret);
    assert_eq!(requested(&format!("{DIR}/0123/claude"), Path::new(DIR)), None);
}

#[test]
fn a_build_asks_by_the_file_that_is_mounted_and_not_by_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let (requests, bundle) = (dir.path().join("request"), dir.path().join("buildah12"));
    let secret = requests.join("0123456789abcdef0123456789abcdef");
    std::fs::create_dir_all(&secret).unwrap();
    std::fs::create_dir_all(bundle.join("mnt")).unwrap();
    // A link to the file itself is what a bind mount looks like from here.
    for (index, path) in
        [secret.join("claude@work"), requests.join("codex"), dir.path().join("other")].iter().enumerate()
    {
        std::fs::write(path, "").unwrap();
        std::fs::hard_link(path, bundle.join(format!("mnt/buildah-bind-target-{index}"))).unwrap();
    }
    let mounts: Vec<String> = (0..4)
        .map(|index| {
            format!(
                r#"{{"destination":"/{index}","type":"bind","source":"{}/mnt/buildah-bind-target-{index}"}}"#,
                bundle.display()
            )
        })
        .collect();
    let text = spec_with("{}", &format!("[{}]", mounts.join(",")));
    assert!(is_staged(&bundle, &text) && !is_staged(dir.path(), &text) && !is_staged(&bundle, "{}"));
    let spec = Spec::parse(&text, Path::new("config.json")).unwrap();
    let found = read(&spec, &requests, &bundle).unwrap().by_mount;
    assert_eq!(found.secret.agents, ["claude@work".parse().unwrap()]);
    assert_eq!((found.secret_at, found.plain_at), (vec![0], vec![]));
    // Nowhere else is a source looked at.
    let elsewhere = read(&spec, &requests, Path::new("/bundle")).unwrap().by_mount;
    assert!(elsewhere.secret.is_empty() && elsewhere.plain.is_empty());
}
