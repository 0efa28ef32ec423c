-- A day's points: those of the highest tier that its total reaches (IW-07, KU-40, HI-15, HI-16); where a login is
-- needed, once a login on that day or later is known (HI-21, HI-A11).
WITH logins AS (
  SELECT member_no, max(login_day) AS last_login_day FROM uploads WHERE known_on <= $closed_on GROUP BY member_no
)
SELECT d.member, $rule AS rule, d.day_name AS period, t.points
FROM days d
JOIN logins l ON l.member_no = d.member_no
JOIN tiers t ON d.steps >= t.steps_min AND d.steps < t.steps_below
WHERE NOT $login_required OR l.last_login_day >= d.day
