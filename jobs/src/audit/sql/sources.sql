-- Each source's rank where a programme prefers kinds of device; kinds that it does not list come last, and where it
-- takes the best source all rank alike.
SELECT DISTINCT u.source_no, coalesce(r.rank, $rank_of_others) AS rank
FROM uploads u
LEFT JOIN device_ranks r ON r.device_kind = u.source_kind
