//! Decides what is derived from the tables for everyone: the views that stand beside them in SQL.
//!
//! A view is one SQL statement over the tables. Its columns are described here, and a test holds the descriptions
//! against what the statement gives.

/// A view over the lake's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name in SQL.
    pub name: &'static str,
    /// What one row is.
    pub grain: &'static str,
    /// What it is made of.
    pub sql: &'static str,
    /// Its columns and their descriptions, in order.
    pub columns: &'static [(&'static str, &'static str)],
}

/// All views.
pub const VIEWS: [View; 2] = [DAILY_TOTALS, BALANCES];

/// The current total of every member's day. `month` is among the keys although it follows from `date`, so that a
/// query for one programme or month reads only its files.
const DAILY_TOTALS: View = View {
    name: "daily_totals",
    grain: "One member's civil day, as it is known now: the highest revision in daily_total_revisions.",
    sql: "SELECT programme, member, date, steps, source_steps, wear, first_arrival_at, last_arrival_at, revision, month
          FROM (SELECT *, row_number() OVER (PARTITION BY programme, month, member, date ORDER BY revision DESC) AS place
                FROM daily_total_revisions)
          WHERE place = 1",
    columns: &[
        ("programme", "The programme's id: its folder under programmes/."),
        ("member", "The opaque member id."),
        ("date", "The civil day in Asia/Tokyo."),
        ("steps", "Steps that count for the day."),
        ("source_steps", "Each source's own day, by platform, origin and device. Sources are never summed."),
        ("wear", "Whether the device was worn: steps reaches the programme's wear_steps_min."),
        ("first_arrival_at", "When the first of the samples now known came."),
        ("last_arrival_at", "When the last of them came."),
        ("revision", "How often the day was revised."),
        ("month", "The civil month of date, such as 2025-06."),
    ],
};

/// There is no clock in a query, so `next_expiry_on` is not "after today": it is the earliest date on which points
/// lapse that have not been taken back. Points whose entries cancel out expire no more.
const BALANCES: View = View {
    name: "balances",
    grain: "One member of one programme with at least one entry, as of all entries in the lake.",
    sql: "SELECT programme, member,
                 CAST(sum(points) AS BIGINT) AS points,
                 CAST(0 AS BIGINT) AS reserved,
                 min(expires_on) FILTER (WHERE points <> 0) AS next_expiry_on,
                 first_value(points ORDER BY expires_on) FILTER (WHERE points <> 0 AND expires_on IS NOT NULL) AS next_expiry_points
          FROM (SELECT programme, member, expires_on, sum(points) AS points
                FROM entries GROUP BY programme, member, expires_on)
          GROUP BY programme, member",
    columns: &[
        ("programme", "The programme's id: its folder under programmes/."),
        ("member", "The opaque member id."),
        ("points", "The sum of the member's entries."),
        ("reserved", "Points set aside for orders that are not decided yet."),
        ("next_expiry_on", "The earliest date on which any of the member's points lapse, whether past or to come; null if none do."),
        ("next_expiry_points", "The points that lapse on that date."),
    ],
};
