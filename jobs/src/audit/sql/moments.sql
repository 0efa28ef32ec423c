-- The days at whose close a day's total may differ from the one before. Where no rule asks what was known when, the
-- last closed day alone matters; and almost every day of steps has one such moment anyway.
SELECT DISTINCT member_no, day, CASE WHEN $needs_history THEN moment ELSE $closed_on END AS moment
FROM (
  SELECT member_no, day, holds_from AS moment FROM pieces
  UNION ALL
  SELECT member_no, day, holds_until FROM pieces WHERE holds_until < $never
) AS changes
WHERE moment <= $closed_on
