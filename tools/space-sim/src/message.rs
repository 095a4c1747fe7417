//! Reads a `RequestCall`.

use quick_xml::Reader;
use quick_xml::events::Event;

/// A request: its name, and the text of each parameter by element name.
#[derive(Debug, Default)]
pub(crate) struct Call {
    pub(crate) name: String,
    params: Vec<(String, String)>,
}

impl Call {
    /// `None` when `xml` is not a `RequestCall`, or has no end.
    pub(crate) fn parse(xml: &str) -> Option<Self> {
        let mut reader = Reader::from_str(xml);
        reader.config_mut().expand_empty_elements = true;
        let mut call = Self::default();
        let mut path: Vec<String> = Vec::new();
        let mut text = String::new();
        let mut is_whole = false;
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => {
                    path.push(start.name().as_ref().to_owned());
                    text.clear();
                }
                Event::End(_) => {
                    let name = path.pop()?;
                    let value = text.trim().to_owned();
                    match (name.as_str(), path.len()) {
                        ("RequestCall", 0) => is_whole = true,
                        ("RequestName", 1) => call.name = value,
                        (_, 0) => return None,
                        _ => call.params.push((name, value)),
                    }
                    text.clear();
                }
                Event::Text(part) => text.push_str(&part.xml10_content()),
                Event::GeneralRef(reference) => match &*reference {
                    "amp" => text.push('&'),
                    "lt" => text.push('<'),
                    "gt" => text.push('>'),
                    _ => return None,
                },
                Event::Eof => return is_whole.then_some(call),
                _ => {}
            }
        }
    }

    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.params
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.first(name) == Some("1")
    }

    /// `MaxCount`, or everything.
    pub(crate) fn count(&self) -> usize {
        self.first("MaxCount")
            .and_then(|count| count.parse().ok())
            .unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_parameters_are_read_and_halves_are_not() {
        let xml = "<?xml version=\"1.0\"?><RequestCall><RequestName>X.Read</RequestName><Params>\
                   <MaxCount>7</MaxCount><L><D>a &amp; b</D><D> c </D></L></Params></RequestCall>";
        let call = Call::parse(xml).unwrap();
        assert_eq!((call.name.as_str(), call.count()), ("X.Read", 7));
        assert_eq!(call.all("D").collect::<Vec<_>>(), ["a & b", "c"]);
        assert!(Call::parse(&xml[..xml.len() - 20]).is_none());
        assert!(Call::parse("<html></html>").is_none());
    }
}
