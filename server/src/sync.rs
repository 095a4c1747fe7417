//! What threads share, under one name. The models in `tests/model` compile the same sources with
//! a scheduler's own kinds in the place of these, which tries the orders that a machine may take.

pub(crate) use std::sync::atomic;
pub(crate) use std::thread;

pub(crate) use arc_swap::ArcSwap;
pub(crate) use crossbeam_channel as channel;
