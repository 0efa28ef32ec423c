-- D0 as known at the close of each day, and the age class that follows from it (KU-42, KU-A8, KU-A11, G7). Of the days
-- above the line only those can ever be D0 that come before the first one that is never taken back, or were known
-- before it: usually that one alone.
WITH above AS (
  SELECT t.member_no, t.day, greatest(t.holds_from, m.gate_known_on) AS holds_from, t.holds_until
  FROM totals t
  JOIN members m ON m.member_no = t.member_no
  WHERE t.steps > $first_day_steps_above AND t.day >= m.gate_on AND t.day >= m.enrolled_on
    AND t.holds_until > m.gate_known_on
),
lasting AS (
  SELECT member_no, min(day) AS day, first_value(holds_from ORDER BY day) AS holds_from
  FROM above
  WHERE holds_until = $never
  GROUP BY member_no
),
candidates AS (
  SELECT a.*
  FROM above a
  LEFT JOIN lasting l ON l.member_no = a.member_no
  WHERE l.day IS NULL OR a.day <= l.day OR a.holds_from < l.holds_from
),
changes AS (
  SELECT member_no, holds_from AS moment FROM candidates
  UNION
  SELECT member_no, holds_until FROM candidates WHERE holds_until < $never
),
found AS (
  SELECT x.member_no, x.moment, min(c.day) AS first_day
  FROM changes x
  LEFT JOIN candidates c
    ON c.member_no = x.member_no AND c.holds_from <= x.moment AND x.moment < c.holds_until
  GROUP BY x.member_no, x.moment
),
spans AS (
  SELECT member_no, moment AS holds_from,
         lead(moment, 1, $never) OVER (PARTITION BY member_no ORDER BY moment) AS holds_until, first_day
  FROM found
)
SELECT s.member_no, s.holds_from, s.holds_until, s.first_day,
       c.year - m.birth_year - CASE WHEN c.day_of_year_order < m.birth_order THEN 1 ELSE 0 END >= $older_from_age
         AS is_older
FROM spans s
JOIN members m ON m.member_no = s.member_no
JOIN calendar c ON c.day = s.first_day
WHERE s.holds_from <= $closed_on
