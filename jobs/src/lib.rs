//! All that Ayumi does besides deciding: where facts come from, where effects go, and the `ayumi` command.

pub mod town;
