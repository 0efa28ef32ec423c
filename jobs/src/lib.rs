//! All that reads and writes: the jobs around the core, and the command.

pub mod audit;
