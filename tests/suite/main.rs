//! Ayumi's specification, in one binary: what it promises, held against the core, the command, and real data.
//!
//! In reading order: the laws (`laws`, `purity`), the figures of real data (`figures`), the rules by example (`rules`),
//! what is refused (`bad_input`), crashes (`crashes`), the state as it is stored (`state`), and the lake as others read it (`lake`).

mod support;

mod bad_input;
mod crashes;
mod figures;
mod lake;
mod laws;
mod purity;
mod rules;
mod state;
