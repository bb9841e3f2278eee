use super::*;
use crate::agent::Definition;
use crate::names::AgentName;

fn kind(agent: &str) -> Kind {
    let agent: AgentName = agent.parse().unwrap();
    let definition = Definition::find(&agent, std::path::Path::new("/nonexistent")).unwrap().unwrap();
    definition.kinds.into_iter().find(|kind| kind.refresh.is_some()).unwrap()
}

fn body(agent: &str) -> (&'static str, String) {
    let refresh = kind(agent).refresh.unwrap();
    let (media_type, body) = request(&refresh, &Secret::from_text("1//FAKE \"+&=é")).unwrap();
    (media_type, body.expose_text().unwrap().to_owned())
}

fn applied(kind: &Kind, login: &str, answer: &str) -> Result<String, Error> {
    let answer = Answer { body: Secret::from_text(answer), received: Instant(1_790_000_000) };
    apply(kind, &Secret::from_text(login), &answer).map(|it| it.credential.expose_text().unwrap().to_owned())
}

#[test]
fn requests_are_as_the_clients_send_them() {
    // claude 2.1.197 also sends its scopes, codex 0.169.0 a `refresh_reason`: both may be left out.
    let client = "9d1c250a-e61b-44d9-88ed-5944d1962f5e";
    let expected =
        format!(r#"{{"grant_type":"refresh_token","refresh_token":"1//FAKE \"+&=é","client_id":"{client}"}}"#);
    assert_eq!(body("claude"), ("application/json", expected));
    let expected =
        r#"{"grant_type":"refresh_token","refresh_token":"1//FAKE \"+&=é","client_id":"app_EMoamEEZ73f0CkXaXp7hrann"}"#;
    assert_eq!(body("codex"), ("application/json", expected.to_owned()));
    let (media_type, form) = body("gemini");
    assert_eq!(media_type, "application/x-www-form-urlencoded");
    let start = "grant_type=refresh_token&refresh_token=1%2F%2FFAKE%20%22%2B%26%3D%C3%A9&client_id=681255809395-oo8ft2oprdrnp9e3aqf6av3hmdib135j.apps.googleusercontent.com&client_secret=GOCSPX-";
    assert!(form.starts_with(start), "{form}");
}

#[test]
fn a_scope_is_asked_for_where_the_definition_has_one() {
    let refresh = Refresh { scope: Some("a b".to_owned()), body: RefreshBody::Form, ..Refresh::default() };
    let (_, form) = request(&refresh, &Secret::from_text("FAKE")).unwrap();
    assert_eq!(form.expose_text().unwrap(), "grant_type=refresh_token&refresh_token=FAKE&client_id=&scope=a%20b");
}

#[test]
fn everything_the_answer_does_not_speak_of_stays() {
    let login = r#"{ "x": 1e400, "claudeAiOauth" : {"accessToken":"FAKE-1","refreshToken":"FAKE-r1","expiresAt":1,"scopes":["a"],"new":{}} }"#;
    let answer =
        r#"{"token_type":"Bearer","access_token":"FAKE-2","expires_in":28800,"refresh_token":"FAKE-r2","scope":"b"}"#;
    let expected = r#"{ "x": 1e400, "claudeAiOauth" : {"accessToken":"FAKE-2","refreshToken":"FAKE-r2","expiresAt":1790028800000,"scopes":["a"],"new":{}} }"#;
    assert_eq!(applied(&kind("claude"), login, answer).unwrap(), expected);
}

#[test]
fn a_refresh_token_that_does_not_come_is_not_lost() {
    let login = r#"{"claudeAiOauth":{"accessToken":"FAKE-1","refreshToken":"FAKE-r1","expiresAt":1}}"#;
    for rest in ["", r#","refresh_token":null"#, r#","refresh_token":"""#] {
        let changed = applied(&kind("claude"), login, &format!(r#"{{"access_token":"FAKE-2"{rest}}}"#)).unwrap();
        assert!(changed.contains(r#""refreshToken":"FAKE-r1""#) && changed.contains("FAKE-2"), "{changed}");
        assert!(changed.contains("1790003600000"), "an hour where nothing is said: {changed}");
    }
}

#[test]
fn an_answer_without_an_access_token_is_of_no_use() {
    let login = r#"{"claudeAiOauth":{"accessToken":"FAKE-1","refreshToken":"FAKE-r1","expiresAt":1}}"#;
    for answer in ["{}", r#"{"access_token":""}"#, r#"{"access_token":7}"#, r#"{"access_token":null}"#, "[]"] {
        assert!(matches!(applied(&kind("claude"), login, answer), Err(Error::Answer { .. })), "{answer}");
    }
}

#[test]
fn a_jwt_says_its_end_itself_and_the_time_of_renewal_is_noted() {
    let login = r#"{"auth_mode":"chatgpt","tokens":{"id_token":"FAKE","access_token":"FAKE","refresh_token":"FAKE","account_id":"a"},"last_refresh":"2025-01-01T00:00:00Z"}"#;
    // {"alg":"none"} . {"exp":4102444800}
    let access = "eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.FAKE";
    let answer = Answer {
        body: Secret::from_text(&format!(r#"{{"access_token":"{access}","expires_in":60}}"#)),
        received: Instant(1_790_000_000),
    };
    let renewed = apply(&kind("codex"), &Secret::from_text(login), &answer).unwrap();
    assert_eq!(renewed.expires, Some(Instant(4_102_444_800)));
    let text = renewed.credential.expose_text().unwrap();
    assert!(text.ends_with(r#""last_refresh":"2026-09-21T14:13:20Z"}"#), "{text}");
}

#[test]
fn seconds_of_unix_time() {
    let mut kind = kind("claude");
    let expires = kind.expires.as_mut().unwrap();
    (expires.member, expires.unit) = ("end".to_owned(), ExpiryUnit::Seconds);
    let changed = applied(&kind, r#"{"claudeAiOauth":{}}"#, r#"{"access_token":"FAKE","expires_in":"60"}"#).unwrap();
    assert!(changed.contains(r#""end":1790000060"#), "{changed}");
}

#[test]
fn lives_that_are_believed() {
    let given = ["3600", "3600.7", "\"3600\"", "0", "-5", "1e9", "99999999999", "null", "\"soon\""];
    let expected = [Some(3600), Some(3600), Some(3600), None, None, None, None, None, None];
    assert_eq!(given.map(seconds), expected);
}

#[test]
fn refusals_are_told_apart_and_quote_nothing() {
    let say = |status, body: &str| refusal("host".to_owned(), status, &Secret::from_text(body));
    for gone in [
        r#"{"error":"invalid_grant","error_description":"FAKE"}"#,
        r#"{"type":"error","error":{"type":"invalid_grant","message":"FAKE"}}"#,
        r#"{"error":{"code":"refresh_token_reused","message":"FAKE"}}"#,
    ] {
        assert!(matches!(say(400, gone), Error::Refused { .. }), "{gone}");
        assert!(matches!(say(401, gone), Error::Refused { .. }), "{gone}");
        assert!(matches!(say(500, gone), Error::Server { status: 500, .. }), "{gone}");
    }
    assert!(matches!(say(401, "FAKE"), Error::Refused { code: "status 401", .. }));
    assert!(matches!(say(400, r#"{"error":"invalid_client"}"#), Error::Client { code: "invalid_client", .. }));
    for (status, body) in [(400, r#"{"error":"FAKE"}"#), (403, "FAKE"), (404, ""), (429, "{}"), (503, "")] {
        let error = say(status, body);
        assert!(matches!(error, Error::Server { .. }) && !error.to_string().contains("FAKE"), "{error}");
    }
    assert!(matches!(say(307, ""), Error::Redirected { status: 307, .. }));
}
