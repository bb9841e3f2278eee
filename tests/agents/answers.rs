//! What the vendors' servers answer, as far as the clients need it to say `hello` and end.

use serde_json::{Value, json};

use crate::api::{Request, State};
use crate::client::CLIENTS;

/// An answer.
pub struct Answer {
    pub status: u16,
    pub kind: &'static str,
    pub body: String,
}

/// What a model says here, and nothing else says.
pub const HELLO: &str = "hello from the fake server";

fn say(status: u16, body: &Value) -> Answer {
    Answer { status, kind: "application/json", body: body.to_string() }
}

/// A stream of events, each with its type as its name.
fn events(events: &[Value]) -> Answer {
    let lines =
        events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or("")));
    Answer { status: 200, kind: "text/event-stream", body: lines.collect() }
}

/// The answer to a request.
pub fn to(request: &Request, state: &State) -> Answer {
    if request.is_refresh() {
        return refresh(state);
    }
    let (_, path) = request.target.split_once('/').unwrap_or_default();
    let credentials = request.credentials();
    let valid =
        state.valid.is_empty() || state.valid.iter().any(|token| credentials.iter().any(|line| line.contains(token)));
    // Lists of features and the like are given to everybody.
    let model = CLIENTS.iter().any(|client| client.models().contains(&request.target.as_str()));
    if model && (credentials.is_empty() || !valid) {
        return unauthorized(path);
    }
    match path {
        "v1/messages" => claude(request),
        "v1/responses" | "backend-api/codex/responses" => codex(request),
        // Claude looks whether it can reach these before it asks its first question.
        "api/hello" | "v1/oauth/hello" => say(200, &json!({"message": "hello"})),
        // Codex with a ChatGPT login asks where its account's models are before it asks one of them.
        "backend-api/wham/accounts/check" => {
            let account = request.header("chatgpt-account-id").unwrap_or_default();
            say(
                200,
                &json!({"accounts": [{"id": account, "plan_type": "plus", "workspace_backend_origin": "NO_CONSTRAINT",
                "account_routing_override": "NO_CONSTRAINT"}], "account_ordering": [account], "default_account_id": account}),
            )
        }
        // Before it uses a login, gemini has it looked at.
        "tokeninfo" => say(200, &json!({"expires_in": 3600, "scope": "FAKE"})),
        "copilot_internal/user" => copilot_user(),
        "models" => copilot_models(),
        "chat/completions" => copilot(),
        path if path.starts_with("v1internal:") => code_assist(path),
        path if path.ends_with("GenerateContent") || path.ends_with("generateContent") => gemini(path, false),
        _ => say(404, &json!({"error": {"type": "not_found_error", "message": "FAKE: not here"}})),
    }
}

fn unauthorized(path: &str) -> Answer {
    let error = if path.starts_with("v1/messages") {
        json!({"type": "error", "error": {"type": "authentication_error", "message": "FAKE: invalid bearer token"}})
    } else {
        json!({"error": {"code": 401, "message": "FAKE: not authorized", "status": "UNAUTHENTICATED"}})
    };
    say(401, &error)
}

fn refresh(state: &State) -> Answer {
    match &state.renewed {
        Some(token) => {
            let seconds = state.renewed_for.unwrap_or(3600);
            say(200, &json!({"access_token": token, "expires_in": seconds, "token_type": "Bearer"}))
        }
        None => say(400, &json!({"error": "invalid_grant"})),
    }
}

fn claude(request: &Request) -> Answer {
    let asked: Value = serde_json::from_str(&request.body).unwrap_or_default();
    let usage = json!({"input_tokens": 1, "output_tokens": 1});
    let text = json!({"type": "text", "text": HELLO});
    let message = |content: Value, stop: Option<&str>| {
        json!({"id": "msg_FAKE", "type": "message", "role": "assistant", "model": asked["model"], "content": content,
            "stop_reason": stop, "stop_sequence": null, "usage": usage})
    };
    if asked["stream"] != true {
        return say(200, &message(json!([text]), Some("end_turn")));
    }
    events(&[
        json!({"type": "message_start", "message": message(json!([]), None)}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": HELLO}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": usage}),
        json!({"type": "message_stop"}),
    ])
}

