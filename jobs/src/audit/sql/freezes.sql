-- F: the close at which the baseline is frozen (KU-A9): the first monthly award, or freeze_days_max days after the
-- window's last day.
WITH known AS ( -- days of wear
  SELECT t.member_no, c.month, greatest(t.holds_from, m.gate_known_on) AS holds_from, t.holds_until
  FROM totals t
  JOIN members m ON m.member_no = t.member_no
  JOIN calendar c ON c.day = t.day
  WHERE t.steps >= $wear_steps_min AND t.day >= m.gate_on AND t.holds_until > m.gate_known_on
),
lasting AS (
  SELECT member_no, month, min(holds_from) AS holds_from FROM known WHERE holds_until = $never GROUP BY member_no, month
),
known_months AS ( -- when a month has a day of wear
  SELECT member_no, month, holds_from, $never AS holds_until FROM lasting
  UNION ALL
  SELECT k.member_no, k.month, k.holds_from, k.holds_until
  FROM known k
  LEFT JOIN lasting l ON l.member_no = k.member_no AND l.month = k.month
  WHERE k.holds_until < $never AND (l.holds_from IS NULL OR k.holds_from < l.holds_from)
),
transmissions AS (
  SELECT DISTINCT u.member_no, u.arrival_day, c.month
  FROM uploads u
  JOIN calendar c ON c.day = u.arrival_day
  WHERE u.arrival_day <= $arrival_ends_on
),
awards AS (
  SELECT t.member_no, min(t.arrival_day) AS frozen_on
  FROM transmissions t
  JOIN first_days f ON f.member_no = t.member_no
  JOIN known_months k ON k.member_no = t.member_no
  WHERE $has_monthly_rule
    AND f.holds_from <= t.arrival_day AND t.arrival_day < f.holds_until
    AND t.arrival_day >= f.first_day + $baseline_days
    AND k.month < t.month AND k.holds_from <= t.arrival_day AND t.arrival_day < k.holds_until
  GROUP BY t.member_no
),
deadlines AS (
  SELECT member_no, min(greatest(holds_from, first_day + $baseline_days - 1 + $freeze_days_max)) AS frozen_on
  FROM first_days
  WHERE greatest(holds_from, first_day + $baseline_days - 1 + $freeze_days_max) < holds_until
  GROUP BY member_no
),
both_ways AS (
  SELECT member_no, min(frozen_on) AS frozen_on
  FROM (SELECT * FROM awards UNION ALL SELECT * FROM deadlines) AS reasons
  GROUP BY member_no
)
SELECT b.member_no, b.frozen_on, f.first_day, f.is_older
FROM both_ways b
JOIN first_days f ON f.member_no = b.member_no
WHERE f.holds_from <= b.frozen_on AND b.frozen_on < f.holds_until AND b.frozen_on <= $closed_on
