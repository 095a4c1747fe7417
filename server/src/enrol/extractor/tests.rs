//! The extractor against programs that behave well and badly. `sh` is on every machine that runs
//! these tests.

use super::*;

const MODEL: [u8; 16] = [7; 16];

fn shell(script: &str, timeout_s: u64) -> Extractor {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    Extractor {
        command,
        timeout_s,
        memory_mib: 512,
    }
}

fn run(script: &str) -> Result<Vec<Embedding>, ExtractorError> {
    extract(
        &shell(script, 20),
        MODEL,
        &Zeroizing::new(b"photo".to_vec()),
    )
}

fn answer(status: u8, count: u8, model: [u8; 16], rows: usize) -> Vec<u8> {
    let mut row = [0_u8; EMBEDDING_BYTES];
    row[..4].copy_from_slice(&1.0_f32.to_le_bytes());
    [
        ANSWER_MAGIC.as_slice(),
        &[status, count, 0, 0],
        &model,
        &row.repeat(rows),
    ]
    .concat()
}

// Fails if `parse` takes another model, count or length, or a status that is none.
#[test]
fn answers_are_parsed_as_a_strangers() {
    let read = |bytes: &[u8]| parse(bytes, MODEL).map(|faces| faces.len());
    assert_eq!(read(&answer(0, 1, MODEL, 1)), Ok(1));
    let most = PHOTO_FACES_MAX as u8;
    assert_eq!(
        read(&answer(0, most, MODEL, PHOTO_FACES_MAX)),
        Ok(PHOTO_FACES_MAX)
    );
    let declined = |outcome| Err(ExtractorError::Declined(outcome));
    assert_eq!(
        read(&answer(1, 0, MODEL, 0)),
        declined(EnrolmentOutcome::NotOneFace)
    );
    assert_eq!(
        read(&answer(2, 0, MODEL, 0)),
        declined(EnrolmentOutcome::PoorPhoto)
    );
    assert_eq!(
        read(&answer(3, 0, MODEL, 0)),
        declined(EnrolmentOutcome::NotAPhoto)
    );
    for bad in [
        answer(4, 1, MODEL, 1),
        answer(0, 0, MODEL, 0),
        answer(0, 2, MODEL, 1),
        answer(0, most + 1, MODEL, PHOTO_FACES_MAX + 1),
        answer(0, 1, [8; 16], 1),
        answer(0, 1, MODEL, 1)[1..].to_vec(),
        vec![0; 3],
    ] {
        assert!(matches!(read(&bad), Err(ExtractorError::BadAnswer(_))));
    }
    let mut long = answer(0, 1, MODEL, 1);
    long[HEAD_BYTES..HEAD_BYTES + 4].copy_from_slice(&2.0_f32.to_le_bytes());
    assert_eq!(
        read(&long),
        Err(ExtractorError::BadAnswer("not an embedding"))
    );
}

// Fails if the request is not what the page says: head of 24 bytes, then the photo.
#[test]
fn it_is_given_the_photo_on_its_input() {
    // Only a request of 29 bytes with the photo at its end is answered.
    let script = r#"[ "$(tail -c +25)" = photo ] && printf 'CXA1\001\000\000\000'
        && printf '\007\007\007\007\007\007\007\007\007\007\007\007\007\007\007\007'"#;
    let script = script.replace('\n', " ");
    assert_eq!(
        run(&script),
        Err(ExtractorError::Declined(EnrolmentOutcome::NotOneFace))
    );
}

// Fails without the kill of the whole group: the test would wait for the grandchild's pipe.
#[test]
fn it_is_killed_with_its_children_when_its_time_is_over() {
    let began = Instant::now();
    let ended = extract(
        &shell("sleep 300 & sleep 300", 1),
        MODEL,
        &Zeroizing::new(vec![0; 300_000]),
    );
    assert_eq!(ended, Err(ExtractorError::TimedOut));
    assert!(began.elapsed() < Duration::from_secs(100));
}

// Fails without the limits: of files, of memory, of the answer's length.
#[test]
fn it_may_write_no_file_and_say_no_more_than_fits() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("copy");
    let script = format!("cat > {}", file.display());
    assert_eq!(run(&script), Err(ExtractorError::BadAnswer("cut off")));
    // Also not by a child that it started at once, before anybody could have limited it.
    let child = format!("cat | cat > {}; true", file.display());
    assert_eq!(run(&child), Err(ExtractorError::BadAnswer("cut off")));
    let kept = std::fs::read(&file).unwrap_or_default();
    assert!(kept.is_empty(), "{} bytes of the photo on disk", kept.len());
    assert_eq!(
        run("cat /dev/zero"),
        Err(ExtractorError::BadAnswer("too long"))
    );
    assert_eq!(
        run("env > /dev/stderr; exit 3"),
        Err(ExtractorError::BadAnswer("cut off"))
    );
    let none = Extractor {
        command: vec!["/nowhere/extractor".to_owned()],
        timeout_s: 1,
        memory_mib: 64,
    };
    let photo = Zeroizing::new(Vec::new());
    assert_eq!(
        extract(&none, MODEL, &photo),
        Err(ExtractorError::Io(io::ErrorKind::NotFound))
    );
}
