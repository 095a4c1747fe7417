//! Asking everybody again, tick by tick.

use super::super::asking::FROM_THE_FIRST;
use super::*;
use crate::admin::enrol::EnrolAsk;
use crate::enrol::{MailSetup, MailTls};
use crate::limits::{ASKED_PER_TICK, ASKING_MAILS_MAX};
use crate::store::{Mail, Reader};

/// A site of so many people with addresses, who are to be asked again.
fn asking(people: u64) -> Online {
    let mut online = Online::over(init());
    online.enrol(1..people + 1);
    let mail = MailSetup {
        host: "127.0.0.1".to_owned(),
        port: 9,
        tls: MailTls::None,
        from: "door@example.org".to_owned(),
        user: None,
        password: None,
        ca_pem: None,
    };
    let ask = EnrolAsk::SetMail { mail: Some(mail) };
    online.done(Request::Enrol { ask });
    let store = &mut online.writer.store;
    for number in 1..=people {
        let edited = store.person_edit(&name(number), "Somebody", Some("one@example.org"));
        edited.expect("an address");
    }
    let settings = [
        (SettingKey::POLICY_VERSION, &b"2"[..]),
        (SettingKey::ASKING, &FROM_THE_FIRST),
    ];
    store.settings_set(&settings).expect("set");
    online
}

/// The mail that is due first.
fn first(reader: &Reader) -> Mail {
    let due = reader.mail_due(carry_out::unix_s()).expect("a read");
    due.expect("a mail")
}

/// Whoever came before the one at whom a step was cut got a second mail. Fails if `asking_tick`
/// stores how far it is only behind a whole step.
#[test]
fn a_step_that_is_cut_asks_nobody_twice() {
    let mut online = asking(3);
    let cut = "CREATE TRIGGER cut BEFORE INSERT ON mails
               WHEN NEW.person = (SELECT id FROM people WHERE external_id = 'W2')
               BEGIN SELECT RAISE(ABORT, 'cut'); END";
    online.writer.store.run_sql(cut);
    assert!(online.writer.asking_tick().is_err());
    let before = first(online.writer.store.read());
    assert_eq!(
        online
            .writer
            .store
            .read()
            .mail_counts()
            .expect("read")
            .waiting,
        1
    );
    online.writer.store.run_sql("DROP TRIGGER cut");
    assert!(online.writer.asking_tick().is_ok());
    let reader = online.writer.store.read();
    assert_eq!(reader.mail_counts().expect("read").waiting, 3);
    assert!(first(reader).token == before.token, "asked twice");
    let left = reader.setting(SettingKey::ASKING).expect("read");
    assert_eq!(left, None, "all are asked");
}

/// With a relay that took nothing, every mail was tried once and made room for another, until all
/// the people had one; and a hundred that had expired untried ended the asking for ever. Fails if
/// only what was never tried is counted, or what has expired is.
#[test]
fn mails_that_fail_keep_others_from_being_asked() {
    let mut online = asking(ASKING_MAILS_MAX + 1);
    let later = carry_out::unix_s() + 1_000;
    let mails = |sql: &str, online: &Online| {
        online.writer.store.run_sql(sql);
        online
            .writer
            .store
            .read()
            .mails_to_try(carry_out::unix_s())
            .expect("a read")
    };
    let failed = format!("UPDATE mails SET tries = 1, due = {later}");
    for _ in 0..=ASKING_MAILS_MAX / ASKED_PER_TICK as u64 {
        assert!(online.writer.asking_tick().is_ok());
        assert!(mails(&failed, &online) <= ASKING_MAILS_MAX);
    }
    assert_eq!(mails("", &online), ASKING_MAILS_MAX);
    assert_eq!(
        mails(
            "UPDATE invitations SET expires = 1; UPDATE mails SET tries = 0",
            &online
        ),
        0
    );
    assert!(online.writer.asking_tick().is_ok());
    assert_eq!(mails("", &online), 1, "the last of them");
}
