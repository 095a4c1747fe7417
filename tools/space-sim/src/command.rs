//! Commands from standard input, the control port, a schedule, or a test.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fault::{Fault, Scope};
use crate::latency::Latency;
use crate::world::World;

/// What can be commanded.
pub const HELP: &str = "\
Commands (on standard input, as the body of a POST to the control port, or scheduled):
  fault NAME [on=SCOPE] [count=N] [skip=N]
                     misbehave for requests of SCOPE (any, open, info, list; any unless given),
                     for the next N of them (until cleared unless given), after letting some pass
      401 500        that HTTP status, nothing opens
      hang           no answer until cleared, nothing opens
      reset          connection reset after the request was read, nothing opens
      stale          kept-alive connection reset at its next first byte, nothing opens
      exception:CODE an exception instead of a result, nothing opens
      door-error:CODE  the door's own result is CODE, nothing opens
      gone           nobody listens, nothing opens
      close-idle     connection closes silently after the answer, the door opens
      trickle:MS     answer a byte each MS milliseconds, the door opens
      garbage doctype half-page wrong-length
                     an answer that is none, the door opens
      lost-reply     connection closes without an answer, the door opens
      late:MS        answer MS milliseconds late, the door opens
      chunked        answer in HTTP chunks, the door opens (no fault)
  clear              no fault any more
  certificate        a new CA and certificate; connections close
  rewrite [\"FROM\", \"TO\"]
                     write TO wherever FROM would stand in an answer; `rewrite` alone ends it and
                     says how often each was made
  key KEY            another SHIP key is taken from now on
  latency MEAN,SD,TAIL_PERCENT,TAIL_MS
  ban ID | unban ID | remove ID | remove-first N | restore
                     change users; restore makes the site as it was at the start
  ledger [FROM]      every OnlineDoor.Open, from entry FROM on; ledger-clear forgets them
  status | users [COUNT] | doors [COUNT] | ca | help
";

const LISTED_MAX: usize = 1_000_000;

/// Does what `command` says.
pub(crate) fn execute(world: &World, command: &str) -> Result<Value, String> {
    let mut words = command.split_whitespace();
    let verb = words.next().unwrap_or_default();
    let rest: Vec<_> = words.collect();
    let one = || match rest.as_slice() {
        [word] => Ok(*word),
        _ => Err(format!("{verb} takes one word")),
    };
    let done = || Ok(json!({ "done": command }));
    match verb {
        "fault" => fault(world, &rest).and_then(|()| done()),
        "clear" => {
            world.faults.clear();
            done()
        }
        "certificate" => {
            world.change_certificate()?;
            let identity = world.identity();
            Ok(json!({ "fingerprint": identity.fingerprint, "ca": identity.ca_pem }))
        }
        "key" => {
            world.set_key(one()?);
            done()
        }
        "latency" => {
            world.sampler().latency = Latency::parse(one()?)?;
            done()
        }
        "ban" | "unban" => {
            let found = world.site().ban(one()?, verb == "ban");
            if found {
                done()
            } else {
                Err("no such user".into())
            }
        }
        "remove" => {
            let found = world.site().users.remove(one()?).is_some();
            if found {
                done()
            } else {
                Err("no such user".into())
            }
        }
        "remove-first" => {
            let count = one()?
                .parse()
                .map_err(|_| "remove-first takes a number".to_owned())?;
            Ok(json!({ "removed": world.site().remove_first(count) }))
        }
        "restore" => {
            world.site().restore();
            done()
        }
        "rewrite" => rewrite(world, command),
        "ledger-clear" => {
            world.ledger().clear();
            done()
        }
        _ => look(world, verb, &rest),
    }
}

/// Commands that change nothing.
fn look(world: &World, verb: &str, rest: &[&str]) -> Result<Value, String> {
    let number = |otherwise: usize| match rest {
        [] => Ok(otherwise),
        [number] => number.parse().map_err(|_| format!("{verb} takes a number")),
        _ => Err(format!("{verb} takes one number")),
    };
    match verb {
        "ledger" => {
            let from = number(1)?.saturating_sub(1);
            Ok(json!(
                world.ledger().entries().get(from..).unwrap_or_default()
            ))
        }
        "users" => {
            let count = number(LISTED_MAX)?;
            Ok(json!(
                world.site().users.keys().take(count).collect::<Vec<_>>()
            ))
        }
        "doors" => {
            let count = number(LISTED_MAX)?;
            Ok(json!(
                world.site().doors.keys().take(count).collect::<Vec<_>>()
            ))
        }
        "ca" => Ok(json!(world.identity().ca_pem)),
        "status" => {
            let site = world.site();
            let (users, doors) = (site.users.len(), site.doors.len());
            drop(site);
            let ledger = world.ledger();
            let opened = ledger.entries().iter().filter(|entry| entry.opened).count();
            Ok(json!({
                "users": users,
                "doors": doors,
                "requests": world.request_count(),
                "handshakes": world.handshake_count(),
                "connections": world.connection_count(),
                "opens": ledger.entries().len(),
                "opened": opened,
                "fault": world.faults.name(),
                "up_ms": u64::try_from(world.elapsed().as_millis()).unwrap_or(u64::MAX),
            }))
        }
        "help" => Ok(json!(HELP)),
        _ => Err(format!("{verb:?} is no command; try help")),
    }
}

fn rewrite(world: &World, command: &str) -> Result<Value, String> {
    let pair = command.trim().trim_start_matches("rewrite");
    if pair.is_empty() {
        return Ok(json!({ "made": world.write_plainly() }));
    }
    let pair: Result<(String, String), _> = serde_json::from_str(pair);
    let (from, to) = pair.map_err(|_| "rewrite takes two texts in JSON".to_owned())?;
    if from.is_empty() {
        return Err("nothing cannot be rewritten".into());
    }
    world.rewrite(from, to);
    Ok(json!({ "done": command }))
}

fn fault(world: &World, words: &[&str]) -> Result<(), String> {
    let (name, options) = words.split_first().ok_or("fault takes a name")?;
    let fault = Fault::parse(name)?;
    let (mut scope, mut count, mut skip) = (Scope::Any, None, 0);
    for option in options {
        let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number"));
        match option.split_once('=') {
            Some(("on", value)) => scope = Scope::parse(value)?,
            Some(("count", value)) => count = Some(number(value)?).filter(|count| *count > 0),
            Some(("skip", value)) => skip = number(value)?,
            _ => return Err(format!("{option:?} is none of on=, count=, skip=")),
        }
    }
    world.faults.set(fault, scope, skip, count);
    Ok(())
}

/// Does each `COMMAND@SECOND` at its time; a bare name of a fault is a fault.
pub(crate) fn schedule(world: &Arc<World>, items: &[String]) -> Result<(), String> {
    let mut plan = Vec::new();
    for item in items {
        let form = || format!("{item:?} is not COMMAND@SECOND");
        let (command, second) = item.rsplit_once('@').ok_or_else(form)?;
        let second: f64 = second.parse().map_err(|_| form())?;
        let at = Duration::try_from_secs_f64(second).map_err(|_| form())?;
        let is_fault = Fault::parse(command.split(' ').next().unwrap_or_default()).is_ok();
        let command = if is_fault {
            format!("fault {command}")
        } else {
            command.to_owned()
        };
        plan.push((at, command));
    }
    plan.sort();
    if plan.is_empty() {
        return Ok(());
    }
    let world = Arc::clone(world);
    let began = Instant::now();
    let run = move || {
        for (at, command) in plan {
            thread::sleep(at.saturating_sub(began.elapsed()));
            if world.is_stopping() {
                return;
            }
            match execute(&world, &command) {
                Ok(_) => eprintln!("space-sim: {command}"),
                Err(why) => eprintln!("space-sim: {command}: {why}"),
            }
        }
    };
    let spawned = thread::Builder::new().name("schedule".into()).spawn(run);
    spawned.map(drop).map_err(|error| error.to_string())
}
