//! Logins that are delivered as files below the home directory: Codex and Gemini.

use crate::lab::{Bare, Lab, RUNTIMES};

const DEV: &str = ".process.user={uid:1000,gid:1000} | .process.env+=[\"HOME=/home/dev\"]";

/// A lab with a ChatGPT login: its access token is `<ACCESS>`, its refresh token `<REFRESH>`.
fn with_codex(name: &str) -> Option<Lab> {
    let lab = Lab::new(name)?;
    // {"alg":"none"} . {"exp":4102444800} . not a signature
    let access = format!("eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.FAKE-access-{name}");
    let refresh = format!("FAKE-refresh-{name}");
    lab.mark("ACCESS", &access);
    lab.mark("REFRESH", &refresh);
    lab.login(
        "codex",
        &format!(
            r#"{{"OPENAI_API_KEY":null,"tokens":{{"id_token":"FAKE","access_token":"{access}","refresh_token":"{refresh}","account_id":"a"}},"last_refresh":"2026-01-01T00:00:00Z"}}"#
        ),
    );
    Some(lab)
}

/// A lab with a Google login: `<GACCESS>`, `<GREFRESH>`.
fn with_gemini(name: &str) -> Option<Lab> {
    let lab = Lab::new(name)?;
    let (access, refresh) = (format!("ya29.FAKE-access-{name}"), format!("1//FAKE-refresh-{name}"));
    lab.mark("GACCESS", &access);
    lab.mark("GREFRESH", &refresh);
    lab.login(
        "gemini",
        &format!(
            r#"{{"oauth_creds":{{"access_token":"{access}","refresh_token":"{refresh}","expiry_date":4102444800000}},"google_accounts":{{"active":"dev@example.org","old":[]}}}}"#
        ),
    );
    Some(lab)
}

/// Parts of `auth.json` as the container has it, in a line.
const AUTH: &str = "cat ~/.codex/auth.json";

#[track_caller]
fn is_codex_login(text: &str, what: &str) {
    let auth: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    assert_eq!(auth["tokens"]["access_token"], "<ACCESS>", "{what}");
    assert_eq!(auth["tokens"]["refresh_token"], "", "{what}: the refresh token stays on the host");
    assert_eq!(auth["auth_mode"], "chatgptAuthTokens", "{what}");
    assert_eq!(auth["tokens"]["account_id"], "a", "{what}");
}

