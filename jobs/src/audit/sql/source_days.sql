-- A source's day, as known at each moment: the larger of its daily total and of its intervals that do not overlap
-- (G1). The phone's total over all its sources stands beside its own source as one more.
SELECT p.member_no, p.day, m.moment, p.source_no, p.kind = 2 AS is_merged,
       greatest(max(CASE WHEN p.kind > 0 THEN p.steps END),
                apart_steps(p.start_at, p.end_at, p.steps) FILTER (WHERE p.kind = 0)) AS steps
FROM pieces p
JOIN moments m ON m.member_no = p.member_no AND m.day = p.day
WHERE p.holds_from <= m.moment AND m.moment < p.holds_until
GROUP BY p.member_no, p.day, m.moment, p.source_no, p.kind = 2
