//! Refresh tokens, new logins and revocation, while the clients run.

use crate::answers::HELLO;
use crate::client::{Client, Installed};
use crate::lab::Lab;
use crate::sandbox::{Sandbox, Wanted, Way, listed};
use crate::{claude, codex, gemini};

fn opened(client: Client, name: &str) -> Option<(Installed, Lab)> {
    Some((client.installed()?, Lab::new(&format!("agents-{}-{name}", client.agent()))?))
}

/// Seconds since 1970, in this many seconds.
fn soon(seconds: u64) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    now.as_secs() + seconds
}

/// A login that ends in two minutes, when the clients renew it, its refresh token, and where an image has it.
fn about_to_end(client: Client, lab: &Lab) -> (String, &'static str) {
    match client {
        Client::Claude => (claude::login(lab, "OLD", soon(120) * 1000), "home/dev/.claude/.credentials.json"),
        _ => (codex::login(lab, "OLD", soon(120)), "home/dev/.codex/auth.json"),
    }
}

fn later(client: Client, lab: &Lab, mark: &str) -> String {
    match client {
        Client::Claude => claude::login(lab, mark, claude::LATER),
        _ => codex::login(lab, mark, codex::LATER),
    }
}

/// With its refresh token the client asks for a new login; with what Keyslip delivers it never does.
fn never_refreshes(client: Client) {
    let Some((installed, lab)) = opened(client, "custody") else { return };
    let (login, place) = about_to_end(client, &lab);
    lab.login(client.agent(), &login);
    lab.write("login", login.as_bytes());
    let image = format!("mkdir -p $(dirname {place}); cp $W/login {place}; chown -R 1000:1000 home/dev");
    let own = Wanted { image: &image, main: client.hello(), ..Wanted::new(client.agent(), Way::None) };
    let sandbox = Sandbox::start(&lab, &installed, &own);
    sandbox.main();
    let requests = sandbox.api.take();
    let refresh = requests.iter().find(|it| it.is_refresh());
    let refresh = refresh.unwrap_or_else(|| panic!("with its own refresh token it uses it: {}", listed(&requests)));
    assert!(lab.masked(&refresh.body).contains("<REFRESH>"), "{}", refresh.target);
    sandbox.end();

    for way in [Way::Shim, Way::Hook] {
        let wanted = Wanted { main: client.hello(), ..Wanted::new(client.agent(), way) };
        let sandbox = Sandbox::start(&lab, &installed, &wanted);
        let said = sandbox.main();
        let requests = sandbox.api.take();
        assert!(said.contains(HELLO), "{way:?}: {said}\n{}", listed(&requests));
        assert!(!requests.iter().any(|it| it.is_refresh()), "{way:?}: {}", listed(&requests));
        let all = lab.masked(&format!("{requests:?}"));
        assert!(all.contains("<OLD>") && !all.contains("<REFRESH>"), "{way:?}: the refresh token left the host");
        sandbox.end();
    }
}

/// The client has asked with a token that the server does not take any more; before it hears of that, `sync` has brought a
/// new one.
fn recovers_from_401(client: Client) {
    let Some((installed, lab)) = opened(client, "rotation") else { return };
    lab.login(client.agent(), &later(client, &lab, "OLD"));
    for (way, mark) in [(Way::Shim, "NEW"), (Way::Hook, "NEWER")] {
        let wanted = Wanted { main: client.hello(), ..Wanted::new(client.agent(), way) };
        let sandbox = Sandbox::made(&lab, &installed, &wanted);
        let created = sandbox.bare.create();
        assert!(created.succeeded(), "{created}");
        {
            let mut state = sandbox.api.state();
            state.valid = vec!["no token so far".to_owned()];
            state.hold = true;
        }
        sandbox.go_on();
        sandbox.api.wait_for_a_model(client);
        let login = later(client, &lab, mark);
        lab.login(client.agent(), &login);
        let said = lab.ok("keyslip sync");
        assert!(said.contains(&format!("{} was updated", client.agent())), "{said}");
        {
            let mut state = sandbox.api.state();
            state.valid = vec![access_token(client, &login)];
            state.hold = false;
        }
        let said = sandbox.main();
        let requests = sandbox.api.take();
        let asked = requests.iter().filter(|it| client.models().contains(&it.target.as_str()));
        let mut used: Vec<String> = asked.map(|it| lab.masked(&it.credentials().join(", "))).collect();
        used.dedup();
        assert!(said.contains(HELLO), "{way:?}: {said}\n{used:?}\n{}", listed(&requests));
        assert_eq!(used.last(), Some(&format!("authorization: Bearer <{mark}>")), "{way:?}: {used:?}");
        assert_eq!(used.len(), 2, "{way:?}: the old one, then the new one: {used:?}");
        assert!(!requests.iter().any(|it| it.is_refresh()), "{way:?}: {}", listed(&requests));
        sandbox.end();
    }
}

