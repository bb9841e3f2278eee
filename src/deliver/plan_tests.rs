use std::fs;

use super::*;
use crate::agent::{ConfigDir, Definition, MovedBy, RenderedFile, Rendering, SettingsFile, ShadowSettings};
use crate::deliver::{HostDir, Kind, SecretOrder};
use crate::oci::NewMount;
use crate::source::{Keeper, Origin};

/// A root file system to plan for; nothing in it may change.
struct Lab {
    dir: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for path in ["rootfs/run", "rootfs/etc", "rootfs/home/dev", "volume"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        fs::write(dir.path().join("rootfs/etc/passwd"), "dev:x:1000:1001::/home/dev:/bin/sh\n").unwrap();
        Self { dir }
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.dir.path().join(path).parent().unwrap()).unwrap();
        fs::write(self.dir.path().join(path), text).unwrap();
    }

    fn plan_with(&self, order: &Order, env: &str, mounts: &str, on_shadow: OnShadow) -> Result<Plan, Error> {
        let mounts = mounts.replace("@VOLUME", self.dir.path().join("volume").to_str().unwrap());
        let text = format!(
            r#"{{"process":{{"user":{{"uid":1000,"gid":1001}},"env":[{env}]}},"root":{{"path":"rootfs"}},"mounts":[{mounts}]}}"#
        );
        let spec = Spec::parse(&text, Path::new("config.json")).unwrap();
        let context = Context {
            bundle: self.dir.path(),
            dir: PathBuf::from("/run/keyslip/s"),
            request_mounts: Vec::new(),
            env: EnvWay::Spec,
            on_shadow,
            shares: None,
        };
        plan(order, &spec, context)
    }

    fn plan(&self, order: &Order, env: &str, mounts: &str) -> Result<Plan, Error> {
        self.plan_with(order, env, mounts, OnShadow::Warn)
    }
}

fn agent(name: &str, rendering: Rendering) -> AgentOrder {
    AgentOrder {
        agent: name.parse().unwrap(),
        definition: None,
        settings: crate::config::AgentSettings::default(),
        rendering,
        secret_file: Some((name.parse().unwrap(), Secret::from_text("sk-FAKE"))),
        host_dir: None,
        login: None,
        origin: Some(Origin::StoredToken),
        expires: None,
        fingerprint: None,
    }
}

fn order(rendering: Rendering) -> Order {
    Order { agents: vec![agent("claude", rendering)], ..Order::default() }
}

fn with_env(name: &str) -> Rendering {
    Rendering {
        env: vec![EnvVar { name: name.parse().unwrap(), value: Secret::from_text("sk-FAKE") }],
        ..Rendering::default()
    }
}

fn with_file(path: &str) -> Rendering {
    let moved_by = Some(MovedBy { env: "CODEX_HOME".to_owned(), path: "auth.json".to_owned() });
    let file = RenderedFile {
        path: path.to_owned(),
        moved_by,
        content: Secret::from_text("{}"),
        writable: false,
        empty: None,
        pending: false,
    };
    Rendering { files: vec![file], ..Rendering::default() }
}

fn with_settings() -> Rendering {
    let set = [("hasCompletedOnboarding".to_owned(), "true".to_owned())].into();
    Rendering {
        settings: vec![SettingsFile { path: ".claude.json".to_owned(), moved_by: None, set }],
        ..Rendering::default()
    }
}

fn destinations(plan: &Plan) -> Vec<&str> {
    plan.change.mounts.iter().map(|mount: &NewMount| mount.destination.as_str()).collect()
}

#[test]
fn planning_touches_nothing() {
    let lab = Lab::new();
    let plan = lab.plan(&order(with_file(".codex/auth.json")), "", "").unwrap();
    assert_eq!(destinations(&plan), ["/run/secrets", "/home/dev/.codex/auth.json"]);
    assert_eq!(plan.mountpoints.len(), 2);
    assert!(!lab.dir.path().join("rootfs/run/secrets").exists());
    assert!(!lab.dir.path().join("rootfs/home/dev/.codex").exists());
}

#[test]
fn a_missing_directory_belongs_to_the_user_and_what_is_above_home_to_root() {
    let lab = Lab::new();
    let plan = lab.plan(&order(with_file(".codex/auth.json")), "\"HOME=/srv/new\"", "").unwrap();
    let mountpoint = &plan.mountpoints[1];
    assert_eq!(mountpoint.below, ["srv", "new", ".codex", "auth.json"]);
    assert_eq!((mountpoint.existing, mountpoint.owned_from, mountpoint.kind), (0, 1, Kind::File));
    assert_eq!((mountpoint.owner, mountpoint.root), ((1000, 1001), (0, 0)));
}

