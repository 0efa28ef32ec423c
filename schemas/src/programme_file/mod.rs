//! Decides whether a text is a programme, and if it is not, says everything that is wrong with it, with line and column.
//!
//! A programme that gets through is complete and free of contradictions, so the core never has to ask. Nothing has a
//! default that would be an amount: what a rule pays is in the file or the file is refused. Single values are read in
//! `table`, the sections in `sections`, the rules in `rules`, and what must agree across them in `agreement`.

mod agreement;
mod problem;
mod rules;
mod sections;
mod table;

use std::sync::Arc;

use pipeline::calendar::CivilDate;
use pipeline::programme::{
    AgeClass, Baseline, Expiry, Gate, Monthly, Plausibility, Programme, Rule, Season, SourcePolicy,
};
use toml::de::DeTable;

pub use self::problem::Problem;
use self::problem::Report;
use self::table::{At, DATE, IDENTIFIER, NAME, Table, VERSION};

/// Reads one version of a programme from the text of its `programme.toml`.
///
/// # Errors
///
/// All problems that could be found, in the order of the file. A text that is not TOML has only those that make it so.
pub fn parse(source: &str) -> Result<Programme, Vec<Problem>> {
    let report = Report::new(source);
    let (root, errors) = DeTable::parse_recoverable(source);
    for error in &errors {
        report.not_toml(error);
    }
    if !errors.is_empty() {
        return Err(report.into_problems());
    }
    let parts = Parts::read(&mut Table::root(&report, root.get_ref()));
    agreement::check(&report, &parts);
    match (parts.programme(), report.into_problems()) {
        (Some(programme), problems) if problems.is_empty() => Ok(programme),
        (_, problems) => Err(problems),
    }
}

/// A part that may be left out: `Ok(None)` if it was, `Err` if it is there but wrong, which has been reported.
type Part<T> = Result<Option<T>, Reported>;

/// The problem has been reported already.
#[derive(Clone, Copy, Debug)]
struct Reported;

/// What could be read, each part with its place, so that contradictions can be pointed at.
struct Parts {
    id: Option<At<String>>,
    version: Option<At<u32>>,
    effective_on: Option<At<CivilDate>>,
    name: Option<At<String>>,
    season: Part<At<Season>>,
    intake: Option<sections::Intake>,
    sources: Option<SourcePolicy>,
    plausibility: Option<Plausibility>,
    wear_steps_min: Option<At<u32>>,
    gate: Option<Gate>,
    age_class: Part<At<AgeClass>>,
    baseline: Part<At<Baseline>>,
    monthly: Part<At<Monthly>>,
    expiry: Option<At<Expiry>>,
    rules: Vec<Option<At<Rule>>>,
    /// The kinds that are named, also by rules of which something else is wrong.
    kinds: Vec<At<&'static str>>,
    /// Where the first figure stands that differs by age, if there is one.
    by_age: Option<table::Span>,
}

impl Parts {
    fn read(root: &mut Table<'_, '_>) -> Self {
        let (rules, kinds) = rules::read(root);
        let parts = Parts {
            id: root.required("id", IDENTIFIER),
            version: root.required("version", VERSION),
            effective_on: root.required("effective_on", DATE),
            name: root.required("name", NAME),
            season: sections::season(root),
            intake: sections::intake(root),
            sources: sections::sources(root),
            plausibility: sections::plausibility(root),
            wear_steps_min: sections::wear(root),
            gate: sections::gate(root),
            age_class: sections::age_class(root),
            baseline: sections::baseline(root),
            monthly: sections::monthly(root),
            expiry: sections::expiry(root),
            rules,
            kinds,
            by_age: root.report().first_by_age(),
        };
        root.refuse_unknown();
        parts
    }

    /// The programme, if every part of it could be read.
    fn programme(self) -> Option<Programme> {
        let intake = self.intake?;
        Some(Programme {
            id: Arc::from(self.id?.value),
            version: self.version?.value,
            effective_on: self.effective_on?.value,
            name: self.name?.value,
            season: self.season.ok()?.map(|season| season.value),
            backfill_days_max: intake.backfill_days_max,
            arrival_days_max: intake.arrival_days_max,
            park_days_max: intake.park_days_max,
            sources: self.sources?,
            plausibility: self.plausibility?,
            wear_steps_min: self.wear_steps_min?.value,
            gate: self.gate?,
            age_class: self.age_class.ok()?.map(|class| class.value),
            baseline: self.baseline.ok()?.map(|baseline| baseline.value),
            monthly: self.monthly.ok()?.map(|monthly| monthly.value),
            expiry: self.expiry?.value,
            rules: self.rules.into_iter().map(|rule| rule.map(|rule| rule.value)).collect::<Option<_>>()?,
        })
    }
}
