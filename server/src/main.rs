//! The `cardea` program; see `cardea --help`.

fn main() {}
