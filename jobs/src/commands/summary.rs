//! Decides what is said at the end of a run: what was read and what became of it, points by rule, refusals by reason.

use std::fmt::Write;

use datafusion::prelude::SessionContext;

use super::Failure;
use super::rows::{grouped, number, rows, text};

/// The summary of a lake, as text.
pub async fn summary(context: &SessionContext) -> Result<String, Failure> {
    let mut out = String::new();
    accounting(context, &mut out).await?;
    points(context, &mut out).await?;
    refusals(context, &mut out).await?;
    Ok(out)
}

async fn accounting(context: &SessionContext, out: &mut String) -> Result<(), Failure> {
    let sql = "SELECT sum(records_read) AS r, sum(records_accepted) AS a, sum(records_rejected) AS j, \
               sum(records_duplicate) AS d, sum(records_parked) - sum(records_unparked) AS p, sum(samples_read) AS sr, \
               sum(samples_accepted) AS sa, sum(samples_rejected) AS sj, sum(samples_duplicate) AS sd, \
               sum(samples_parked) AS sp FROM accounting";
    for row in rows(context, sql).await? {
        let figure = |column| grouped(number(&row, column).unwrap_or(0));
        writeln!(out, "              read  =  accepted  + rejected  + duplicate  + waiting for enrolment")?;
        for (what, columns) in [("records", ["r", "a", "j", "d", "p"]), ("samples", ["sr", "sa", "sj", "sd", "sp"])] {
            let [read, accepted, rejected, duplicate, parked] = columns.map(figure);
            writeln!(out, "{what} {read:>11} {accepted:>12} {rejected:>11} {duplicate:>12} {parked:>10}")?;
        }
    }
    Ok(())
}

async fn points(context: &SessionContext, out: &mut String) -> Result<(), Failure> {
    let sql = "SELECT programme, rule, sum(points) AS points, count(*) AS entries, count(DISTINCT member) AS members \
               FROM entries GROUP BY programme, rule ORDER BY programme, rule";
    writeln!(out, "\nprogramme    rule        points    entries  members")?;
    for row in rows(context, sql).await? {
        let figure = |column| grouped(number(&row, column).unwrap_or(0));
        let (programme, rule) = (text(&row, "programme"), text(&row, "rule"));
        writeln!(
            out,
            "{programme:12} {rule:6} {:>11} {:>10} {:>8}",
            figure("points"),
            figure("entries"),
            figure("members")
        )?;
    }
    Ok(())
}

async fn refusals(context: &SessionContext, out: &mut String) -> Result<(), Failure> {
    let sql = "SELECT reason, count(*) AS refusals FROM rejections GROUP BY reason ORDER BY refusals DESC, reason";
    let refusals = rows(context, sql).await?;
    if refusals.is_empty() {
        return Ok(writeln!(out, "\nnothing was refused")?);
    }
    writeln!(out, "\nrefused because of       facts")?;
    for row in refusals {
        writeln!(out, "{:22} {:>7}", text(&row, "reason"), grouped(number(&row, "refusals").unwrap_or(0)))?;
    }
    Ok(())
}
