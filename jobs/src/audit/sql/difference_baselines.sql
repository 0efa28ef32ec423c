-- A baseline from the facts and the newest notice of it, wherever the two differ (KU-42).
WITH newest AS (
  SELECT member, CAST(CAST(date AS INT) AS BIGINT) AS frozen_on, CAST(CAST(first_day AS INT) AS BIGINT) AS first_day,
         CAST(baseline_steps AS BIGINT) AS baseline_steps, is_older_class,
         row_number() OVER (PARTITION BY member ORDER BY revision DESC) AS turn
  FROM notices
  WHERE programme = $programme AND member >= $member_from AND member < $member_below AND kind = 'BASELINE_FROZEN'
    AND CAST(CAST(date AS INT) AS BIGINT) <= $closed_on
)
SELECT arrow_cast(coalesce(b.member, n.member), 'Utf8') AS member,
       b.frozen_on_name AS expected_date, nc.day_name AS recorded_date,
       b.first_day_name AS expected_first_day, nd.day_name AS recorded_first_day,
       b.baseline_steps AS expected_steps, n.baseline_steps AS recorded_steps,
       b.is_older AS expected_older, n.is_older_class AS recorded_older
FROM baselines b
FULL OUTER JOIN (SELECT * FROM newest WHERE turn = 1) AS n ON n.member = b.member
LEFT JOIN calendar nc ON nc.day = n.frozen_on
LEFT JOIN calendar nd ON nd.day = n.first_day
WHERE (b.frozen_on IS DISTINCT FROM n.frozen_on) OR (b.first_day IS DISTINCT FROM n.first_day)
   OR (b.baseline_steps IS DISTINCT FROM n.baseline_steps) OR (b.is_older IS DISTINCT FROM n.is_older_class)
ORDER BY 1
