//! Decides how the audit is tested: against figures that others worked out from real steps ([`april`]), against the
//! worked examples of the handbook and small cases made by hand ([`cases`]), and against a ledger that was tampered
//! with ([`ledger`]). Making tables of JSON lines is [`fixture`]'s.

mod april;
mod cases;
mod fixture;
mod ledger;
mod season;
