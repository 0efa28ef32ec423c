-- A month's sum and number of days, at each close since its award fell due at which another of its days had come; the
-- totals are those of now (KU-47, KU-A12..A15, and G6: what comes late never lowers an award).
-- It falls due with the first transmission in a later month that lies behind the baseline's window.
WITH months AS (
  SELECT DISTINCT member_no, month FROM days
),
transmissions AS (
  SELECT DISTINCT u.member_no, u.arrival_day, c.month
  FROM uploads u
  JOIN calendar c ON c.day = u.arrival_day
  JOIN classes k ON k.member_no = u.member_no
  WHERE u.arrival_day <= $arrival_ends_on AND u.arrival_day <= $closed_on
    AND k.holds_from <= u.arrival_day AND u.arrival_day < k.holds_until
    AND u.arrival_day >= k.first_day + $baseline_days
),
dues AS (
  SELECT m.member_no, m.month, min(t.arrival_day) AS due_on
  FROM months m
  JOIN transmissions t ON t.member_no = m.member_no
  WHERE t.month > m.month
  GROUP BY m.member_no, m.month
),
closes AS (
  SELECT member_no, month, due_on AS close_on FROM dues
  UNION
  SELECT d.member_no, d.month, d.first_known_on
  FROM days d
  JOIN dues u ON u.member_no = d.member_no AND u.month = d.month
  WHERE d.first_known_on > u.due_on AND d.first_known_on <= $closed_on
),
worn AS (
  SELECT x.member_no, x.month, x.close_on,
         sum(CASE WHEN d.steps >= $wear_steps_min OR NOT $mean_over_wear_days THEN d.steps ELSE 0 END) AS steps,
         sum(CASE WHEN d.steps >= $wear_steps_min THEN 1 ELSE 0 END) AS wear_days
  FROM closes x
  JOIN days d ON d.member_no = x.member_no AND d.month = x.month
  WHERE d.first_known_on <= x.close_on
  GROUP BY x.member_no, x.month, x.close_on
),
lengths AS (
  SELECT month, min(month_name) AS month_name, count(*) AS calendar_days
  FROM calendar
  WHERE day BETWEEN $season_starts_on AND $season_ends_on
  GROUP BY month
)
SELECT w.member_no, w.month, l.month_name, w.close_on, w.steps,
       CASE WHEN $mean_over_wear_days THEN w.wear_days ELSE l.calendar_days END AS days
FROM worn w
JOIN lengths l ON l.month = w.month
WHERE w.wear_days >= $wear_days_min
