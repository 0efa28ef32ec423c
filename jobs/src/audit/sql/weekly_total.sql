-- The weekly bonus (KU-41, KU-A5): at any close so far, did the days that had come by then, at their totals of now,
-- reach the threshold of the class known then? The sum only grows from close to close, so the last close of each class
-- decides.
WITH sums AS (
  SELECT d.member_no, d.member, d.week_name, k.holds_from, k.is_older,
         sum(CASE WHEN d.first_known_on <= least(k.holds_until - 1, $closed_on) THEN d.steps ELSE 0 END) AS steps
  FROM days d
  JOIN classes k ON k.member_no = d.member_no
  GROUP BY d.member_no, d.member, d.week_name, k.holds_from, k.is_older
)
SELECT DISTINCT member, $rule AS rule, week_name AS period, CAST($points AS BIGINT) AS points
FROM sums
WHERE steps >= CASE WHEN is_older THEN $older ELSE $younger END
