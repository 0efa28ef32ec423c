//! `ayumi explain`: where points came from, in words: the days, the figures, the rule and the dates that made them.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use datafusion::prelude::SessionContext;
use pipeline::calendar::{CivilDate, Period};

use super::rows::{Row, grouped, literal, local_time, number, rows, text};
use super::{DataArgs, Failure, block_on};
use crate::lake::query;

/// Say in words where points came from
#[derive(Args)]
pub struct Explain {
    #[command(flatten)]
    data: DataArgs,
    /// An entry id (32 hexadecimal digits), or a member
    #[arg(value_name = "ENTRY|MEMBER")]
    subject: String,
    /// With a member: the day that the points are for
    #[arg(value_parser = super::replay::date)]
    date: Option<CivilDate>,
    /// With a member who is in several: the programme
    #[arg(long)]
    programme: Option<String>,
}

impl Explain {
    /// Runs it.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let is_entry = self.subject.len() == 32 && self.subject.bytes().all(|byte| byte.is_ascii_hexdigit());
        block_on(async {
            let context = query::session(&self.data.lake()).await?;
            let explained = match self.date {
                Some(date) => day(&context, &self.subject, self.programme.as_deref(), date).await?,
                None if is_entry => entry(&context, &self.subject).await?,
                None => return Err("with a member, say which day: ayumi explain MEMBER 2025-06-10".into()),
            };
            print!("{explained}");
            Ok(ExitCode::SUCCESS)
        })
    }
}

const COLUMNS: &str = "e.entry_id, e.programme, e.member, e.rule, e.rule_version, e.period, e.revision, e.points, \
    e.arrival_date, e.posting_date, e.expires_on, e.corrects, e.reason['steps'] AS steps, e.reason['days'] AS days, \
    e.reason['steps_min'] AS steps_min, e.reason['baseline_steps'] AS baseline_steps, \
    e.reason['is_older_class'] AS is_older_class, e.reason['points_max'] AS points_max, e.reason['entitled'] AS entitled";

/// One entry in words.
pub async fn entry(context: &SessionContext, id: &str) -> Result<String, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM entries e WHERE e.entry_id = {}", literal(&id.to_ascii_lowercase()));
    let Some(row) = rows(context, &sql).await?.pop() else {
        return Err(format!("no entry {id} in the lake").into());
    };
    let mut out = String::new();
    say_entry(&row, &mut out)?;
    say_days(context, &row, &mut out).await?;
    Ok(out)
}

/// A member's day in words: its total, what was refused, and the points that it had a part in.
async fn day(
    context: &SessionContext,
    member: &str,
    programme: Option<&str>,
    date: CivilDate,
) -> Result<String, Failure> {
    let of_programme = programme.map_or_else(String::new, |id| format!(" AND programme = {}", literal(id)));
    let member_sql = literal(member);
    let (week, month) = (Period::Week(date.monday()), Period::Month(date.month()));
    let mut out = String::new();
    let total = format!(
        "SELECT programme, date, steps, wear, first_arrival_at, last_arrival_at, revision FROM daily_totals \
         WHERE member = {member_sql} AND date = DATE '{date}'{of_programme}"
    );
    let totals = rows(context, &total).await?;
    if totals.is_empty() {
        writeln!(out, "{member} has no steps of {date} that count.")?;
    }
    for row in &totals {
        let steps = grouped(number(row, "steps").unwrap_or(0));
        writeln!(
            out,
            "{}: {member} walked {steps} steps on {date}, by what arrived between {} and {}.",
            text(row, "programme"),
            local_time(row, "first_arrival_at"),
            local_time(row, "last_arrival_at")
        )?;
    }
    let refused = format!(
        "SELECT reason, detail, count(*) AS facts FROM rejections WHERE member = {member_sql} AND activity_date = DATE '{date}'\
         {of_programme} GROUP BY reason, detail ORDER BY facts DESC LIMIT 10"
    );
    for row in rows(context, &refused).await? {
        let facts = number(&row, "facts").unwrap_or(0);
        writeln!(out, "Refused, {facts} ×: {} ({}).", text(&row, "reason"), text(&row, "detail"))?;
    }
    let entries = format!(
        "SELECT {COLUMNS} FROM entries e WHERE e.member = {member_sql} AND e.period IN ('{date}', '{week}', '{month}')\
         {of_programme} ORDER BY e.programme, e.rule, e.revision"
    );
    let entries = rows(context, &entries).await?;
    if entries.is_empty() {
        writeln!(out, "No points were posted for {date}, its week {week} or its month {month}.")?;
    }
    for row in &entries {
        writeln!(out)?;
        say_entry(row, &mut out)?;
    }
    Ok(out)
}