fn access_token(client: Client, login: &str) -> String {
    let login: serde_json::Value = serde_json::from_str(login).expect("JSON");
    let token = match client {
        Client::Claude => &login["claudeAiOauth"]["accessToken"],
        _ => &login["tokens"]["access_token"],
    };
    token.as_str().expect("a token").to_owned()
}

#[test]
fn claude_never_refreshes_what_is_delivered() {
    never_refreshes(Client::Claude);
}

#[test]
fn codex_never_refreshes_what_is_delivered() {
    never_refreshes(Client::Codex);
}

#[test]
fn a_running_claude_recovers_from_a_401() {
    recovers_from_401(Client::Claude);
}

#[test]
fn a_running_codex_recovers_from_a_401() {
    recovers_from_401(Client::Codex);
}

/// Its refresh token can be used many times, by several containers and again in each.
#[test]
fn gemini_renews_its_own_copy_over_every_expiry() {
    let Some((installed, lab)) = opened(Client::Gemini, "expiry") else { return };
    let ended = (soon(0) - 1000) * 1000;
    lab.login("gemini", &gemini::login(&lab, "OLD", ended));
    let both = [0, 1].map(|_| Sandbox::start(&lab, &installed, &Wanted::new("gemini", Way::Shim)));
    // What the first renewal gives is at its end when the client is started again.
    for mark in ["RENEWED", "AGAIN"] {
        for (index, sandbox) in both.iter().enumerate() {
            let what = format!("{mark}, container {index}");
            let renewed = format!("ya29.FAKE-{mark}-{index}-{}", lab.unique());
            lab.mark(mark, &renewed);
            {
                let mut state = sandbox.api.state();
                state.renewed = Some(renewed.clone());
                state.renewed_for = Some(1);
                state.valid = vec![renewed];
            }
            let said = sandbox.exec(Client::Gemini.status());
            let requests = sandbox.api.take();
            assert!(said.succeeded() && said.stdout.contains(HELLO), "{what}: {said}\n{}", listed(&requests));
            let refresh = requests.iter().find(|it| it.is_refresh()).unwrap_or_else(|| panic!("{what}: it renews"));
            assert!(refresh.body.contains("grant_type=refresh_token"), "{}", lab.masked(&refresh.body));
            let credentials: Vec<String> = requests.iter().flat_map(|it| it.credentials()).collect();
            assert!(lab.masked(&credentials.join(", ")).contains(&format!("Bearer <{mark}>")), "{what}");
            // It wrote the new one into its copy, in place, and keeps the refresh token.
            let copy = sandbox.exec("cat ~/.gemini/oauth_creds.json").stdout;
            assert!(copy.contains(&format!("<{mark}>")) && copy.contains("<REFRESH>"), "{what}: {copy}");
        }
    }
    Sandbox::end_all(both);
}

