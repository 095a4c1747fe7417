//! The Space Install Script: PowerShell for the machine that runs Space, made for one site.
//!
//! The script itself is `install_script.ps1` with a few values left out; here they are put in as
//! PowerShell string literals, in which nothing is evaluated. It holds no secret. The tests parse
//! it; nothing here can run it on Windows.

use std::fmt;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::transport::Fingerprint;

const TEMPLATE: &str = include_str!("install_script.ps1");

/// Windows PowerShell takes a file without it for one in the machine's own code page.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The site that a script is for.
#[derive(Clone, Copy, Debug)]
pub struct InstallScript<'a> {
    /// What the site is called; shown only.
    pub site: &'a str,
    /// The face server's address, as devices and Space know it.
    pub server_address: IpAddr,
    /// The face server's port.
    pub server_port: u16,
    /// Space's host name or address, as the face server calls it.
    pub space_host: &'a str,
    /// The port of Space's web service.
    pub space_port: u16,
    /// Where Space's certificate is pinned.
    pub space_fingerprint: Option<Fingerprint>,
    /// The site's own CA, PEM.
    pub ca_pem: &'a [u8],
}

/// Why there is no script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallScriptError {
    /// The CA is not one certificate in PEM.
    Certificate,
    /// This text has control characters.
    Text(&'static str),
}

impl fmt::Display for InstallScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate => f.write_str("the site's CA is not a certificate in PEM"),
            Self::Text(what) => write!(f, "the {what} has control characters"),
        }
    }
}

impl std::error::Error for InstallScriptError {}

impl InstallScript<'_> {
    /// The script, in UTF-8 with a byte order mark and Windows' line ends.
    ///
    /// # Errors
    /// Any [`InstallScriptError`].
    pub fn render(&self) -> Result<String, InstallScriptError> {
        let ca = CertificateDer::from_pem_slice(self.ca_pem);
        let ca = ca.map_err(|_| InstallScriptError::Certificate)?;
        let fingerprint = self.space_fingerprint.map(|pinned| pinned.to_string());
        let values = [
            ("@@SITE@@", literal("site's name", self.site)?),
            (
                "@@SERVER_ADDRESS@@",
                literal("address", &self.server_address.to_string())?,
            ),
            ("@@SERVER_PORT@@", self.server_port.to_string()),
            ("@@SPACE_HOST@@", literal("host of Space", self.space_host)?),
            ("@@SPACE_PORT@@", self.space_port.to_string()),
            (
                "@@FINGERPRINT@@",
                literal("fingerprint", &fingerprint.unwrap_or_default())?,
            ),
            ("@@CA@@", literal("certificate", &STANDARD.encode(&ca))?),
        ];
        let lines = TEMPLATE.lines().map(|line| {
            // Each place is alone on its line, so a value that looks like a place stays a value.
            let place = values.iter().find(|(place, _)| line.ends_with(place));
            place.map_or(line.to_owned(), |(place, value)| {
                line.replacen(place, value, 1)
            })
        });
        let mut script = BYTE_ORDER_MARK.to_owned();
        for line in lines {
            script.push_str(&line);
            script.push_str("\r\n");
        }
        Ok(script)
    }
}

