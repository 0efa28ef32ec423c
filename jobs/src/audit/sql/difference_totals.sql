-- A day's total from the facts and the newest that is recorded, wherever the two differ. A total is recorded as uploads
-- come; so a day that one after the last close has changed is not compared.
WITH later AS (
  SELECT DISTINCT member_no, day FROM pieces
  WHERE holds_from > $closed_on OR (holds_until > $closed_on AND holds_until < $never)
),
computed AS (
  SELECT m.member, t.member_no, t.day, t.steps
  FROM totals t
  JOIN members m ON m.member_no = t.member_no
  WHERE t.holds_from <= $closed_on AND $closed_on < t.holds_until
),
newest AS (
  SELECT member, CAST(CAST(date AS INT) AS BIGINT) AS day, CAST(steps AS BIGINT) AS steps,
         row_number() OVER (PARTITION BY member, date ORDER BY revision DESC) AS turn
  FROM daily_total_revisions
  WHERE programme = $programme AND member >= $member_from AND member < $member_below
),
beside AS (
  SELECT coalesce(c.member, n.member) AS member, coalesce(c.day, n.day) AS day,
         coalesce(c.steps, 0) AS expected, coalesce(n.steps, 0) AS recorded
  FROM computed c
  FULL OUTER JOIN (SELECT * FROM newest WHERE turn = 1) AS n ON n.member = c.member AND n.day = c.day
)
SELECT arrow_cast(b.member, 'Utf8') AS member, k.day_name AS date, b.expected, b.recorded
FROM beside b
JOIN calendar k ON k.day = b.day
LEFT JOIN members m ON m.member = b.member
LEFT JOIN later l ON l.member_no = m.member_no AND l.day = b.day
WHERE b.expected <> b.recorded AND l.day IS NULL
ORDER BY 1, 2
