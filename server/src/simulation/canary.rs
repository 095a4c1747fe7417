//! Faults of the world that no server can make good: with each, the judge must cry.

/// A fault that breaks a promise for certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Canary {
    /// The connection to Space sends although the last look said no.
    SentAllTheSame,
    /// The disk refuses a record, and the audit says that it is durable.
    DiskLies,
    /// The search returns whoever is nearest, also below the threshold.
    NearestWins,
    /// Nobody looks at deadlines.
    NoDeadlines,
    /// Withdrawals are acknowledged and not carried out.
    WithdrawalsForgotten,
}
