//! What a container asks for: names that come out are valid names, and asking twice is asking once.
#![no_main]

use std::path::Path;

use keyslip::oci::Spec;
use keyslip::request;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|parts: (&str, &str, &str, &str)| {
    let text = json!({
        "process": {"args": ["a"], "env": [], "user": {"uid": 0, "gid": 0}},
        "mounts": [{"destination": "/request", "type": "bind", "source": parts.3, "options": ["bind"]}],
        "annotations": {"dev.keyslip.agents": parts.0, "dev.keyslip.secrets": parts.1, "dev.keyslip.user": parts.2},
    })
    .to_string();
    let Ok(spec) = Spec::parse(&text, Path::new("config.json")) else { return };
    let Ok(found) = request::read(&spec, Path::new("/run/keyslip/request"), Path::new("/bundle")) else { return };
    for request in found.by_annotation.iter().chain([&found.by_mount.secret, &found.by_mount.plain]) {
        for agent in &request.agents {
            assert!(!agent.to_string().contains(['/', '\0', '\n', ' ', ',']), "{agent}");
            assert_eq!(agent.to_string().parse().as_ref(), Ok(agent));
        }
        for secret in &request.secrets {
            assert!(!secret.as_str().contains(['/', '\0', '\n', ' ']) && !secret.as_str().starts_with('.'), "{secret}");
        }
    }
});