fn say_entry(row: &Row, out: &mut String) -> Result<(), Failure> {
    let points = number(row, "points").unwrap_or(0);
    let (rule, period) = (text(row, "rule"), text(row, "period"));
    writeln!(
        out,
        "{rule}  {points:+} points for {period}, to {} in {} (rule version {})",
        text(row, "member"),
        text(row, "programme"),
        number(row, "rule_version").unwrap_or(0)
    )?;
    let figure = |column| number(row, column).map(grouped);
    if let (Some(steps), Some(days)) = (figure("steps"), figure("days")) {
        let mean = number(row, "steps").unwrap_or(0) / number(row, "days").unwrap_or(1).max(1);
        writeln!(out, "  counted     {steps} steps on {days} days, {} a day", grouped(mean))?;
    } else if let Some(steps) = figure("steps") {
        writeln!(out, "  counted     {steps} steps")?;
    }
    if let Some(baseline) = figure("baseline_steps") {
        writeln!(out, "  baseline    {baseline} steps a day")?;
    }
    if let Some(steps_min) = figure("steps_min") {
        writeln!(out, "  threshold   {steps_min} steps")?;
    }
    if let Some(is_older) = row.get("is_older_class").and_then(serde_json::Value::as_bool) {
        writeln!(out, "  age class   {}", if is_older { "the older" } else { "the younger" })?;
    }
    if let Some(points_max) = figure("points_max") {
        writeln!(out, "  cap         {points_max} points")?;
    }
    writeln!(
        out,
        "  entitled    {} points by what had arrived by the end of {}",
        figure("entitled").unwrap_or_default(),
        text(row, "arrival_date")
    )?;
    let expires = match text(row, "expires_on") {
        "" => "they do not expire".to_owned(),
        date => format!("usable until {date}"),
    };
    writeln!(out, "  posted      on {}; {expires}", text(row, "posting_date"))?;
    if number(row, "revision").unwrap_or(0) > 0 {
        writeln!(out, "  corrects    entry {}", text(row, "corrects"))?;
    }
    Ok(writeln!(out, "  entry       {}", text(row, "entry_id"))?)
}

/// The day totals that an entry's period covers.
async fn say_days(context: &SessionContext, row: &Row, out: &mut String) -> Result<(), Failure> {
    let Some(period) = Period::parse(text(row, "period")) else { return Ok(()) };
    let (first, last) = period.bounds();
    let sql = format!(
        "SELECT date, steps, wear, source_steps, first_arrival_at, last_arrival_at FROM daily_totals WHERE programme = {} AND member = {} \
         AND date BETWEEN DATE '{first}' AND DATE '{last}' ORDER BY date",
        literal(text(row, "programme")),
        literal(text(row, "member"))
    );
    writeln!(out, "  days")?;
    for day in rows(context, &sql).await? {
        let sources = day.get("source_steps").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
        let of = if sources > 1 { format!(", the best of {sources} sources") } else { String::new() };
        writeln!(
            out,
            "    {}  {:>7} steps{of}, last heard of {}",
            text(&day, "date"),
            grouped(number(&day, "steps").unwrap_or(0)),
            local_time(&day, "last_arrival_at")
        )?;
    }
    Ok(writeln!(out)?)
}
