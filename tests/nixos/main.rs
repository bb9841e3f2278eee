//! The module for NixOS: evaluated, and what it comes to run by podman.
//!
//! Nix evaluates without a store and without a network. Neither NixOS nor nixpkgs is there: `system.nix` says what it takes
//! from NixOS, and `lib.nix` stands in for nixpkgs' lib. With a copy of the true one,
//! `KEYSLIP_NIXPKGS_LIB=/path/to/nixpkgs/lib`, everything is evaluated with that as well and compared.

#[path = "../lab/mod.rs"]
mod lab;

mod podman;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn evaluate_with(lib: &Path, configuration: &Path) -> Output {
    let state = tempfile::tempdir().expect("a directory");
    let expression = format!(
        "import {} {{ lib = import {}; keyslip = {}; configuration = {}; }}",
        here("tests/nixos/system.nix").display(),
        lib.display(),
        here("config/nixos/module.nix").display(),
        configuration.display()
    );
    Command::new("nix-instantiate")
        .args(["--store", "dummy://", "--eval", "--strict", "--json", "-E", &expression])
        .env("NIX_STATE_DIR", state.path())
        .env("HOME", state.path())
        .output()
        .expect("nix-instantiate, of Debian's nix-bin; `make setup` installs it")
}

/// What a configuration comes to, or why it comes to nothing.
fn evaluate(configuration: &Path) -> Result<Value, String> {
    let answer = |output: &Output| {
        if output.status.success() {
            Ok(serde_json::from_slice(&output.stdout).expect("JSON"))
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    };
    let result: Result<Value, String> = answer(&evaluate_with(&here("tests/nixos/lib.nix"), configuration));
    if let Some(lib) = std::env::var_os("KEYSLIP_NIXPKGS_LIB") {
        let true_one: Result<Value, String> = answer(&evaluate_with(Path::new(&lib), configuration));
        match (&result, &true_one) {
            (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "nixpkgs' lib makes something else of it"),
            (Err(_), Err(_)) => {}
            _ => panic!("the stand-in: {result:?}\nnixpkgs' lib: {true_one:?}"),
        }
    }
    result
}

/// Evaluates a file of the repository, in which every assertion holds.
fn system(name: &str) -> Value {
    let system = evaluate(&here(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(system["failed"], serde_json::json!([]), "{name}");
    system
}

/// Evaluates settings of `services.keyslip`.
fn with(settings: &str) -> Result<Value, String> {
    let file = tempfile::Builder::new().suffix(".nix").tempfile().expect("a file");
    let text = format!("{{ services.keyslip = {{ enable = true; {settings} }}; }}");
    std::fs::write(file.path(), text).expect("a file");
    evaluate(file.path())
}

#[test]
fn a_secret_name_without_its_secret_fails_with_a_sentence() {
    for (settings, sentence) in [
        (
            "secrets.openai = \"/run/secrets/o\"; templates.claude.agents.claude.secretName = \"anthropic\";",
            "services.keyslip.templates.claude.agents.claude.secretName is \"anthropic\", which services.keyslip.secrets does not have; it has openai.",
        ),
        (
            "agents.codex.secretName = \"openai\";",
            "services.keyslip.agents.codex.secretName is \"openai\", which services.keyslip.secrets does not have; it is empty.",
        ),
        (
            "agents.codex.authEnvVar = \"OPENAI_API_KEY\";",
            "services.keyslip.agents.codex.authEnvVar needs a secretName: it is the variable that gets that secret.",
        ),
        (
            "secrets.a = \"/nix/store/00000000000000000000000000000000-a\";",
            "services.keyslip.secrets.a is in the Nix store, which every user can read; give the path of a file that a secret manager writes elsewhere, as config.sops.secrets.NAME.path.",
        ),
        ("secrets.a = \"a\";", "services.keyslip.secrets.a is \"a\"; it has to be an absolute path."),
        (
            "rules = [ { secrets = [ \"a\" ]; } ];",
            "a rule of services.keyslip.rules allows the secret \"a\", which services.keyslip.secrets does not have; it is empty.",
        ),
    ] {
        let system = with(settings).unwrap_or_else(|error| panic!("{settings}: {error}"));
        assert_eq!(system["failed"], serde_json::json!([sentence]), "{settings}");
    }
}

#[test]
fn an_empty_list_in_a_rule_stays_and_does_not_make_it_one_for_everybody() {
    let settings = "rules = [ { uid = [ ]; namespace = [ ]; agents = [ \"claude\" ]; } ];";
    let system = with(settings).expect("a system");
    let file: Value = toml::from_str(system["etc"]["keyslip/keyslip.toml"].as_str().expect("a text")).expect("TOML");
    assert_eq!(file["allow"][0]["uid"], serde_json::json!([]), "{file}");
    assert_eq!(file["allow"][0]["namespace"], serde_json::json!([]), "{file}");
    assert_eq!(file["allow"][0].get("engine"), None, "{file}");
}

#[test]
fn what_is_no_text_or_no_option_is_refused() {
    for (settings, reason) in [
        // A path without quotes would be copied into the store.
        ("secrets.a = ./a;", "services.keyslip.secrets.a"),
        ("templates.claude.agents.claude.package = 1;", "services.keyslip.templates.claude.agents.claude.package"),
        ("engines.podman = { enable = true; mode = \"shims\"; };", "services.keyslip.engines.podman.mode"),
    ] {
        let error = with(settings).expect_err(settings);
        assert!(error.contains(reason), "{settings}: {error}");
    }
}

#[test]
fn a_system_that_does_not_enable_it_has_nothing_of_it() {
    let file = tempfile::Builder::new().suffix(".nix").tempfile().expect("a file");
    std::fs::write(file.path(), "{ services.keyslip.engines.podman.enable = true; }").expect("a file");
    let system = evaluate(file.path()).expect("a system");
    assert_eq!(system["etc"], serde_json::json!({}));
    assert_eq!((&system["tmpfiles"], &system["units"]["packages"]), (&serde_json::json!([]), &serde_json::json!([])));
}

#[test]
fn other_engines_get_what_keyslip_install_writes() {
    let system = system("tests/nixos/every.nix");
    assert_eq!(system["docker"]["runtimes"]["keyslip"]["path"], "/usr/libexec/keyslip/docker/runc");
    assert_eq!(system["units"]["services"]["keyslip-tmpfs"]["wantedBy"], serde_json::json!([]));
    let Some(lab) = lab::Lab::on(lab::Tree::Debian13, "nixos-engines") else { return };
    lab.ok("keyslip install containerd");
    let installed: Value = toml::from_str(&lab.ok("cat /etc/containerd/config.toml")).expect("TOML");
    let runtimes = "/plugins/io.containerd.grpc.v1.cri/containerd/runtimes";
    assert_eq!(system["containerd"].pointer(runtimes), installed.pointer(runtimes), "containerd");
    assert!(installed.pointer(runtimes).is_some());
}
