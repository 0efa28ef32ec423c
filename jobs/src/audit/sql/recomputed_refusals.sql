-- Samples that are refused on a day, by reason. A sample without a day has an empty one.
WITH halves AS (
  SELECT member_no, first_day AS day, first_refusal AS reason FROM judged WHERE first_refusal IS NOT NULL
  UNION ALL
  SELECT member_no, last_day, last_refusal FROM judged WHERE last_refusal IS NOT NULL AND last_day > first_day
)
SELECT m.member, coalesce(c.day_name, '') AS date, h.reason, count(*) AS samples
FROM halves h
JOIN members m ON m.member_no = h.member_no
LEFT JOIN calendar c ON c.day = h.day
GROUP BY m.member, coalesce(c.day_name, ''), h.reason
ORDER BY 1, 2, 3
