-- As pieces.sql, with what partly_refused.sql found for the few identities that it concerns.
WITH halves AS (
  SELECT source_no, is_manual, id, key_kind, key_from, key_to, precedence, member_no, kind, known_on, superseded_on,
         first_day AS day, start_at, coalesce(midnight, end_at) AS end_at, first_steps AS steps
  FROM states
  WHERE NOT is_delete AND is_first_accepted
  UNION ALL
  SELECT source_no, is_manual, id, key_kind, key_from, key_to, precedence, member_no, kind, known_on, superseded_on,
         last_day, midnight, end_at, steps - first_steps
  FROM states
  WHERE NOT is_delete AND is_last_accepted
),
amended AS (
  SELECT h.member_no, h.source_no, h.kind, h.day, h.start_at, h.end_at, h.steps, h.known_on,
         coalesce(p.superseded_on, h.superseded_on) AS superseded_on
  FROM halves h
  LEFT JOIN partly_refused p
    ON p.source_no = h.source_no AND p.is_manual = h.is_manual AND p.id = h.id AND p.key_kind = h.key_kind
   AND p.key_from = h.key_from AND p.key_to = h.key_to AND p.precedence = h.precedence AND p.day = h.day
)
SELECT member_no, source_no, kind, day, start_at, end_at, steps, known_on AS holds_from, superseded_on AS holds_until
FROM amended
WHERE known_on < superseded_on AND (kind < 2 OR $merged_totals_count)
