//! Text as real servers send it, and what is refused.

use super::*;

fn only_text(document: &str) -> Result<String, XmlError> {
    let mut cursor = Cursor::new(document);
    cursor.child()?;
    let text = cursor.text()?;
    cursor.finish()?;
    Ok(text)
}

#[test]
fn declarations_in_single_and_double_quotes_decide_the_encoding() {
    let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>Tv\xE4tt</a>";
    assert_eq!(only_text(&decode(latin).unwrap()).unwrap(), "Tv\u{e4}tt");
    let utf8 = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>Tv\u{e4}tt</a>";
    assert_eq!(
        only_text(&decode(utf8.as_bytes()).unwrap()).unwrap(),
        "Tv\u{e4}tt"
    );
    let marked = b"\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"utf-8\"?><a>b</a>";
    assert_eq!(only_text(&decode(marked).unwrap()).unwrap(), "b");
    let bare = "<a>\u{e4}</a>";
    assert_eq!(
        only_text(&decode(bare.as_bytes()).unwrap()).unwrap(),
        "\u{e4}"
    );
}

#[test]
fn encodings_that_lie_or_are_unknown_are_refused() {
    let lies = b"<?xml version='1.0' encoding='utf-8'?><a>Tv\xE4tt</a>";
    assert!(matches!(
        decode(lies),
        Err(XmlError::NotInEncoding { offset: 43 })
    ));
    let unknown = b"<?xml version='1.0' encoding='utf-16'?><a/>";
    assert_eq!(
        decode(unknown),
        Err(XmlError::UnknownEncoding("utf-16".into()))
    );
}

#[test]
fn text_is_trimmed_and_the_five_entities_are_resolved() {
    assert_eq!(only_text("<a>\r\n   x y \n\t</a>").unwrap(), "x y");
    assert_eq!(
        only_text("<a> &lt;&amp;&gt;&quot;&apos;&#65;&#x42; </a>").unwrap(),
        "<&>\"'AB"
    );
    assert_eq!(only_text("<GPF1/>").unwrap(), "");
    assert_eq!(only_text("<a><![CDATA[<b>]]></a>").unwrap(), "<b>");
    assert_eq!(only_text("<a>1<b>2</b>3</a>").unwrap(), "13");
}

#[test]
fn document_types_and_other_entities_are_refused() {
    let bomb = "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>";
    assert_eq!(only_text(bomb), Err(XmlError::DocumentType));
    assert_eq!(only_text("<!DOCTYPE a><a/>"), Err(XmlError::DocumentType));
    assert_eq!(
        only_text("<a>&nbsp;</a>"),
        Err(XmlError::Entity("nbsp".into()))
    );
    assert!(matches!(only_text("<a>&#0;</a>"), Err(XmlError::Entity(_))));
}

#[test]
fn depth_and_text_are_bounded() {
    let nest = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert_eq!(only_text(&nest(XML_DEPTH_MAX)), Ok(String::new()));
    assert_eq!(only_text(&nest(XML_DEPTH_MAX + 1)), Err(XmlError::TooDeep));
    let text = |length: usize| format!("<a>{}</a>", "x".repeat(length));
    assert_eq!(
        only_text(&text(XML_TEXT_BYTES_MAX)).unwrap().len(),
        XML_TEXT_BYTES_MAX
    );
    assert_eq!(
        only_text(&text(XML_TEXT_BYTES_MAX + 1)),
        Err(XmlError::TextTooLong)
    );
}

#[test]
fn every_truncation_of_a_document_is_refused() {
    let whole = "<?xml version='1.0'?><a> <b.c>1</b.c> <d/> </a>";
    assert_eq!(only_text(whole).unwrap(), "");
    for end in 0..whole.len() {
        assert!(only_text(&whole[..end]).is_err(), "cut at {end}");
    }
    assert_eq!(only_text("<a/><b/>"), Err(XmlError::Trailing));
    assert_eq!(only_text("<a/>x"), Err(XmlError::Trailing));
    assert!(matches!(
        only_text("<a></b>"),
        Err(XmlError::Malformed { .. })
    ));
}

#[test]
fn a_cursor_goes_down_and_comes_up_again() {
    let mut cursor = Cursor::new("<a><b><c>1</c><c>2</c></b><d>3</d></a>");
    assert_eq!(cursor.child().unwrap().as_deref(), Some("a"));
    assert_eq!(cursor.child().unwrap().as_deref(), Some("b"));
    let mut inner = Vec::new();
    while cursor.child().unwrap().is_some() {
        inner.push(cursor.text().unwrap());
    }
    assert_eq!(inner, ["1", "2"]);
    assert_eq!(cursor.child().unwrap().as_deref(), Some("d"));
    cursor.skip().unwrap();
    assert_eq!(cursor.child().unwrap(), None);
    cursor.finish().unwrap();
}

#[test]
fn what_is_escaped_reads_back() {
    let mut document = String::from("<a>");
    escape("Door <1> & \"2\"\u{1}", &mut document);
    document.push_str("</a>");
    assert_eq!(only_text(&document).unwrap(), "Door <1> & \"2\"");
}
