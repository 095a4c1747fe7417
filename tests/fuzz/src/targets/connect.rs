//! Connect: commands from the broker, and manifests of updates.

use cardea_connect::command;
use cardea_connect::limits::{
    COMMAND_BYTES_MAX, COMMAND_EXPIRY_MAX, UPDATE_FILE_BYTES_MAX, UPDATE_FILES_MAX,
};
use cardea_connect::topics::is_id;
use cardea_connect::update::{Manifest, Present, Role, Version};

const NOW: i64 = 1_700_000_000;

pub(crate) fn command_seeds() -> Vec<Vec<u8>> {
    let command = |name: &str, with: &str| {
        format!(
            "{{\"v\":1,\"id\":\"c-1\",\"expires\":\"2023-11-14T23:00:00Z\",\"do\":\"{name}\",\
             \"with\":{with}}}"
        )
        .into_bytes()
    };
    vec![
        command("device.commission", "{\"name\":\"d1\",\"door\":\"main\"}"),
        command("device.delete", "{\"device\":7}"),
        command(
            "integration.set",
            "{\"integration\":\"space\",\"setup\":{\"host\":\"10.0.0.2\",\"port\":8100}}",
        ),
        command("key.rotate", "{\"key\":\"ship\"}"),
        command("sync", "{}"),
        command("diagnostics", "{}"),
        command(
            "update",
            "{\"manifest\":\"0.2.0/manifest.json\",\"allow_older\":true}",
        ),
    ]
}

/// What is taken has an id that a topic may hold and an end within the time that ids are
/// remembered; the same bytes later are refused; and who refuses names no id that is none.
pub(crate) fn command(bytes: &[u8]) {
    let read = command::parse(bytes, NOW);
    assert_eq!(read, command::parse(bytes, NOW));
    match read {
        Ok(command) => {
            assert!(bytes.len() <= COMMAND_BYTES_MAX);
            assert!(is_id(&command.id) && !command.ask.name().is_empty());
            let ahead = command.expires_unix_s - NOW;
            assert!((1..=COMMAND_EXPIRY_MAX.as_secs() as i64).contains(&ahead));
            let late = command::parse(bytes, command.expires_unix_s);
            assert_eq!(
                late.map_err(|refusal| refusal.why),
                Err(command::Refused::Expired)
            );
        }
        Err(refusal) => assert!(refusal.id.is_none_or(|id| is_id(&id))),
    }
}

/// A manifest and its signature by minisign, as the authority keeps them.
const SIGNED: &[u8] =
    include_bytes!("../../../../server/connect/src/update/testdata/manifest.json");
const SIGNATURE: &[u8] =
    include_bytes!("../../../../server/connect/src/update/testdata/manifest.json.minisig");
const KEY: &str = include_str!("../../../../server/connect/src/update/testdata/update.pub");
/// How a signature begins; in an input, what follows the manifest.
const SIGNATURE_BEGINS: &[u8] = b"untrusted comment:";

pub(crate) fn manifest_seeds() -> Vec<Vec<u8>> {
    let firmware = "{\"v\":1,\"product\":\"cardea\",\"version\":\"0.2.0\",\"minimum\":\"0.1.0\",\
        \"expires\":\"2030-01-01T00:00:00Z\",\"files\":[{\"name\":\"device-1.4.0.bin\",\
        \"role\":\"firmware\",\"size\":9,\"firmware\":\"1.4.0\",\"blake3\":\
        \"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"}]}";
    vec![
        [SIGNED, SIGNATURE].concat(),
        SIGNED.to_vec(),
        firmware.as_bytes().to_vec(),
    ]
}

/// The signature opens its own manifest and no other; what is read has files that are safe to
/// name and to hold, and allows no way back that nobody asked for.
pub(crate) fn manifest(bytes: &[u8]) {
    let mut windows = bytes.windows(SIGNATURE_BEGINS.len());
    let end = windows.position(|window| window == SIGNATURE_BEGINS);
    let (body, signature) = bytes.split_at(end.unwrap_or(bytes.len()));
    let key = KEY.lines().nth(1).unwrap_or_default().to_owned();
    if Manifest::open(body, signature, &[key]).is_ok() {
        assert_eq!(body, SIGNED, "opened by a signature of something else");
    }
    let Ok(manifest) = Manifest::read(body) else {
        return;
    };
    assert!((1..=UPDATE_FILES_MAX).contains(&manifest.files.len()));
    for file in &manifest.files {
        assert!(!file.name.contains('/') && !file.name.starts_with('.'));
        assert!((1..=UPDATE_FILE_BYTES_MAX).contains(&file.size));
        assert!(file.blake3.len() == 64);
        assert_eq!(file.firmware.is_some(), file.role == Role::Firmware);
    }
    let Version(major, minor, patch) = manifest.version;
    let newer = Version(major, minor, patch.saturating_add(1));
    let at = |version, now_unix_s, allow_older| {
        let present = Present {
            version,
            now_unix_s,
            allow_older,
        };
        manifest.permit(present).is_ok()
    };
    let end = manifest.expires_unix_s;
    assert!(newer == manifest.version || !at(newer, end - 1, false));
    assert!(!at(manifest.version, end, true), "past its end");
    assert_eq!(
        at(manifest.version, end - 1, true),
        manifest.minimum <= manifest.version
    );
}