fn bundle(lab: &Lab, name: &str, agent: &str, edit: &str) -> String {
    lab.bundle(name, &format!(r#".annotations={{"dev.keyslip.agents":"{agent}"}} | {DEV} | {edit}"#))
}

#[test]
fn a_codex_login_is_a_file_of_the_user_in_a_directory_they_can_write() {
    let Some(lab) = with_codex("codex-rootfs") else { return };
    for runtime in RUNTIMES {
        let bundle = bundle(&lab, runtime, "codex", ".");
        let container = Bare::new(&lab, runtime, runtime, &bundle);
        container.start();
        is_codex_login(&container.exec(AUTH), runtime);
        let seen = container.exec("cd ~; stat -c '%n %a %u:%g' .codex .codex/auth.json; touch .codex/history; rm .codex/history; env | grep -c FAKE || true");
        assert_eq!(seen, ".codex 700 1000:1000\n.codex/auth.json 400 1000:1000\n0", "{runtime}");
        assert_eq!(container.exec("ls -A /run/secrets"), "", "{runtime}: a login is no secret file");
        container.end();
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&bundle);
    }
}

#[test]
fn what_the_agent_wrote_beside_its_login_stays() {
    let Some(lab) = with_codex("codex-beside") else { return };
    for runtime in RUNTIMES {
        let bundle = bundle(&lab, runtime, "codex", ".");
        let container = Bare::new(&lab, runtime, runtime, &bundle);
        container.start();
        container.exec("echo mine >~/.codex/history");
        container.end();
        let left = lab.ok(&format!("cd {bundle}/rootfs/home/dev; find . -mindepth 1 | sort; cat .codex/history"));
        assert_eq!(left, "./.codex\n./.codex/history\nmine", "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_login_that_the_image_brings_is_hidden_and_comes_back() {
    let Some(lab) = with_codex("codex-image") else { return };
    for runtime in RUNTIMES {
        let bundle = bundle(&lab, runtime, "codex", ".");
        lab.ok(&format!(
            "cd {bundle}/rootfs/home/dev; mkdir .codex; echo theirs >.codex/auth.json; chown -R 1000:1000 .codex"
        ));
        let container = Bare::new(&lab, runtime, runtime, &bundle);
        container.start();
        is_codex_login(&container.exec(AUTH), runtime);
        container.end();
        assert_eq!(lab.ok(&format!("cat {bundle}/rootfs/home/dev/.codex/auth.json")), "theirs", "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_variable_of_the_container_moves_the_login() {
    let Some(lab) = with_codex("codex-moved") else { return };
    for runtime in RUNTIMES {
        let bundle = bundle(&lab, runtime, "codex", r#".process.env+=["CODEX_HOME=/home/dev/elsewhere"]"#);
        let container = Bare::new(&lab, runtime, runtime, &bundle);
        container.start();
        is_codex_login(&container.exec("cat /home/dev/elsewhere/auth.json"), runtime);
        assert_eq!(container.exec("ls -A ~"), "elsewhere", "{runtime}");
        container.end();
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&bundle);
    }
}

#[test]
fn a_tmpfs_home_takes_the_login_and_belongs_to_the_user() {
    let Some(lab) = with_codex("codex-tmpfs") else { return };
    lab.image();
    for runtime in RUNTIMES {
        let options = "--user 1000:1000 --tmpfs /home/dev:mode=0777 --annotation dev.keyslip.agents=codex";
        lab.ok(&format!("podman --runtime {runtime} run -d --name c {options} bb sleep 1000"));
        is_codex_login(&lab.ok("podman exec c sh -c 'cat ~/.codex/auth.json'"), runtime);
        let seen = lab.ok("podman exec c sh -c 'cd ~; stat -c \"%n %a %u\" .codex .codex/auth.json; touch .codex/history && echo writable'");
        assert_eq!(seen, ".codex 700 1000\n.codex/auth.json 400 1000\nwritable", "{runtime}");
        lab.remove("c");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_home_volume_takes_the_login_and_only_one_container_at_a_time_has_one_in_it() {
    let Some(lab) = with_codex("codex-volume") else { return };
    lab.image();
    for runtime in RUNTIMES {
        let run = format!(
            "podman --runtime {runtime} run -d --user 1000:1000 -v home-{runtime}:/home/dev --annotation dev.keyslip.agents=codex"
        );
        lab.ok(&format!("{run} --name first bb sleep 1000"));
        is_codex_login(&lab.ok("podman exec first sh -c 'cat ~/.codex/auth.json'"), runtime);
        let seen = lab
            .ok("podman exec first sh -c 'cd ~; stat -c \"%n %a %u\" .codex; touch .codex/history && echo writable'");
        assert_eq!(seen, ".codex 700 1000\nwritable", "{runtime}");
        let volume = lab.ok(&format!("podman volume inspect home-{runtime} --format '{{{{.Mountpoint}}}}'"));
        assert_eq!(
            lab.ok(&format!("stat -c %s {volume}/.codex/auth.json")),
            "0",
            "{runtime}: the value is in the volume"
        );
        let second = lab.sh(&format!("{run} --name second bb sleep 1000"));
        assert!(!second.succeeded(), "{runtime}: two containers share a login's directory");
        assert!(
            second.stderr.contains("keyslip:") && second.stderr.contains("another container"),
            "{runtime}: {second}"
        );
        is_codex_login(&lab.ok("podman exec first sh -c 'cat ~/.codex/auth.json'"), runtime);
        lab.remove("first second");
        lab.assert_nothing_left(runtime);
        assert_eq!(
            lab.ok(&format!("cd {volume}; find . -mindepth 1 | sort")),
            "./.codex\n./.codex/history",
            "{runtime}"
        );
        // Once the first is gone, another may have it.
        lab.ok(&format!("{run} --name third bb sleep 1000"));
        is_codex_login(&lab.ok("podman exec third sh -c 'cat ~/.codex/auth.json'"), runtime);
        lab.remove("third");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_volume_with_somebodys_own_login_is_refused_and_kept() {
    let Some(lab) = with_codex("codex-theirs") else { return };
    lab.image();
    for runtime in RUNTIMES {
        lab.ok(&format!(
            "mkdir -p $W/{runtime}/.codex; echo theirs >$W/{runtime}/.codex/auth.json; chown -R 1000:1000 $W/{runtime}"
        ));
        let output = lab.sh(&format!("podman --runtime {runtime} run --rm --user 1000:1000 -v $W/{runtime}:/home/dev --annotation dev.keyslip.agents=codex bb true"));
        assert!(!output.succeeded(), "{runtime}: {output}");
        assert!(
            output.stderr.contains(".codex/auth.json") && output.stderr.contains("holds a login already"),
            "{runtime}: {output}"
        );
        assert_eq!(
            lab.ok(&format!("cat $W/{runtime}/.codex/auth.json; find $W/{runtime} -type f | wc -l")),
            "theirs\n1",
            "{runtime}"
        );
        assert_eq!(lab.ok("podman ps -aq"), "", "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_gemini_login_is_two_files_and_a_setting_joined_with_those_of_the_image() {
    let Some(lab) = with_gemini("gemini") else { return };
    for runtime in RUNTIMES {
        let bundle = bundle(&lab, runtime, "gemini", ".");
        let theirs = r#"{"theme":"dark","security":{"folderTrust":{"enabled":true}}}"#;
        lab.ok(&format!("cd {bundle}/rootfs/home/dev; mkdir .gemini; echo '{theirs}' >.gemini/settings.json; chown -R 1000:1000 .gemini"));
        let container = Bare::new(&lab, runtime, runtime, &bundle);
        container.start();
        let read = |name: &str| -> serde_json::Value {
            serde_json::from_str(&container.exec(&format!("cat ~/.gemini/{name}"))).unwrap_or_default()
        };
        assert_eq!(read("oauth_creds.json")["access_token"], "<GACCESS>", "{runtime}");
        assert_eq!(
            read("oauth_creds.json")["refresh_token"],
            "<GREFRESH>",
            "{runtime}: Google's can be used many times"
        );
        assert_eq!(read("google_accounts.json")["active"], "dev@example.org", "{runtime}");
        let settings = read("settings.json");
        assert_eq!(settings["theme"], "dark", "{runtime}");
        assert_eq!(settings["security"]["folderTrust"]["enabled"], true, "{runtime}");
        assert_eq!(settings["security"]["auth"]["selectedType"], "oauth-personal", "{runtime}");
        // The client renews its login in place.
        container.exec("cd ~/.gemini; stat -c %a oauth_creds.json google_accounts.json; echo '{}' >oauth_creds.json");
        assert_eq!(container.exec("cat ~/.gemini/oauth_creds.json"), "{}", "{runtime}");
        container.end();
        assert_eq!(
            lab.ok(&format!("cat {bundle}/rootfs/home/dev/.gemini/settings.json; ls {bundle}/rootfs/home/dev/.gemini")),
            format!("{theirs}\nsettings.json")
        );
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn settings_that_are_no_json_are_a_warning_and_stay() {
    let Some(lab) = with_gemini("gemini-broken") else { return };
    for runtime in RUNTIMES {
        let bundle = bundle(&lab, runtime, "gemini", ".");
        lab.ok(&format!("cd {bundle}/rootfs/home/dev; mkdir .gemini; echo 'not json' >.gemini/settings.json"));
        let container = Bare::new(&lab, runtime, runtime, &bundle);
        container.start();
        assert_eq!(container.exec("cat ~/.gemini/settings.json"), "not json", "{runtime}");
        let warnings = lab.ok("keyslip list --json | jq -r '.[].warnings[]'");
        assert!(warnings.contains(".gemini/settings.json"), "{runtime}: {warnings}");
        container.end();
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn three_agents_in_one_container_do_not_get_in_each_others_way() {
    let Some(lab) = with_codex("three") else { return };
    lab.login("claude", &lab.token("CLAUDE"));
    lab.login("gemini", r#"{"oauth_creds":{"access_token":"ya29.FAKE","refresh_token":"1//FAKE"},"google_accounts":{"active":"a","old":[]}}"#);
    lab.image();
    for runtime in RUNTIMES {
        let bundle = bundle(&lab, runtime, "claude, codex, gemini", ".");
        let container = Bare::new(&lab, runtime, runtime, &bundle);
        container.start();
        is_codex_login(&container.exec(AUTH), runtime);
        assert_eq!(
            container.exec("echo $CLAUDE_CODE_OAUTH_TOKEN; ls /run/secrets; ls -A ~"),
            "<CLAUDE>\nclaude\n.claude.json\n.codex\n.gemini"
        );
        container.end();
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&bundle);
        // podman 4.3 splits --annotation at commas, so white space separates too.
        let run = format!(
            "podman --runtime {runtime} run --rm --user 1000 --annotation 'dev.keyslip.agents=claude codex gemini' bb"
        );
        let seen = lab.ok(&format!("{run} sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN; ls -A ~'"));
        assert_eq!(seen, "<CLAUDE>\n.claude.json\n.codex\n.gemini", "{runtime}: podman");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_login_in_a_user_namespace_belongs_to_its_user() {
    let Some(lab) = with_codex("codex-userns") else { return };
    lab.image();
    for runtime in RUNTIMES {
        let run = format!(
            "podman --runtime {runtime} run --rm --user 1000 --userns=auto:size=2000 --annotation dev.keyslip.agents=codex bb"
        );
        let seen = lab.ok(&format!(
            "{run} sh -c 'cd ~; stat -c \"%n %a %u\" .codex .codex/auth.json; touch .codex/x && cat .codex/auth.json'"
        ));
        let (modes, auth) = seen.rsplit_once('\n').unwrap_or_default();
        assert_eq!(modes, ".codex 700 1000\n.codex/auth.json 400 1000", "{runtime}");
        is_codex_login(auth, runtime);
        lab.assert_nothing_left(runtime);
    }
}
