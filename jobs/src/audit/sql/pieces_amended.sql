-- The pieces of states_whole.sql and those of partly_refused.sql.
SELECT * FROM pieces
UNION ALL
SELECT member_no, source_no, kind, day, start_at, end_at, steps, known_on, superseded_on
FROM partly_refused
WHERE known_on < superseded_on AND (kind < 2 OR $merged_totals_count)
