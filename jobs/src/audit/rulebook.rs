//! Decides what the audit takes from a programme's recorded TOML. It reads the file by itself, on purpose: a mistake in
//! the core's reader must not be made twice. Whether a file may be published is not decided here.

use chrono::NaiveDate;
use serde::Deserialize;
use toml::value::Datetime;

use super::error::AuditError;

/// Seasons without bounds reach over all days that are accepted at all.
pub(super) const FIRST_DAY_ACCEPTED: i64 = 10_957; // 2000-01-01
pub(super) const LAST_DAY_ACCEPTED: i64 = 47_481; // 2099-12-31
/// Later than every day: "until further notice".
pub(super) const NEVER: i64 = 1_000_000;

#[derive(Debug, Deserialize)]
pub(super) struct Rulebook {
    pub id: String,
    pub version: i64,
    pub season: Option<Season>,
    pub intake: Intake,
    pub sources: Sources,
    pub plausibility: Plausibility,
    pub wear: Wear,
    pub gate: Gate,
    pub age_class: Option<AgeClass>,
    pub baseline: Option<Baseline>,
    pub monthly: Option<Monthly>,
    #[serde(rename = "rule", default)]
    pub rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Season {
    starts_on: Datetime,
    ends_on: Datetime,
    arrival_ends_on: Datetime,
}

#[derive(Debug, Deserialize)]
pub(super) struct Intake {
    pub backfill_days_max: Option<i64>,
    pub arrival_days_max: i64,
    pub park_days_max: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Sources {
    #[serde(flatten)]
    pub combine: Combine,
    pub merged_totals_count: bool,
    pub manual_steps_earn: bool,
}

/// `combine = "best"`, or `combine = { priority = [...] }`, or `combine = "priority"` beside `priority = [...]`.
#[derive(Debug, Deserialize)]
pub(super) struct Combine {
    combine: toml::Value,
    priority: Option<Vec<String>>,
    device_kinds: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Plausibility {
    pub day_steps_max: i64,
    pub minute_steps_max: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Wear {
    pub steps_min: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Gate {
    pub opens_on: Opening,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Opening {
    Enrolment,
    Verification,
}

#[derive(Debug, Deserialize)]
pub(super) struct AgeClass {
    pub older_from_age: i64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct ByAge {
    pub younger: i64,
    pub older: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Baseline {
    pub first_day_steps_above: i64,
    pub days: i64,
    pub floor_steps: ByAge,
    pub freeze_days_max: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MeanOver {
    WearDays,
    CalendarDays,
}

#[derive(Debug, Deserialize)]
pub(super) struct Monthly {
    pub mean_over: MeanOver,
    pub wear_days_min: i64,
    pub points_max: Option<i64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Tier {
    pub steps_min: i64,
    pub points: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Rule {
    pub id: String,
    #[serde(flatten)]
    pub kind: Kind,
}

/// What the audit recomputes. A rule of another kind is listed in the report as not audited.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Kind {
    StepTiers {
        #[serde(default)]
        login_required: bool,
        tiers: Vec<Tier>,
    },
    WeeklyTotal {
        steps_min: ByAge,
        points: i64,
    },
    MonthlyGain {
        tiers: Vec<Tier>,
    },
    MonthlyLevel {
        mean_min: ByAge,
        points: i64,
    },
    Transmission {
        points: i64,
    },
    Login {
        points: i64,
    },
    #[serde(other)]
    Other,
}

impl Rulebook {
    /// Reads the recorded text of a programme.
    pub(super) fn read(programme: &str, text: &str) -> Result<Self, AuditError> {
        let refuse = |problem: String| AuditError::Rules { programme: programme.to_owned(), problem };
        let book: Rulebook = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
        book.check().map_err(refuse)?;
        Ok(book)
    }

    fn check(&self) -> Result<(), String> {
        if let Some(season) = &self.season {
            for date in [&season.starts_on, &season.ends_on, &season.arrival_ends_on] {
                day_of(date).ok_or_else(|| format!("[season]: `{date}` is not a civil date"))?;
            }
        }
        self.sources.combine.ranking()?;
        let count = |wanted: fn(&Kind) -> bool| self.rules.iter().filter(|rule| wanted(&rule.kind)).count();
        let gains = count(|kind| matches!(kind, Kind::MonthlyGain { .. }));
        let levels = count(|kind| matches!(kind, Kind::MonthlyLevel { .. }));
        if gains > 1 || levels > 1 {
            return Err("the audit knows at most one rule of the kind `monthly_gain` and one `monthly_level`".into());
        }
        if self.needs_history() && (self.baseline.is_none() || self.age_class.is_none()) {
            return Err("a weekly or monthly rule needs [baseline] and [age_class]".into());
        }
        if gains + levels > 0 && self.monthly.is_none() {
            return Err("a monthly rule needs [monthly]".into());
        }
        Ok(())
    }

    /// Whether any rule asks what was known when.
    pub(super) fn needs_history(&self) -> bool {
        self.baseline.is_some()
            || self.has_monthly_rule()
            || self.rules.iter().any(|rule| matches!(rule.kind, Kind::WeeklyTotal { .. }))
    }

    pub(super) fn has_monthly_rule(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule.kind, Kind::MonthlyGain { .. } | Kind::MonthlyLevel { .. }))
    }

    /// First and last activity day, and last arrival day, by number.
    pub(super) fn season_days(&self) -> (i64, i64, i64) {
        let or = |date: &Datetime, otherwise| day_of(date).unwrap_or(otherwise);
        match &self.season {
            Some(season) => (
                or(&season.starts_on, FIRST_DAY_ACCEPTED),
                or(&season.ends_on, LAST_DAY_ACCEPTED),
                or(&season.arrival_ends_on, NEVER),
            ),
            None => (FIRST_DAY_ACCEPTED, LAST_DAY_ACCEPTED, NEVER),
        }
    }
}

impl Combine {
    /// The preferred kinds of device, best first; none where the best source wins.
    pub(super) fn ranking(&self) -> Result<Vec<String>, String> {
        let listed = match &self.combine {
            toml::Value::String(name) if name == "best" => return Ok(Vec::new()),
            toml::Value::String(name) if name == "priority" => self.priority.clone().or(self.device_kinds.clone()),
            toml::Value::Table(table) => table
                .get("priority")
                .and_then(toml::Value::as_array)
                .map(|kinds| kinds.iter().filter_map(|kind| kind.as_str().map(str::to_owned)).collect()),
            _ => None,
        };
        listed.ok_or_else(|| {
            format!("[sources]: `combine = {}` is neither \"best\" nor a priority of device kinds", self.combine)
        })
    }
}

/// The number of a civil date: days since 1970-01-01.
fn day_of(date: &Datetime) -> Option<i64> {
    let date = date.date?;
    let date = NaiveDate::from_ymd_opt(i32::from(date.year), u32::from(date.month), u32::from(date.day))?;
    Some(i64::from(date.to_epoch_days()))
}
