-- A day's total T_D(A), from which close until which: that of the best source, of those of the preferred rank. Sources
-- are never summed. A day whose samples are all taken back has 0.
WITH chosen AS (
  SELECT d.member_no, d.day, d.moment, first_value(d.steps ORDER BY s.rank, d.steps DESC) AS steps
  FROM source_days d
  JOIN sources s ON s.source_no = d.source_no
  GROUP BY d.member_no, d.day, d.moment
)
SELECT m.member_no, m.day, m.moment AS holds_from,
       lead(m.moment, 1, $never) OVER (PARTITION BY m.member_no, m.day ORDER BY m.moment) AS holds_until,
       coalesce(c.steps, 0) AS steps
FROM moments m
LEFT JOIN chosen c ON c.member_no = m.member_no AND c.day = m.day AND c.moment = m.moment
