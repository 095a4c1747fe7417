//! What is in force, in memory: people and their rights, doors, and devices by the fingerprint of
//! their certificate. The store is the record of truth; the writer keeps this up to date and
//! changes it before it acknowledges.

use std::collections::HashMap;
use std::sync::Arc;

use cardea_wire::Reason;
use cardea_wire::reply::Command;

/// A person who is enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The site's own name for the person.
    pub external_id: Arc<str>,
    /// What replies carry: the first 8 bytes of BLAKE3 of the external id, little-endian.
    pub tag: u64,
    /// The doors that the person may pass.
    pub doors: Doors,
}

impl Person {
    /// A person with the tag that belongs to the external id.
    #[must_use]
    pub fn new(external_id: &str, doors: Doors) -> Self {
        Self {
            external_id: external_id.into(),
            tag: person_tag(external_id),
            doors,
        }
    }
}

/// The tag of a person, see PROTOCOL.md.
#[must_use]
pub fn person_tag(external_id: &str) -> u64 {
    let hash = blake3::hash(external_id.as_bytes());
    let mut tag = [0; 8];
    tag.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(tag)
}

/// Doors that a person has a right at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Doors {
    /// Every door of the site, also those that are added later.
    pub every: bool,
    /// Doors by their number, sorted.
    pub some: Vec<u64>,
}

impl Doors {
    /// Whether the right covers `door`.
    #[must_use]
    pub fn cover(&self, door: u64) -> bool {
        self.every || self.some.binary_search(&door).is_ok()
    }

    /// Adds a door.
    pub fn grant(&mut self, door: u64) {
        if let Err(at) = self.some.binary_search(&door) {
            self.some.insert(at, door);
        }
    }

    /// Takes a door away.
    pub fn revoke(&mut self, door: u64) {
        if let Ok(at) = self.some.binary_search(&door) {
            self.some.remove(at);
        }
    }
}

/// A commissioned device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The device's number.
    pub id: u64,
    /// The door it stands at.
    pub door: u64,
    /// When the certificate ends that the device is known by here, Unix seconds.
    pub not_after_unix_s: i64,
    /// The access control system's name for the door.
    pub space_door: Option<Box<str>>,
    /// A command that the device has not yet carried out.
    pub command: Option<Command>,
}

/// Everything that a decision looks at, beside the gallery.
#[derive(Debug, Default)]
pub struct Directory {
    people: HashMap<u64, Person>,
    devices: HashMap<[u8; 32], Arc<Device>>,
}

impl Directory {
    /// A person by number, if in force.
    #[must_use]
    pub fn person(&self, person: u64) -> Option<&Person> {
        self.people.get(&person)
    }

    /// How many people are in force.
    #[must_use]
    pub fn people(&self) -> usize {
        self.people.len()
    }

    /// Puts a person in force, or changes one.
    pub fn put_person(&mut self, id: u64, person: Person) {
        self.people.insert(id, person);
    }

    /// Makes room for people before an import.
    pub fn reserve_people(&mut self, people: usize) {
        self.people.reserve(people);
    }

    /// Changes a person's doors; `false` if there is no such person.
    pub fn change_doors(&mut self, person: u64, change: impl FnOnce(&mut Doors)) -> bool {
        self.people
            .get_mut(&person)
            .map(|person| change(&mut person.doors))
            .is_some()
    }

    /// Takes a person out of force: no grant from here on.
    pub fn remove_person(&mut self, person: u64) -> Option<Person> {
        self.people.remove(&person)
    }

    /// A device by its certificate's fingerprint, if in force.
    #[must_use]
    pub fn device(&self, fingerprint: &[u8; 32]) -> Option<&Arc<Device>> {
        self.devices.get(fingerprint)
    }

    /// How many certificates are in force.
    #[must_use]
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    /// Puts a device's certificate in force; a device may have two while it renews.
    pub fn put_device(&mut self, fingerprint: [u8; 32], device: Device) {
        self.devices.insert(fingerprint, Arc::new(device));
    }

    /// Takes every certificate of a device out of force; returns their fingerprints.
    pub fn remove_device(&mut self, id: u64) -> Vec<[u8; 32]> {
        let gone: Vec<_> = self
            .devices
            .iter()
            .filter(|(_, device)| device.id == id)
            .map(|(fingerprint, _)| *fingerprint)
            .collect();
        gone.iter().for_each(|fingerprint| {
            self.devices.remove(fingerprint);
        });
        gone
    }

    /// Takes one certificate out of force.
    pub fn remove_certificate(&mut self, fingerprint: &[u8; 32]) {
        self.devices.remove(fingerprint);
    }

    /// The standalone authoriser: may this person pass this door, as things stand now?
    ///
    /// # Errors
    /// The reason of the denial; [`Reason::Withdrawn`] for a person no longer in force.
    pub fn authorise(&self, person: u64, door: u64) -> Result<&Person, Reason> {
        let person = self.person(person).ok_or(Reason::Withdrawn)?;
        if person.doors.cover(door) {
            Ok(person)
        } else {
            Err(Reason::NoRight)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_to_deny() {
        let mut directory = Directory::default();
        assert_eq!(
            directory.authorise(1, 1).map(|_| ()),
            Err(Reason::Withdrawn)
        );
        directory.put_person(1, Person::new("p-1", Doors::default()));
        assert_eq!(directory.authorise(1, 1).map(|_| ()), Err(Reason::NoRight));
        assert!(directory.change_doors(1, |doors| doors.grant(7)));
        assert!(directory.authorise(1, 7).is_ok());
        assert_eq!(directory.authorise(1, 8).map(|_| ()), Err(Reason::NoRight));
        assert!(directory.change_doors(1, |doors| doors.revoke(7)));
        assert_eq!(directory.authorise(1, 7).map(|_| ()), Err(Reason::NoRight));
        assert!(directory.change_doors(1, |doors| doors.every = true));
        assert!(directory.authorise(1, 8).is_ok());
        directory.remove_person(1);
        assert_eq!(
            directory.authorise(1, 8).map(|_| ()),
            Err(Reason::Withdrawn)
        );
    }

    #[test]
    fn a_removed_device_loses_both_certificates_of_its_renewal() {
        let mut directory = Directory::default();
        let device = Device {
            id: 4,
            door: 1,
            not_after_unix_s: i64::MAX,
            space_door: None,
            command: None,
        };
        directory.put_device([1; 32], device.clone());
        directory.put_device([2; 32], device);
        assert_eq!(directory.remove_device(4).len(), 2);
        assert!(directory.device(&[1; 32]).is_none() && directory.device(&[2; 32]).is_none());
    }
}
