-- Where a report is refused on one of its two days, it leaves that day to the older reports of its identity (IW-A4).
-- Few samples cross midnight at the edge of what is accepted, so these identities alone are worked out pair by pair.
WITH partly AS (
  SELECT DISTINCT source_no, is_manual, id, key_kind, key_from, key_to FROM states WHERE refused_day IS NOT NULL
),
concerned AS (
  SELECT s.* FROM states s
  JOIN partly p ON p.source_no = s.source_no AND p.is_manual = s.is_manual AND p.id = s.id
   AND p.key_kind = s.key_kind AND p.key_from = s.key_from AND p.key_to = s.key_to
),
touched AS (
  SELECT source_no, is_manual, id, key_kind, key_from, key_to, precedence, first_day AS day FROM concerned
  WHERE is_first_accepted
  UNION ALL
  SELECT source_no, is_manual, id, key_kind, key_from, key_to, precedence, last_day FROM concerned
  WHERE is_last_accepted
)
SELECT t.source_no, t.is_manual, t.id, t.key_kind, t.key_from, t.key_to, t.precedence, t.day,
       coalesce(min(g.known_on), $never) AS superseded_on
FROM touched t
LEFT JOIN concerned g
  ON g.source_no = t.source_no AND g.is_manual = t.is_manual AND g.id = t.id AND g.key_kind = t.key_kind
 AND g.key_from = t.key_from AND g.key_to = t.key_to
 AND g.precedence < t.precedence AND (g.refused_day IS NULL OR g.refused_day <> t.day)
GROUP BY t.source_no, t.is_manual, t.id, t.key_kind, t.key_from, t.key_to, t.precedence, t.day