/// A login of the host's own that is passed through comes without its refresh token.
#[test]
fn gemini_never_refreshes_what_is_passed_through() {
    let Some((installed, lab)) = opened(Client::Gemini, "passed") else { return };
    // In its last five minutes the client takes it for ended and, having no refresh token, ends with 41.
    let login: serde_json::Value = serde_json::from_str(&gemini::login(&lab, "HOSTS", soon(900) * 1000)).expect("JSON");
    lab.ok("mkdir ~/.gemini");
    for file in ["oauth_creds", "google_accounts"] {
        lab.write(&format!("/root/.gemini/{file}.json"), login[file].to_string().as_bytes());
    }
    lab.ok("chmod 600 ~/.gemini/*");
    for passthrough in ["file", "env"] {
        lab.configure(&format!("passthrough = \"{passthrough}\"\n"));
        let sandbox = Sandbox::start(&lab, &installed, &Wanted::new("gemini", Way::Shim));
        let said = sandbox.exec(Client::Gemini.status());
        let requests = sandbox.api.take();
        assert!(said.succeeded() && said.stdout.contains(HELLO), "{passthrough}: {said}\n{}", listed(&requests));
        assert!(!requests.iter().any(|it| it.is_refresh()), "{passthrough}: {}", listed(&requests));
        let all = lab.masked(&format!("{requests:?}"));
        assert!(
            all.contains("<HOSTS>") && !all.contains("<REFRESH>"),
            "{passthrough}: the refresh token left the host"
        );
        sandbox.end();
    }
}

/// Whoever keeps a copy is named, container by container; what is started there afterwards has none.
#[test]
fn revoke_lists_every_container_that_still_holds_the_token() {
    let Some((installed, lab)) = opened(Client::Claude, "holders") else { return };
    lab.login("claude", &lab.token("LOGIN"));
    let holders = [0, 1].map(|_| Sandbox::start(&lab, &installed, &Wanted::new("claude", Way::Shim)));
    // Where the token is a file, nothing is held.
    let file = Sandbox::start(&lab, &installed, &Wanted::new("claude", Way::Hook));
    let said = lab.ok("keyslip revoke --account claude");
    for holder in &holders {
        let line = format!("{}: processes that run still hold CLAUDE_CODE_OAUTH_TOKEN", holder.bare.id);
        assert!(said.contains(&line), "{said}");
        let main = holder.exec("tr '\\0' '\\n' </proc/1/environ; echo; env").stdout;
        assert_eq!(main.matches("<LOGIN>").count(), 1, "the main process alone: {main}");
    }
    assert!(said.contains(&format!("{}: took away claude", file.bare.id)), "{said}");
    assert!(!said.contains(&format!("{}: processes", file.bare.id)), "{said}");
    let list = lab.ok("keyslip list");
    assert_eq!(list.matches("(revoked)").count(), 3, "{list}");
    Sandbox::end_all(holders.into_iter().chain([file]));
}

/// A client that is started after `revoke` is logged out, and whoever keeps a copy is named.
#[test]
fn after_a_revoke_a_new_client_is_logged_out() {
    for (client, none) in
        [(Client::Claude, "`none`"), (Client::Codex, "API key auth is missing a key"), (Client::Gemini, "ends with 41")]
    {
        let Some((installed, lab)) = opened(client, "revoke") else { continue };
        let credential = match client {
            Client::Gemini => gemini::login(&lab, "LOGIN", gemini::LATER),
            Client::Claude => lab.token("LOGIN"),
            _ => later(client, &lab, "LOGIN"),
        };
        lab.login(client.agent(), &credential);
        let sandbox = Sandbox::start(&lab, &installed, &Wanted::new(client.agent(), Way::Shim));
        let status = format!("{}; echo \"rc $?\"", client.status());
        let before = sandbox.exec(&status);
        assert_ne!(client.says(&before.said()), none, "{before}");
        let said = lab.ok(&format!("keyslip revoke {}", sandbox.bare.id));
        assert!(said.contains(&format!("took away {}", client.agent())), "{said}");
        let holders = said.contains("still hold CLAUDE_CODE_OAUTH_TOKEN");
        assert_eq!(holders, client == Client::Claude, "a variable cannot be taken away: {said}");
        let after = sandbox.exec(&status);
        assert_eq!(client.says(&after.said()), none, "{after}");
        sandbox.end();
    }
}
