//! Everything that is said on a topic is as the JSON Schemas beside TOPICS.md describe it, by the
//! public validator; and what a schema calls a command is one to the server too.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cardea_tests::broker::{Broker, command};
use cardea_tests::python::{python_with, script};
use cardea_tests::{Site, face};
use serde_json::{Value, json};

const VALIDATE: &str = "
import json, sys
from jsonschema import Draft202012Validator as V
schema = json.load(open(sys.argv[1]))
V.check_schema(schema)
bad = 0
for line in open(sys.argv[2]):
    errors = list(V(schema).iter_errors(json.loads(line)))
    bad += bool(errors)
    print(line.strip()[:200], [e.message[:200] for e in errors]) if errors else None
print('wrong:', bad)
";

fn wrong(site: &Site, kind: &str, messages: &[Value]) -> String {
    let python = python_with("jsonschema==4.26.0");
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/connect/schemas");
    let file = site.file("messages");
    let lines: Vec<_> = messages.iter().map(Value::to_string).collect();
    fs::write(&file, lines.join("\n")).expect("written");
    script(
        &python,
        VALIDATE,
        &[&schemas.join(format!("{kind}.json")), &file],
    )
}

/// Fails when a message has a field that its schema does not know, or lacks one that it asks for.
#[test]
fn what_is_said_is_what_the_schemas_describe() {
    let broker = Broker::new();
    let mut listener = broker.listen();
    let site = Site::new();
    let server = site.serve();
    broker.join(&site, "j1");
    server.admin().enrol("P1", &face(1)).expect("enrolled");
    let mut device = site.device("d1");
    device.access(&face(1));
    let commands = [
        command(
            "j-1",
            "device.commission",
            json!({"name": "d2", "door": "main"}),
        ),
        command("j-2", "device.delete", json!({"device": 77})),
        command("j-3", "key.rotate", json!({"key": "ship"})),
        command("j-4", "sync", json!({})),
        command("j-5", "diagnostics", json!({})),
        command("j-6", "update", json!({"manifest": "none.json"})),
        command(
            "j-7",
            "integration.set",
            json!({"integration": "space",
            "setup": {"host": "h", "port": 1, "transport": "tcp"}}),
        ),
    ];
    for command in &commands {
        broker.command("j1", command);
        listener.end_of(command["id"].as_str().expect("an id"));
    }
    broker.publish("cardea/v1/j1/command", b"{");
    listener.hear_of("event", |event| event["event"] == "command.refused");
    site.done(&["device", "remove", "d1"]);
    listener.hear_of("event", |event| event["event"] == "device.removed");
    listener.hear_of("telemetry", |_| true);
    server.stop();
    listener.hear_of("status", |status| status["state"] == "stopped");

    let mut kinds = BTreeSet::new();
    for kind in ["status", "heartbeat", "event", "telemetry", "result"] {
        let of_kind = listener.heard.iter();
        let of_kind = of_kind.filter(|(topic, _)| topic.ends_with(&format!("/{kind}")));
        let messages: Vec<_> = of_kind.map(|(_, message)| message.clone()).collect();
        assert!(!messages.is_empty(), "no {kind}");
        let said = wrong(&site, kind, &messages);
        assert!(said.trim().ends_with("wrong: 0"), "{kind}: {said}");
        kinds.extend(
            messages
                .iter()
                .filter_map(|m| Some(m["event"].as_str()?.to_owned())),
        );
    }
    assert!(kinds.len() >= 7, "{kinds:?}");
    assert!(
        wrong(&site, "command", &commands)
            .trim()
            .ends_with("wrong: 0")
    );
    // The validator itself sees what is wrong.
    let mut odd = commands[0].clone();
    odd["more"] = json!(1);
    let said = wrong(&site, "command", &[odd]);
    assert!(said.trim().ends_with("wrong: 1"), "{said}");
}
