//! What the benches of the matcher share: galleries on disk, batches of probes, the machine.

pub mod exact;
pub mod figures;
pub mod machine;
pub mod peers;
pub mod population;
pub mod record;
