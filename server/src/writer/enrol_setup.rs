//! How the site has set enrolment up: what people are told, and where links lead.

use super::Writer;
use super::asking::FROM_THE_FIRST;
use super::carry_out::{Refusal, done, table, words};
use super::invite::Way;
use crate::admin::message::Response;
use crate::enrol::EnrolmentSetup;
use crate::store::SettingKey;

impl Writer {
    pub(super) fn enrol_show(&self) -> Result<Response, Refusal> {
        let mut rows = Vec::new();
        for (what, key) in [
            ("company", SettingKey::COMPANY),
            ("policy address", SettingKey::POLICY_ADDRESS),
            ("policy version", SettingKey::POLICY_VERSION),
            ("way in without biometrics", SettingKey::ALTERNATIVE),
            ("device", SettingKey::ENROL_DEVICE),
        ] {
            let value = self.text_setting(key)?.unwrap_or_default();
            rows.push(vec![what.to_owned(), value]);
        }
        rows.push(vec!["links begin with".to_owned(), self.pages_url()?]);
        let mail = self.mail_setup()?.map_or_else(
            || "not set up: invitations are printed".to_owned(),
            |mail| format!("{}:{} from {}", mail.host, mail.port, mail.from),
        );
        rows.push(vec!["mail".to_owned(), mail]);
        let extractor = match &self.config.extractor {
            Some(extractor) => extractor.command.join(" "),
            None => "not configured: people enrol at a device".to_owned(),
        };
        rows.push(vec!["extractor".to_owned(), extractor]);
        Ok(table(&["what", "value"], rows))
    }

    /// Stores these values and what the setup says: all of it, or nothing.
    pub(super) fn enrol_store<'a>(
        &mut self,
        mut values: Vec<(SettingKey, &'a [u8])>,
        setup: &'a EnrolmentSetup,
    ) -> Result<Response, Refusal> {
        setup.check().map_err(Refusal::Words)?;
        let device = setup.device.as_deref().map(str::trim);
        if let Some(name) = device.filter(|name| !name.is_empty()) {
            self.device_named(name)?;
        }
        let all = [
            (SettingKey::COMPANY, &setup.company),
            (SettingKey::POLICY_ADDRESS, &setup.policy_url),
            (SettingKey::POLICY_VERSION, &setup.policy_version),
            (SettingKey::ALTERNATIVE, &setup.alternative),
            (SettingKey::PAGES_URL, &setup.pages_url),
            (SettingKey::ENROL_DEVICE, &setup.device),
        ];
        values.extend(
            all.into_iter()
                .filter_map(|(key, value)| Some((key, value.as_deref()?.trim().as_bytes()))),
        );
        if values.is_empty() {
            return Err(words("nothing to set"));
        }
        if self.asking_begins(setup.policy_version.as_deref())? {
            values.push((SettingKey::ASKING, &FROM_THE_FIRST));
        }
        self.store.settings_set(&values)?;
        self.follow()?;
        Ok(done("set"))
    }

    /// Nobody is invited before the site says who it is and what it does with faces.
    pub(super) fn require_setup(&self, way: Way) -> Result<(), Refusal> {
        for key in [
            SettingKey::COMPANY,
            SettingKey::POLICY_ADDRESS,
            SettingKey::POLICY_VERSION,
        ] {
            if self.text_setting(key)?.is_none() {
                return Err(words(
                    "company, policy address and policy version come first: `cardea enrol set`",
                ));
            }
        }
        if way == Way::Mail && self.mail_setup()?.is_none() {
            return Err(words(
                "no mail relay: `cardea enrol set-mail`, or invite on paper",
            ));
        }
        Ok(())
    }

    /// Where links begin.
    pub(super) fn pages_url(&self) -> Result<String, Refusal> {
        if let Some(url) = self.text_setting(SettingKey::PAGES_URL)? {
            return Ok(url);
        }
        let address = std::net::SocketAddr::new(self.config.address, self.config.listen.port());
        Ok(match address.port() {
            443 => format!("https://{}", address.to_string().trim_end_matches(":443")),
            _ => format!("https://{address}"),
        })
    }

    pub(super) fn text_setting(&self, key: SettingKey) -> Result<Option<String>, Refusal> {
        let value = self.store.read().setting(key)?;
        let text = value.and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(text.filter(|text| !text.is_empty()))
    }
}
