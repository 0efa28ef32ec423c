-- A point for each day on which the app was started (HI-14, HI-A12).
SELECT DISTINCT m.member, $rule AS rule, c.day_name AS period, CAST($points AS BIGINT) AS points
FROM uploads u
JOIN members m ON m.member_no = u.member_no
JOIN calendar c ON c.day = u.login_day
WHERE u.channel = 'APP' AND u.known_on <= $closed_on AND m.gate_known_on <= $closed_on
  AND u.login_day >= m.gate_on AND u.login_day BETWEEN $season_starts_on AND $season_ends_on
