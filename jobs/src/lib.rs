//! Everything of Ayumi that touches the world outside: the lake's tables and the queries over them.
#![forbid(unsafe_code)]

pub mod lake;
