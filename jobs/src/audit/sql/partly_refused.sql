-- Where a report is refused on one of its two days, it leaves that day to the older reports of its identity (IW-A4).
-- Few samples cross midnight at the edge of what is accepted, so the identities that have one are worked out pair by
-- pair.
WITH partly AS (
  SELECT DISTINCT source_no, is_manual, id, key_kind, key_from, key_to FROM states WHERE refused_day IS NOT NULL
),
concerned AS (
  SELECT s.*,
         row_number() OVER (
           PARTITION BY s.source_no, s.is_manual, s.id, s.key_kind, s.key_from, s.key_to
           ORDER BY s.version, s.modified NULLS FIRST, s.upload_no, s.place) AS rank
  FROM states s
  LEFT SEMI JOIN partly p
    ON p.source_no = s.source_no AND p.is_manual = s.is_manual AND p.id = s.id AND p.key_kind = s.key_kind
   AND p.key_from = s.key_from AND p.key_to = s.key_to
),
halves AS (
  SELECT *, first_day AS day, coalesce(midnight, end_at) AS half_end, start_at AS half_start, first_steps AS half_steps
  FROM concerned
  WHERE NOT is_delete AND is_first_accepted
  UNION ALL
  SELECT *, last_day AS day, end_at AS half_end, midnight AS half_start, steps - first_steps AS half_steps
  FROM concerned
  WHERE NOT is_delete AND is_last_accepted
)
SELECT h.source_no, h.is_manual, h.id, h.key_kind, h.key_from, h.key_to,
       h.member_no, h.kind, h.known_on, coalesce(min(g.known_on), $never) AS superseded_on,
       h.day, h.half_start AS start_at, h.half_end AS end_at, h.half_steps AS steps
FROM halves h
LEFT JOIN concerned g
  ON g.source_no = h.source_no AND g.is_manual = h.is_manual AND g.id = h.id AND g.key_kind = h.key_kind
 AND g.key_from = h.key_from AND g.key_to = h.key_to
 AND g.rank > h.rank AND (g.refused_day IS NULL OR g.refused_day <> h.day)
GROUP BY h.source_no, h.is_manual, h.id, h.key_kind, h.key_from, h.key_to, h.rank,
         h.member_no, h.kind, h.known_on, h.day, h.half_start, h.half_end, h.half_steps
