-- A month's two awards: the highest tier that its mean gains over the baseline (KU-44), and the recommended mean of the
-- class (KU-45), which gets what the gain leaves of the month's maximum (KU-46). Means are compared as sums, exactly
-- (G4).
WITH gains AS (
  SELECT member_no, month, max(points) AS points
  FROM (
    SELECT s.member_no, s.month, s.close_on, first_value(t.points ORDER BY t.steps_min DESC) AS points
    FROM month_sums s
    JOIN baselines b ON b.member_no = s.member_no
    JOIN gain_tiers t ON s.steps >= (b.baseline_steps + t.steps_min) * s.days
    GROUP BY s.member_no, s.month, s.close_on
  ) AS closes
  GROUP BY member_no, month
),
levels AS (
  SELECT DISTINCT s.member_no, s.month, $level_points AS points
  FROM month_sums s
  JOIN baselines b ON b.member_no = s.member_no
  WHERE s.steps >= CASE WHEN b.is_older THEN $level_older ELSE $level_younger END * s.days
),
both_awards AS (
  SELECT s.member_no, s.month, s.month_name, coalesce(g.points, 0) AS gain, coalesce(l.points, 0) AS level
  FROM (SELECT DISTINCT member_no, month, month_name FROM month_sums) AS s
  LEFT JOIN gains g ON g.member_no = s.member_no AND g.month = s.month
  LEFT JOIN levels l ON l.member_no = s.member_no AND l.month = s.month
)
SELECT m.member, $gain_rule AS rule, a.month_name AS period, least(a.gain, $points_max) AS points
FROM both_awards a
JOIN members m ON m.member_no = a.member_no
UNION ALL
SELECT m.member, $level_rule, a.month_name, least(a.level, greatest($points_max - a.gain, 0))
FROM both_awards a
JOIN members m ON m.member_no = a.member_no