fn codex(request: &Request) -> Answer {
    // It asks for a web socket first, and goes on without one.
    if request.method == "GET" {
        return say(426, &json!({"error": {"message": "FAKE: no web sockets here"}}));
    }
    let text = json!({"type": "output_text", "text": HELLO, "annotations": []});
    let item = |content| json!({"type": "message", "id": "msg_FAKE", "role": "assistant", "status": "completed", "content": content});
    let usage = json!({"input_tokens": 1, "output_tokens": 1, "total_tokens": 2});
    let response = |status: &str| {
        json!({"id": "resp_FAKE", "object": "response", "created_at": 1_760_000_000, "model": "FAKE", "status": status,
            "output": [], "usage": usage})
    };
    // opencode goes by the pieces, codex by the whole.
    events(&[
        json!({"type": "response.created", "response": response("in_progress")}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": item(json!([]))}),
        json!({"type": "response.output_text.delta", "item_id": "msg_FAKE", "output_index": 0, "content_index": 0, "delta": HELLO}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item(json!([text]))}),
        json!({"type": "response.completed", "response": response("completed")}),
    ])
}

/// Google's server for logins.
fn code_assist(path: &str) -> Answer {
    let tier = json!({"id": "free-tier", "name": "FAKE tier", "isDefault": true});
    match path.trim_start_matches("v1internal:") {
        "loadCodeAssist" => {
            say(200, &json!({"currentTier": tier, "cloudaicompanionProject": "fake-project", "allowedTiers": [tier]}))
        }
        "onboardUser" => {
            say(200, &json!({"done": true, "response": {"cloudaicompanionProject": {"id": "fake-project"}}}))
        }
        "streamGenerateContent" | "generateContent" => gemini(path, true),
        _ => say(200, &json!({})),
    }
}

fn gemini(path: &str, wrapped: bool) -> Answer {
    let candidate =
        json!({"content": {"role": "model", "parts": [{"text": HELLO}]}, "finishReason": "STOP", "index": 0});
    let usage = json!({"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2});
    let mut answer = json!({"candidates": [candidate], "usageMetadata": usage});
    if wrapped {
        answer = json!({"response": answer});
    }
    if path.contains("stream") {
        return Answer { status: 200, kind: "text/event-stream", body: format!("data: {answer}\n\n") };
    }
    say(200, &answer)
}

/// Whose token it is, and where Copilot's models are.
fn copilot_user() -> Answer {
    let endpoints = json!({"api": "https://api.githubcopilot.com"});
    say(
        200,
        &json!({"login": "fake", "copilot_plan": "individual", "chat_enabled": true, "cli_enabled": true,
            "endpoints": endpoints, "organization_list": [], "quota_snapshots": {}}),
    )
}

/// Copilot uses models alone that it knows.
fn copilot_models() -> Answer {
    const NAME: &str = "gpt-5.4";
    let limits =
        json!({"max_context_window_tokens": 128_000, "max_output_tokens": 16_384, "max_prompt_tokens": 64_000});
    let capabilities = json!({"family": NAME, "object": "model_capabilities", "type": "chat", "tokenizer": "o200k_base",
        "limits": limits, "supports": {"streaming": true, "tool_calls": true}});
    let model = json!({"id": NAME, "name": NAME, "object": "model", "vendor": "OpenAI", "version": NAME, "preview": false,
        "model_picker_enabled": true, "is_chat_default": true, "billing": {"is_premium": false, "multiplier": 1},
        "policy": {"state": "enabled", "terms": ""}, "capabilities": capabilities,
        "supported_endpoints": ["/chat/completions"]});
    say(200, &json!({"object": "list", "data": [model]}))
}

fn copilot() -> Answer {
    let chunk = |delta: Value, finish: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        json!({"id": "FAKE", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5.4", "choices": [choice]})
    };
    let (text, end) = (chunk(json!({"role": "assistant", "content": HELLO}), None), chunk(json!({}), Some("stop")));
    let body = format!("data: {text}\n\ndata: {end}\n\ndata: [DONE]\n\n");
    Answer { status: 200, kind: "text/event-stream", body }
}
