-- The frozen baseline: the mean of the window's days of wear as known at F, rounded down, raised to the floor of the
-- class (KU-42, KU-43, KU-A8).
WITH worn AS (
  SELECT z.member_no, sum(t.steps) AS steps, count(*) AS days
  FROM freezes z
  JOIN totals t ON t.member_no = z.member_no
  WHERE t.day BETWEEN z.first_day AND z.first_day + $baseline_days - 1 AND t.steps >= $wear_steps_min
    AND t.holds_from <= z.frozen_on AND z.frozen_on < t.holds_until
  GROUP BY z.member_no
)
SELECT z.member_no, m.member, z.frozen_on, z.first_day, z.is_older,
       fc.day_name AS frozen_on_name, dc.day_name AS first_day_name,
       greatest(coalesce(w.steps / w.days, 0), CASE WHEN z.is_older THEN $floor_older ELSE $floor_younger END)
         AS baseline_steps
FROM freezes z
JOIN members m ON m.member_no = z.member_no
JOIN calendar fc ON fc.day = z.frozen_on
JOIN calendar dc ON dc.day = z.first_day
LEFT JOIN worn w ON w.member_no = z.member_no
