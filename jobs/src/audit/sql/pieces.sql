-- What each report that holds adds to a day, and from when until when. A sample across midnight gives two pieces.
WITH halves AS (
  SELECT member_no, source_no, kind, known_on, superseded_on,
         first_day AS day, start_at, coalesce(midnight, end_at) AS end_at, first_steps AS steps
  FROM states
  WHERE NOT is_delete AND is_first_accepted
  UNION ALL
  SELECT member_no, source_no, kind, known_on, superseded_on, last_day, midnight, end_at, steps - first_steps
  FROM states
  WHERE NOT is_delete AND is_last_accepted
)
SELECT member_no, source_no, kind, day, start_at, end_at, steps, known_on AS holds_from, superseded_on AS holds_until
FROM halves
WHERE known_on < superseded_on AND (kind < 2 OR $merged_totals_count)
