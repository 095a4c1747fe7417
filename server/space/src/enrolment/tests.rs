//! What is read and written, against the OpenAPI document.

use serde_json::Value;

use super::*;

fn parse(body: &str) -> Result<EnrolRequest, EnrolError> {
    EnrolRequest::parse(body.as_bytes())
}

#[test]
fn a_request_is_read_trimmed_and_checked() {
    let request = parse(r#"{"email":" a@example.org ","first_name":"A","later":1}"#).unwrap();
    assert_eq!(
        (request.email.as_str(), request.language),
        ("a@example.org", Language::En)
    );
    assert_eq!(
        parse(r#"{"email":"a@b.c","language":"nl"}"#)
            .unwrap()
            .language,
        Language::Nl
    );
    assert_eq!(
        parse(r#"{"email":"a@b.c","language":"xx"}"#),
        Err(EnrolError::Form)
    );
    assert_eq!(parse("{}"), Err(EnrolError::Form));
    assert_eq!(parse("[]"), Err(EnrolError::Form));
    let emails = [
        "",
        "a",
        "a@",
        "@b.c",
        "a@b",
        "a@b.c@d.e",
        "a b@c.d",
        "a@b..c",
        "a@.b",
        "<a@b.c>",
        "a@b.c,d@e.f",
        "a@b.c\r\nBcc: d@e.f",
    ];
    for email in emails {
        let body = serde_json::json!({ "email": email }).to_string();
        assert_eq!(parse(&body), Err(EnrolError::Email), "{email:?}");
    }
}

#[test]
fn lengths_are_bounded() {
    let email = |length: usize| {
        let local = "x".repeat(length - "@b.c".len());
        parse(&serde_json::json!({ "email": format!("{local}@b.c") }).to_string())
    };
    assert!(email(EMAIL_BYTES_MAX).is_ok());
    assert_eq!(email(EMAIL_BYTES_MAX + 1), Err(EnrolError::Email));
    let named = |length: usize| {
        let name = "\u{e4}".repeat(length);
        parse(&serde_json::json!({ "email": "a@b.c", "last_name": name }).to_string())
    };
    assert!(named(NAME_CHARS_MAX).is_ok());
    assert_eq!(named(NAME_CHARS_MAX + 1), Err(EnrolError::Name));
    assert_eq!(
        parse(r#"{"email":"a@b.c","first_name":"a\u0007"}"#),
        Err(EnrolError::Name)
    );
    let padded = |length: usize| format!("{:length$}", r#"{"email":"a@b.c"}"#);
    assert!(parse(&padded(ENROLMENT_BYTES_MAX)).is_ok());
    assert_eq!(
        parse(&padded(ENROLMENT_BYTES_MAX + 1)),
        Err(EnrolError::TooLong)
    );
}

#[test]
fn the_person_is_in_the_path() {
    let person = |rest: &str| person_of(&format!("{PATH_PREFIX}{rest}"));
    assert_eq!(person("staff-7").unwrap().as_str(), "staff-7");
    assert_eq!(person("a%20b%2Fc").unwrap().as_str(), "a b/c");
    for rest in ["", "a/b", "a?b", "%", "%4", "%zz", "%+1", "%FF", "%07"] {
        assert_eq!(person(rest), None, "{rest}");
    }
    assert_eq!(person_of("/api/devices"), None);
}

#[test]
fn an_answer_says_since_when_and_in_words() {
    let person = ExtId::parse("7").unwrap();
    let done = PersonStatus::new(&person, EnrolmentState::Enrolled, Some(0));
    assert_eq!(
        done.to_json(),
        concat!(
            r#"{"ext_user_id":"7","state":"enrolled","text":"User enrolled","#,
            r#""since":"1970-01-01T00:00:00Z"}"#
        )
    );
    let none = PersonStatus::new(&person, EnrolmentState::NotEnrolled, None);
    assert!(!none.to_json().contains("since"));
    assert_eq!(error_json("a", "b\""), r#"{"error":"a","message":"b\""}"#);
}

fn openapi() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

#[test]
fn the_document_describes_what_is_read_and_written() {
    let document = openapi();
    assert_eq!(document["openapi"], "3.1.0");
    let path = format!("{PATH_PREFIX}{{ext_user_id}}");
    let methods = document["paths"][&path].as_object().unwrap();
    for method in ["get", "put", "delete"] {
        assert!(methods[method]["responses"]["401"].is_object(), "{method}");
        assert!(methods[method]["responses"]["200"].is_object(), "{method}");
    }
    let schemas = &document["components"]["schemas"];
    let request = &schemas["EnrolRequest"]["properties"];
    assert_eq!(request["email"]["maxLength"], EMAIL_BYTES_MAX);
    assert_eq!(request["first_name"]["maxLength"], NAME_CHARS_MAX);
    assert_eq!(request["last_name"]["maxLength"], NAME_CHARS_MAX);
    let languages = [
        Language::Ar,
        Language::De,
        Language::En,
        Language::Es,
        Language::Fr,
        Language::Nl,
    ];
    assert_eq!(request["language"]["enum"], serde_json::json!(languages));
    let states = [
        EnrolmentState::NotEnrolled,
        EnrolmentState::Requested,
        EnrolmentState::Invited,
        EnrolmentState::Consented,
        EnrolmentState::Enrolled,
        EnrolmentState::Failed,
    ];
    let status = &schemas["PersonStatus"]["properties"];
    assert_eq!(status["state"]["enum"], serde_json::json!(states));
    let words: Vec<_> = states.iter().map(|state| state.words()).collect();
    assert_eq!(status["text"]["examples"], serde_json::json!(words));
    let errors = [
        EnrolError::TooLong,
        EnrolError::Form,
        EnrolError::Email,
        EnrolError::Name,
    ];
    let listed = schemas["Error"]["properties"]["error"]["examples"]
        .as_array()
        .unwrap();
    for error in errors {
        assert!(listed.contains(&error.word().into()), "{error:?}");
    }
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    fn check(value: &Value, document: &Value) -> usize {
        match value {
            Value::Object(fields) => {
                let mut found = 0;
                for (name, field) in fields {
                    if let ("$ref", Value::String(target)) = (name.as_str(), field) {
                        let pointer = target.strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{target}");
                        found += 1;
                    }
                    found += check(field, document);
                }
                found
            }
            Value::Array(items) => items.iter().map(|item| check(item, document)).sum(),
            _ => 0,
        }
    }
    let document = openapi();
    assert!(check(&document, &document) > 5);
}