#[test]
fn a_plan_shows_no_value() {
    let lab = Lab::new();
    let plan = lab.plan(&order(with_env("TOKEN")), "", "").unwrap();
    assert!(!format!("{plan:?}").contains("FAKE"));
}

#[test]
fn something_mounted_below_run_secrets_is_neither_hidden_nor_broken() {
    let lab = Lab::new();
    std::os::unix::fs::symlink("/run", lab.dir.path().join("rootfs/var")).unwrap();
    let token = r#"{"destination":"/var/secrets/kubernetes.io/serviceaccount","type":"bind","source":"@VOLUME"}"#;
    let plan = lab.plan(&order(Rendering::default()), "", token).unwrap();
    assert_eq!(destinations(&plan), ["/run/secrets/claude"], "file by file");
    let taken = r#"{"destination":"/run/secrets/claude","type":"bind","source":"@VOLUME"}"#;
    let error = lab.plan(&order(Rendering::default()), "", taken).unwrap_err().to_string();
    assert!(error.contains("/run/secrets/claude in the container is taken"), "{error}");
}

#[test]
fn two_requests_for_one_thing_are_refused() {
    let lab = Lab::new();
    let mut twice = order(Rendering::default());
    twice.secrets.push(SecretOrder { name: "claude".parse().unwrap(), content: None, fingerprint: None });
    assert!(lab.plan(&twice, "", "").unwrap_err().to_string().contains("/run/secrets/claude"));
    let mut twice = order(with_env("KEY"));
    twice.agents.push(agent("codex", with_env("KEY")));
    assert!(lab.plan(&twice, "", "").unwrap_err().to_string().contains("both want the variable KEY"));
    let mut twice = order(with_file(".x"));
    twice.agents.push(agent("codex", with_file(".x")));
    assert!(lab.plan(&twice, "", "").unwrap_err().to_string().contains("/home/dev/.x"));
}

#[test]
fn what_the_container_sets_itself_wins_and_is_told() {
    let lab = Lab::new();
    let plan = lab.plan(&order(with_env("KEY")), "\"KEY=own\"", "").unwrap();
    assert!(plan.change.env.is_empty());
    assert!(plan.warnings[0].contains("KEY is set by the container itself"));
}

#[test]
fn a_variable_that_beats_the_credential_warns_or_refuses() {
    let lab = Lab::new();
    let shadowed = || order(Rendering { shadow_env: vec!["OTHER".to_owned()], ..with_env("KEY") });
    assert!(lab.plan(&shadowed(), "\"OTHER=\"", "").unwrap().warnings.is_empty(), "an empty one counts as unset");
    assert!(lab.plan(&shadowed(), "\"OTHER=x\"", "").unwrap().warnings[0].contains("instead of"));
    assert!(lab.plan_with(&shadowed(), "\"OTHER=x\"", "", OnShadow::Fail).is_err());
}

