//! `keyslip auth login` at a terminal. The login programs need their vendors' servers, so scripts stand in
//! for them; that the real one starts is shown in tests/login.

use crate::lab::Lab;

/// Runs `command` at a terminal, where somebody types.
fn at_a_terminal(typing: &str, command: &str) -> String {
    format!("({typing}) | script -qefc '{command}' /dev/null")
}

#[test]
fn claude_is_logged_in_at_a_terminal_and_the_token_is_not_shown_again() {
    let Some(lab) = Lab::new("cli-capture") else { return };
    lab.ok("mkdir $W/bin; cp $REPO/tests/login/claude $W/bin/claude");
    let token = lab.ok("sed -n 's/^token=//p' $W/bin/claude");
    lab.mark("TOKEN", &token);
    let typing = r"sleep 1; printf '\e[200~FAKE-code#FAKE-state\e[201~'; sleep 0.5; printf '\r'; sleep 2";
    let said = lab.ok(&format!("PATH=$W/bin:$PATH; {}", at_a_terminal(typing, "keyslip auth login claude")));
    // The client shows it once, as it does without us.
    let (before, after) = said.split_once("stored the long-lived OAuth token for claude").expect(&said);
    assert!(before.contains("<TOKEN>") && !after.contains("<TOKEN>"), "{said}");
    assert_eq!(lab.ok("jq -r .token /var/lib/keyslip/tokens/claude-oauth.json"), "<TOKEN>");
    // Everything that the lab has written is below its overlay, its home directories and /run.
    let found =
        lab.leaks(&["/var/lib/keyslip", "/run", "/home", "/var/tmp", "$W/overlay/root", "$W/overlay/etc"], &token);
    assert_eq!(found, ["/var/lib/keyslip/tokens/claude-oauth.json"], "no transcript is kept");

    // A code that is wrong, and a token that is cut: what was stored stays.
    let typing = r"sleep 1; printf 'FAKE-code\r'; sleep 2";
    let output = lab.sh(&format!("PATH=$W/bin:$PATH; {}", at_a_terminal(typing, "keyslip auth login claude")));
    assert!(!output.succeeded() && output.stdout.contains("nothing was stored"), "{output}");
    lab.write("$W/bin/claude", b"#!/bin/sh\nstty -echo\nprintf 'token: sk-ant-oat01-FAKEFAKEFAKEFAKE\\r\\n'\n");
    let output = lab.sh(&format!("PATH=$W/bin:$PATH; {}", at_a_terminal("sleep 1", "keyslip auth login claude")));
    assert!(!output.succeeded() && output.stdout.to_lowercase().contains("nothing was stored"), "{output}");
    assert_eq!(lab.ok("jq -r .token /var/lib/keyslip/tokens/claude-oauth.json"), "<TOKEN>");
}

#[test]
fn a_login_of_its_own_is_made_in_a_private_directory_that_is_gone_afterwards() {
    let Some(lab) = Lab::new("cli-private") else { return };
    lab.ok("mkdir $W/bin; end=$(date -d '8 hours' +%s)000; claims=$(printf '{\"exp\":%s}' ${end%000} | base64 -w0 | tr '+/' '-_' | tr -d '=')
        cat >$W/bin/codex <<END
#!/bin/sh
[ \"\\$*\" = login ] && [ -t 0 ] && [ -d \"\\$CODEX_HOME\" ] && [ -z \"\\$(ls -A \\$CODEX_HOME)\" ] || exit 3
stat -f -c 'home is on %T' \\$CODEX_HOME; stat -c 'with mode %a' \\$CODEX_HOME; echo \\$CODEX_HOME >$W/codex-home
printf '{\"auth_mode\":\"chatgpt\",\"tokens\":{\"access_token\":\"e30.$claims.FAKE\",\"refresh_token\":\"rt_FAKE-own\",\"account_id\":\"FAKE\"}}' >\\$CODEX_HOME/auth.json
END
        cat >$W/bin/claude <<END
#!/bin/sh
[ \"\\$*\" = 'auth login' ] || exit 3
printf '{\"claudeAiOauth\":{\"accessToken\":\"sk-ant-oat01-FAKE-own\",\"refreshToken\":\"sk-ant-ort01-FAKE-own\",\"expiresAt\":$end}}' >\\$CLAUDE_CONFIG_DIR/.credentials.json
END
        chmod 755 $W/bin/*");
    let said = lab.ok(&format!("PATH=$W/bin:$PATH; {}", at_a_terminal("sleep 1", "keyslip auth login codex")));
    assert!(said.contains("home is on tmpfs") && said.contains("with mode 700"), "{said}");
    assert!(
        said.contains("stored the ChatGPT login for codex") && said.contains("keyslip auth refresh --due"),
        "{said}"
    );
    assert_eq!(lab.ok("ls -d $(cat $W/codex-home) 2>/dev/null || ls -A /run/keyslip/login"), "");
    let claude = "keyslip auth login claude --method browser";
    assert!(
        lab.ok(&format!("PATH=$W/bin:$PATH; {}", at_a_terminal("sleep 1", claude))).contains("stored the OAuth login")
    );
    // Both are ours alone, and so ours to renew.
    assert_eq!(lab.ok("keyslip auth status --json | jq -r '.[].renewable'"), "true\ntrue");
    for token in ["rt_FAKE-own", "sk-ant-ort01-FAKE-own"] {
        assert_eq!(lab.leaks(&["/var/lib/keyslip", "/run"], token).len(), 1, "in the store alone");
    }
    // The program fails, or ends without a login.
    lab.ok("printf '#!/bin/sh\nexit 7\n' >$W/bin/codex; printf '#!/bin/sh\nexit 0\n' >$W/bin/claude");
    let failed = lab.sh(&format!("PATH=$W/bin:$PATH; {}", at_a_terminal("sleep 1", "keyslip auth login codex")));
    assert!(!failed.succeeded() && failed.stdout.contains("exit status: 7; nothing was stored"), "{failed}");
    let empty = lab.sh(&format!("PATH=$W/bin:$PATH; {}", at_a_terminal("sleep 1", claude)));
    assert!(!empty.succeeded() && empty.stdout.contains("ended without a login"), "{empty}");
    assert_eq!(lab.ok("ls -A /run/keyslip/login"), "");
}

#[test]
fn without_the_program_the_credential_is_asked_for() {
    let Some(lab) = Lab::new("cli-no-program") else { return };
    let token = lab.token("PASTED");
    lab.write("$W/token", format!("{token}\n").as_bytes());
    let run = at_a_terminal("sleep 1; cat $W/token; sleep 1", "keyslip auth login claude");
    let said = lab.ok(&format!("PATH=$REPO/build/bin:/usr/bin:/bin; ! command -v claude && {run}; rm $W/token"));
    assert!(said.contains("claude is not installed here") && said.contains("stored the long-lived"), "{said}");
    assert!(!said.contains("<PASTED>"), "what is pasted is not shown: {said}");
    let insisted = lab.sh(&format!(
        "PATH=$REPO/build/bin:/usr/bin:/bin; {}",
        at_a_terminal("sleep 1", "keyslip auth login claude --method token")
    ));
    assert!(!insisted.succeeded() && insisted.stdout.contains("claude was not found in PATH"), "{insisted}");
}
