-- A point for each day on which data were sent, within the season (KU-60, KU-A29).
SELECT DISTINCT m.member, $rule AS rule, c.day_name AS period, CAST($points AS BIGINT) AS points
FROM uploads u
JOIN members m ON m.member_no = u.member_no
JOIN calendar c ON c.day = u.arrival_day
WHERE u.known_on <= $closed_on AND m.gate_known_on <= $closed_on
  AND u.arrival_day >= m.gate_on AND u.arrival_day BETWEEN $season_starts_on AND $season_ends_on