/// `text` as a single-quoted string, in which only the quote itself means anything. PowerShell
/// takes four typographic quotes for it as well.
fn literal(what: &'static str, text: &str) -> Result<String, InstallScriptError> {
    if text.contains(char::is_control) {
        return Err(InstallScriptError::Text(what));
    }
    let mut quoted = String::from("'");
    for character in text.chars() {
        if matches!(
            character,
            '\'' | '\u{2018}' | '\u{2019}' | '\u{201A}' | '\u{201B}'
        ) {
            quoted.push(character);
        }
        quoted.push(character);
    }
    quoted.push('\'');
    Ok(quoted)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tree_sitter::{Node, Parser};

    use super::*;

    const CA: &str = "-----BEGIN CERTIFICATE-----\nMIIBAA==\n-----END CERTIFICATE-----\n";

    fn site(name: &str) -> InstallScript<'_> {
        InstallScript {
            site: name,
            server_address: Ipv4Addr::new(192, 0, 2, 10).into(),
            server_port: 443,
            space_host: "space.example",
            space_port: 8100,
            space_fingerprint: Some(Fingerprint::from_bytes([0xAB; 32])),
            ca_pem: CA.as_bytes(),
        }
    }

    /// The kinds of all nodes in order, and the texts of all commands called.
    fn shape(script: &str) -> (Vec<String>, Vec<String>) {
        let script = script.trim_start_matches(BYTE_ORDER_MARK);
        let mut parser = Parser::new();
        parser
            .set_language(&tree_sitter_powershell::LANGUAGE.into())
            .unwrap();
        let tree = parser.parse(script, None).unwrap();
        let (mut kinds, mut commands) = (Vec::new(), Vec::new());
        let mut open: Vec<Node<'_>> = vec![tree.root_node()];
        while let Some(node) = open.pop() {
            assert!(
                !node.is_error() && !node.is_missing(),
                "line {}: {}",
                node.start_position().row + 1,
                &script[node.byte_range()]
                    .chars()
                    .take(80)
                    .collect::<String>()
            );
            kinds.push(node.kind().to_owned());
            if node.kind() == "command_name" {
                commands.push(script[node.byte_range()].to_lowercase());
            }
            open.extend(
                (0..node.child_count())
                    .rev()
                    .filter_map(|place| node.child(place)),
            );
        }
        (kinds, commands)
    }

    #[test]
    fn the_script_parses_and_holds_the_sites_values() {
        let script = site("Head office").render().unwrap();
        let (kinds, commands) = shape(&script);
        assert!(
            kinds
                .iter()
                .filter(|kind| **kind == "function_statement")
                .count()
                >= 10
        );
        assert!(
            commands.iter().any(|command| command == "install-ca"),
            "{commands:?}"
        );
        for line in [
            "$Site = 'Head office'",
            "$ServerAddress = '192.0.2.10'",
            "$ServerPort = 443",
            "$SpaceHost = 'space.example'",
            "$SpacePort = 8100",
            "$CaBase64 = 'MIIBAA=='",
        ] {
            assert!(script.contains(&format!("\r\n{line}\r\n")), "{line}");
        }
        assert!(script.contains("$SpaceFingerprint = 'AB:AB:"));
        assert!(!script.contains("@@"));
        assert!(script.lines().count() > 100 && !script.replace("\r\n", "").contains('\n'));
        let unpinned = InstallScript {
            space_fingerprint: None,
            ..site("x")
        }
        .render()
        .unwrap();
        assert!(unpinned.contains("$SpaceFingerprint = ''\r\n"));
    }

    #[test]
    fn it_does_what_was_promised_in_the_way_that_was_promised() {
        let script = site("x").render().unwrap();
        let (_, commands) = shape(&script);
        for forbidden in [
            "invoke-expression",
            "iex",
            "invoke-webrequest",
            "start-process",
        ] {
            assert!(
                !commands.iter().any(|command| command == forbidden),
                "{forbidden}"
            );
        }
        for needed in [
            "SupportsShouldProcess = $true",
            "[switch] $Uninstall",
            "$ErrorActionPreference = 'Stop'",
            "Set-StrictMode",
            "-AsSecureString",
            "#Requires -RunAsAdministrator",
            "have not run it on Windows",
        ] {
            assert!(script.contains(needed), "{needed}");
        }
    }

    /// What changes the machine, and the functions that do nothing else.
    const CHANGING: [&str; 5] = [
        "$store.Add(",
        "$store.Remove(",
        "Remove-Item ",
        "Set-PowerValue -",
        "Write-State $",
    ];

    /// Every change that does not stand in the block of a condition that asks ShouldProcess.
    fn unasked(script: &str) -> Vec<&str> {
        let mut parser = Parser::new();
        parser
            .set_language(&tree_sitter_powershell::LANGUAGE.into())
            .unwrap();
        let tree = parser.parse(script, None).unwrap();
        let is_asked = |place: usize| {
            let innermost = tree.root_node().descendant_for_byte_range(place, place + 1);
            let mut outwards = std::iter::successors(innermost, |node| node.parent());
            outwards.any(|block| {
                let condition = block.parent().filter(|parent| {
                    block.kind() == "statement_block"
                        && ["if_statement", "elseif_clause"].contains(&parent.kind())
                });
                condition.is_some_and(|condition| {
                    let before = &script[condition.start_byte()..block.start_byte()];
                    before.contains("$PSCmdlet.ShouldProcess(")
                })
            })
        };
        let places = |change| script.match_indices(change);
        let unasked = CHANGING.iter().flat_map(places);
        unasked
            .filter(|(place, _)| !is_asked(*place))
            .map(|(_, change)| change)
            .collect()
    }

    /// Fails if a change does without the question: each is taken out in turn, and must be missed.
    #[test]
    fn whatever_changes_the_machine_asks_before() {
        let script = site("x").render().unwrap();
        let script = script.trim_start_matches(BYTE_ORDER_MARK);
        for change in CHANGING {
            assert!(script.contains(change), "{change}");
        }
        assert_eq!(unasked(script), Vec::<&str>::new());
        let questions: Vec<_> = script.match_indices("$PSCmdlet.ShouldProcess(").collect();
        assert_eq!(questions.len(), 5);
        for (place, question) in questions {
            let (before, after) = (&script[..place], &script[place + question.len()..]);
            assert_ne!(
                unasked(&format!("{before}$Sure.Yes({after}")),
                Vec::<&str>::new()
            );
        }
    }

    #[test]
    fn no_name_changes_what_the_script_does() {
        let (plain, _) = shape(&site("Head office").render().unwrap());
        for name in [
            "it's",
            "'; Remove-Item C:\\ -Recurse; '",
            "\u{2019}; exit; \u{2018}",
            "\u{201A}\u{201B}'",
            "$(exit) `n @@CA@@ \"",
            "M\u{fc}nchen #> <#",
        ] {
            let script = site(name).render().unwrap();
            let (kinds, _) = shape(&script);
            assert_eq!(kinds, plain, "{name}");
        }
        assert_eq!(
            literal("", "a'b\u{2019}"),
            Ok("'a''b\u{2019}\u{2019}'".into())
        );
    }

    #[test]
    fn control_characters_and_other_files_are_refused() {
        assert_eq!(
            site("a\nb").render(),
            Err(InstallScriptError::Text("site's name"))
        );
        let other = InstallScript {
            ca_pem: b"no certificate",
            ..site("x")
        };
        assert_eq!(other.render(), Err(InstallScriptError::Certificate));
    }
}
