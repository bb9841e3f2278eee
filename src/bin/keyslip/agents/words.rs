//! A definition in words, with backticks around names.

use std::collections::BTreeMap;

use keyslip::agent::{
    CredentialFile, Definition, ExpiryUnit, KeychainItem, Kind, Method, MovedBy, Recognise, SettingsFile, TokenEnd,
};

/// Texts in a row: `a`, `b`.
pub fn names<'a>(texts: impl IntoIterator<Item = &'a String>) -> String {
    texts.into_iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ")
}

pub fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}

/// Who has seen it work.
pub fn proven(definition: &Definition) -> String {
    definition.proven.clone().unwrap_or_else(|| "not run with its client".to_owned())
}

pub fn recognised(recognise: &Recognise) -> String {
    let prefix = recognise.prefix.iter().map(|prefix| format!("begins with `{prefix}`"));
    let except = recognise.except.iter().map(|prefix| format!("not with `{prefix}`"));
    let member = recognise.member.iter().map(|member| format!("JSON with `{member}`"));
    let each = recognise.each_member.iter().map(|member| format!("JSON whose members all have `{member}`"));
    prefix.chain(except).chain(member).chain(each).collect::<Vec<_>>().join(", ")
}

pub fn variables(kind: &Kind) -> String {
    let each = kind.env.iter().map(|(name, member)| match member.as_str() {
        "" => format!("`{name}`"),
        member => format!("`{name}` with `{member}`"),
    });
    or_none(each.collect::<Vec<_>>().join(", "))
}

/// Paths alone.
pub fn places(kind: &Kind) -> String {
    or_none(names(&kind.files.iter().map(|file| file.path.clone()).collect::<Vec<_>>()))
}

fn files(kind: &Kind) -> String {
    or_none(kind.files.iter().map(file).collect::<Vec<_>>().join("; "))
}

fn file(file: &CredentialFile) -> String {
    let mut text = format!("`{}`", file.path);
    if file.writable {
        text += " (writable, 0600)";
    }
    if let Some(member) = &file.member {
        text += &format!(" with `{member}`");
    }
    if file.template.is_some() {
        text += " with the credential in it";
    }
    for member in &file.blank {
        text += &format!(", `{member}` emptied");
    }
    for (member, value) in &file.set {
        text += &format!(", `{member}` set to `{}`", value.trim_matches('"'));
    }
    if file.only_without_env {
        text += ", only where no variable can be given";
    }
    text
}

fn lasts(kind: &Kind) -> String {
    let reusable = kind.refresh.as_ref().is_some_and(|refresh| refresh.reusable);
    match (&kind.expires, kind.lifetime_days) {
        (Some(expires), _) => {
            let of = match expires.unit {
                ExpiryUnit::Jwt => "claim `exp` of ",
                ExpiryUnit::Milliseconds | ExpiryUnit::Seconds => "",
            };
            let renewed = if reusable { "does not expire with a refresh token; else " } else { "" };
            format!("{renewed}{of}`{}`", expires.member)
        }
        (None, Some(days)) => format!("taken as {days} days from login"),
        (None, None) => "does not expire".to_owned(),
    }
}

/// A table of the kinds, with a heading.
pub fn kinds(definition: &Definition) -> Vec<Vec<String>> {
    let heading = ["kind", "recognised by", "variable", "file below the home directory", "lasts"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(
        definition.kinds.iter().map(|kind| {
            vec![kind.title.clone(), recognised(&kind.recognise), variables(kind), files(kind), lasts(kind)]
        }),
    );
    rows
}

/// A table of the ways to log in, with a heading.
pub fn methods(definition: &Definition) -> Vec<Vec<String>> {
    let mut rows = vec![vec!["method".to_owned(), "what it does".to_owned()]];
    for (place, method) in definition.methods.iter().enumerate() {
        let default = if place == 0 { " (default)" } else { "" };
        rows.push(vec![format!("`{}`{default}", method.name), how(definition, method)]);
    }
    rows.push(vec!["`paste`".to_owned(), "any of its credentials, at a hidden prompt or on standard input".to_owned()]);
    rows
}

fn how(definition: &Definition, method: &Method) -> String {
    let what = match (&method.private_dir, &method.file, method.length) {
        (Some(variable), Some(file), _) => {
            format!("its `{file}` is taken, from a private directory that `{variable}` names")
        }
        (_, _, Some((least, most))) => format!("taken from what it prints, {least} to {most} characters"),
        _ if method.host => format!("copied from {}", places_of_host(definition)),
        _ => "at a hidden prompt, or on standard input".to_owned(),
    };
    format!("{}; {what}", method.title)
}

/// What else follows from the definition, each a line.
pub fn facts(definition: &Definition) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(definition.settings.iter().map(|settings| setting(settings, "")));
    for kind in &definition.kinds {
        lines.extend(kind.settings.iter().map(|settings| {
            let with_end = settings.set.values().any(|value| value.contains(TokenEnd::PLACE));
            let more = if with_end {
                "; `{{token_end_20}}` is its last 20 characters, beside what is there"
            } else {
                "; another value there is warned of"
            };
            setting(settings, &format!(" for the {}{more}", kind.title))
        }));
    }
    lines.extend(definition.trust.iter().map(|settings| setting(settings, " with `trust_workspace = true`")));
    lines.extend(moved(definition));
    if !definition.host.files.is_empty() {
        lines.push(format!("The login of the host's own client is looked for in {}.", places_of_host(definition)));
    }
    for kind in &definition.kinds {
        for (name, member) in &kind.passthrough_env {
            lines.push(format!("With `passthrough = \"env\"` its `{member}` is `{name}`."));
        }
        if let Some(refresh) = &kind.refresh {
            lines.push(format!("`keyslip auth refresh` renews the {} at `{}`.", kind.title, refresh.endpoint));
        }
    }
    if let Some(dir) = &definition.config_dir {
        let (data, code) = (or_none(names(&dir.data)), or_none(names(&dir.code)));
        lines.push(format!("Shared with `host_config_dir`: data {data}; code {code}."));
    }
    lines.extend(in_the_way(definition));
    lines
}

