-- D0 and age class as they apply at each close: as known then, and from F on as frozen (KU-48, KU-A11).
SELECT f.member_no, f.holds_from, least(f.holds_until, coalesce(z.frozen_on, $never)) AS holds_until, f.first_day,
       f.is_older
FROM first_days f
LEFT JOIN freezes z ON z.member_no = f.member_no
WHERE f.holds_from < coalesce(z.frozen_on, $never)
UNION ALL
SELECT member_no, frozen_on, $never, first_day, is_older FROM freezes