#[test]
fn settings_in_the_way_are_named_by_their_place() {
    let lab = Lab::new();
    let file = ShadowSettings {
        path: ".a/settings.json".to_owned(),
        also: vec!["./.a/settings.json".to_owned(), "/etc/a.json".to_owned()],
        shadow: vec!["helper".to_owned()],
        redirect: vec!["env.URL".to_owned()],
        unless: [("auth.type".to_owned(), "\"x\"".to_owned())].into(),
        ..ShadowSettings::default()
    };
    let shadowed = || order(Rendering { shadow_settings: vec![file.clone()], ..with_env("KEY") });
    assert!(lab.plan(&shadowed(), "", "").unwrap().warnings.is_empty());
    lab.write("rootfs/home/dev/.a/settings.json", r#"{"helper":"","auth":{"type":"x"},"env":{"URL":null}}"#);
    assert!(lab.plan(&shadowed(), "", "").unwrap().warnings.is_empty(), "empty is unset");
    lab.write("rootfs/home/dev/.a/settings.json", r#"{"helper":"FAKE"}"#);
    // The working directory of these plans is the root directory.
    lab.write("rootfs/.a/settings.json", r#"{"auth":{"type":"FAKE"}}"#);
    lab.write("rootfs/etc/a.json", r#"{"env":{"URL":"http://FAKE"}}"#);
    let warnings = lab.plan(&shadowed(), "", "").unwrap().warnings;
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].starts_with("helper is set in /home/dev/.a/settings.json of the container; claude uses it"));
    assert!(warnings[1].starts_with("auth.type is set in /.a/settings.json") && warnings[1].contains("\"x\""));
    assert!(warnings[2].starts_with("env.URL is set in /etc/a.json of the container; claude sends its requests"));
    assert!(!warnings.concat().contains("FAKE"), "values are nobody's business");
    assert!(lab.plan_with(&shadowed(), "", "", OnShadow::Fail).is_err());
    let twice = lab.plan(&shadowed(), "\"HOME=/\"", "").unwrap().warnings;
    assert_eq!(twice.len(), 2, "one file is looked at once: {twice:?}");
}

#[test]
fn settings_that_the_host_shares_are_looked_at_in_place_of_the_images() {
    let lab = Lab::new();
    lab.write("rootfs/home/dev/.a/settings.json", r#"{"helper":"of the image"}"#);
    lab.write("host/settings.json", r#"{"other":1}"#);
    let path = lab.dir.path().join("host");
    let mut shared = order(Rendering {
        shadow_settings: vec![ShadowSettings {
            path: ".a/settings.json".to_owned(),
            shadow: vec!["helper".to_owned()],
            ..ShadowSettings::default()
        }],
        ..with_env("KEY")
    });
    shared.agents[0].host_dir =
        Some(HostDir { keeper: Keeper::own(lab.dir.path(), lab.dir.path()), path: path.clone(), read_only: None });
    let code = vec!["settings.json".to_owned()];
    let config = ConfigDir { path: ".a".to_owned(), code, ..ConfigDir::default() };
    shared.agents[0].definition = Some(Definition { config_dir: Some(config), ..Definition::default() });
    let warned = |lab: &Lab, shared: &Order| lab.plan(shared, "", "").unwrap().warnings.join("\n");
    // It belongs to somebody else and cannot be mounted for them, so the image's stays.
    assert!(warned(&lab, &shared).contains("helper is set in /home/dev/.a/settings.json of the container"));
    // A copy can be made for anybody.
    let set = [("x".to_owned(), "1".to_owned())].into();
    shared.agents[0].rendering.settings =
        vec![SettingsFile { path: ".a/settings.json".to_owned(), moved_by: None, set }];
    assert!(!warned(&lab, &shared).contains("helper"), "{}", warned(&lab, &shared));
    lab.write("host/settings.json", r#"{"helper":"of the host"}"#);
    let line = format!(
        "helper is set in {} of the host, which is shared; claude uses it",
        path.join("settings.json").display()
    );
    assert!(warned(&lab, &shared).contains(&line), "{}", warned(&lab, &shared));
}

#[test]
fn a_tmpfs_home_gets_a_directory_of_the_users_own() {
    let lab = Lab::new();
    let tmpfs = r#"{"destination":"/home/dev","type":"tmpfs","source":"tmpfs"}"#;
    let plan = lab.plan(&order(with_file(".codex/auth.json")), "", tmpfs).unwrap();
    assert_eq!(destinations(&plan), ["/run/secrets", "/home/dev/.codex", "/home/dev/.codex/auth.json"]);
    let dir = &plan.change.mounts[1];
    assert!(dir.options.contains(&"uid=1000".to_owned()) && dir.kind == "tmpfs", "{dir:?}");
    assert_eq!(plan.mountpoints.len(), 1, "the runtime makes what lies on a tmpfs");
    let plan = lab.plan(&order(with_file(".local/share/opencode/auth.json")), "", tmpfs).unwrap();
    let made = ["/home/dev/.local", "/home/dev/.local/share", "/home/dev/.local/share/opencode"];
    assert_eq!(destinations(&plan)[1..4], made, "the runtime would make the ones below as root's");
}

#[test]
fn a_volume_is_written_as_its_user_and_somebodys_login_in_it_is_refused() {
    let lab = Lab::new();
    let home = r#"{"destination":"/home/dev","type":"bind","source":"@VOLUME"}"#;
    let codex = order(with_file(".codex/auth.json"));
    let plan = lab.plan(&codex, "", home).unwrap();
    assert!(plan.mountpoints[1].as_owner);
    assert_eq!(plan.claims.len(), 1);
    let read_only = r#"{"destination":"/home/dev","type":"bind","source":"@VOLUME","options":["ro"]}"#;
    assert!(lab.plan(&codex, "", read_only).unwrap_err().to_string().contains("read-only"));
    lab.write("volume/.codex/auth.json", "{\"mine\":1}");
    assert!(lab.plan(&codex, "", home).unwrap_err().to_string().contains("holds a login already"));
}

#[test]
fn a_variable_can_move_an_agents_files() {
    let lab = Lab::new();
    let plan = lab.plan(&order(with_file(".codex/auth.json")), "\"CODEX_HOME=/srv/codex\"", "").unwrap();
    assert_eq!(destinations(&plan)[1], "/srv/codex/auth.json");
    let plan = lab.plan(&order(with_file(".codex/auth.json")), "\"CODEX_HOME=relative\"", "").unwrap();
    assert_eq!(destinations(&plan)[1], "/home/dev/.codex/auth.json");
}

#[test]
fn a_list_in_settings_gets_what_it_lacks() {
    let lab = Lab::new();
    let settings = || {
        let set = [("l".to_owned(), r#"["/","a"]"#.to_owned())].into();
        vec![SettingsFile { path: ".claude.json".to_owned(), moved_by: None, set }]
    };
    for (there, merged) in [
        ("{}", Some(r#"{"l":["/","a"]}"#)),
        (r#"{"l":["b","a"]}"#, Some(r#"{"l":["b","a","/"]}"#)),
        (r#"{"l":["a","/"]}"#, None),
        (r#"{"l":7}"#, None),
    ] {
        lab.write("rootfs/home/dev/.claude.json", there);
        let plan = lab.plan(&order(Rendering { settings: settings(), ..Rendering::default() }), "", "").unwrap();
        let made = plan.files.iter().filter(|file| file.mode == 0o600).find_map(|file| file.content.expose_text());
        assert_eq!(made, merged, "{there}");
    }
}

#[test]
fn settings_are_merged_with_those_of_the_image() {
    let lab = Lab::new();
    lab.write("rootfs/home/dev/.claude.json", r#"{ "theme" : "dark" }"#);
    let plan = lab.plan(&order(with_settings()), "", "").unwrap();
    let merged = plan.files.last().unwrap();
    assert_eq!(merged.content.expose_text().unwrap(), r#"{ "theme" : "dark" ,"hasCompletedOnboarding":true}"#);
    assert_eq!((merged.mode, merged.owner), (0o600, (1000, 1001)));
    lab.write("rootfs/home/dev/.claude.json", r#"{"hasCompletedOnboarding":false}"#);
    let plan = lab.plan(&order(with_settings()), "", "").unwrap();
    assert_eq!(destinations(&plan), ["/run/secrets"], "what the image says stays");
    lab.write("rootfs/home/dev/.claude.json", "no JSON");
    assert!(lab.plan(&order(with_settings()), "", "").unwrap().warnings[0].contains("no JSON object"));
}

#[test]
fn the_owner_can_be_named_and_is_looked_up_in_the_container() {
    let lab = Lab::new();
    let mut named = order(with_file(".x"));
    named.user = Some("dev".to_owned());
    assert_eq!(destinations(&lab.plan(&named, "\"HOME=/elsewhere\"", "").unwrap())[1], "/elsewhere/.x");
    named.user = Some("0".to_owned());
    let plan = lab.plan(&named, "\"HOME=/elsewhere\"", "").unwrap();
    assert_eq!((destinations(&plan)[1], plan.files[1].owner.0), ("/.x", 0), "HOME speaks of the main user only");
    named.user = Some("nobody-here".to_owned());
    assert!(lab.plan(&named, "", "").unwrap_err().to_string().contains("not in the container's /etc/passwd"));
}

#[test]
fn a_home_that_is_no_path_is_refused() {
    let lab = Lab::new();
    for home in ["\"HOME=relative\"", "\"HOME=/a\\nb\""] {
        assert!(matches!(lab.plan(&order(with_file(".x")), home, ""), Err(Error::BadHome(_))), "{home}");
    }
}

#[test]
fn odd_things_in_place_of_files_are_refused() {
    let lab = Lab::new();
    fs::create_dir_all(lab.dir.path().join("rootfs/home/dev/.codex/auth.json")).unwrap();
    let error = lab.plan(&order(with_file(".codex/auth.json")), "", "").unwrap_err().to_string();
    assert!(error.contains("is a directory"), "{error}");
    lab.write("rootfs/run/secrets", "");
    assert!(lab.plan(&order(Rendering::default()), "", "").unwrap_err().to_string().contains("is no directory"));
}