fn setting(settings: &SettingsFile, of: &str) -> String {
    let each = settings.set.iter().map(|(member, value)| format!("`{member}` = `{value}`"));
    format!("Settings: `{}` gets {}{of}.", settings.path, each.collect::<Vec<_>>().join(", "))
}

/// Which variables move which files.
fn moved(definition: &Definition) -> Vec<String> {
    let kinds = &definition.kinds;
    let of_files = kinds.iter().flat_map(|kind| &kind.files).map(|file| (&file.path, &file.moved_by));
    let settings = definition.settings.iter().chain(kinds.iter().flat_map(|kind| &kind.settings));
    let mut dirs: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (path, moved_by) in of_files.chain(settings.map(|file| (&file.path, &file.moved_by))) {
        let Some(MovedBy { env, path: below }) = moved_by else { continue };
        let text = format!("`{path}` to `${env}/{below}`");
        let texts = dirs.entry(env).or_default();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let each =
        dirs.iter().map(|(env, texts)| format!("`{env}`, if the container sets it, moves {}.", texts.join(", ")));
    each.collect()
}

/// Where the host's own client may have its login, in the order of looking.
fn places_of_host(definition: &Definition) -> String {
    let host = &definition.host;
    let keychain =
        host.keychain.iter().map(|it| format!("the macOS keychain, if `keychain` is configured ({})", item(it)));
    let keyring = host.secret_service.iter().map(|it| format!("the keyring ({})", item(it)));
    let mut places: Vec<String> = keychain.chain(keyring).collect();
    if !host.files.is_empty() {
        let each = host.files.iter().map(|(member, path)| match member.as_str() {
            "" => format!("`~/{path}`"),
            member => format!("`~/{path}` as `{member}`"),
        });
        let moved = host.moved_by.iter().map(|moved| match moved.path.as_str() {
            "" => format!(", `{}` in place of `~`", moved.env),
            path => format!(", `{}` in place of `~/{path}`", moved.env),
        });
        places.push(each.collect::<Vec<_>>().join(" and ") + &moved.collect::<String>());
    }
    places.join("; ")
}

/// An entry of a keychain; a directory's hash is in its name.
fn item(item: &KeychainItem) -> String {
    let service = item.service.replace("{hash8}", "");
    let account = item.account.replace("{hash16}", "…").replace("{user}", "USER");
    let Some(variable) = &item.hashed else { return format!("`{service}`, account `{account}`") };
    let hash = match item.service.contains("{hash8}") {
        true => format!("where `{variable}` is set, `{service}-…` with 8 hexadecimal digits of the SHA-256 of it"),
        false => format!("… being 16 hexadecimal digits of the SHA-256 of `{variable}`"),
    };
    format!("`{service}`, account `{account}`; {hash}")
}

/// What of the container is warned of.
fn in_the_way(definition: &Definition) -> Vec<String> {
    let mut lines = Vec::new();
    if definition.needs_home {
        lines.push("An empty `HOME` is warned of: it does not find its files then.".to_owned());
    }
    for kind in definition.kinds.iter().filter(|kind| !kind.shadow_env.is_empty()) {
        lines.push(format!("Variables that beat the {}: {}.", kind.title, names(&kind.shadow_env)));
    }
    if !definition.redirect_env.is_empty() {
        lines.push(format!("Variables that send requests elsewhere: {}.", names(&definition.redirect_env)));
    }
    for file in &definition.shadow_settings {
        let each = [("beat the credential", &file.shadow), ("send requests elsewhere", &file.redirect)];
        for (what, members) in each.into_iter().filter(|(_, members)| !members.is_empty()) {
            let files = names(std::iter::once(&file.path).chain(&file.also));
            lines.push(format!("Members of {files} that {what}: {}.", names(members)));
        }
    }
    lines
}
