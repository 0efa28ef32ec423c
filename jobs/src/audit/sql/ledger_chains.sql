-- Entries that do not stand where they should: the revisions of one entitlement count from 0, and each corrects the one
-- before it.
WITH chained AS (
  SELECT programme, member, rule, period, CAST(revision AS BIGINT) AS revision, corrects,
         row_number() OVER chain - 1 AS place,
         lag(entry_id) OVER chain AS previous
  FROM entries
  WINDOW chain AS (PARTITION BY programme, member, rule, item, period ORDER BY revision, sequence)
)
SELECT arrow_cast(programme, 'Utf8') AS programme, arrow_cast(member, 'Utf8') AS member,
       arrow_cast(rule, 'Utf8') AS rule, arrow_cast(period, 'Utf8') AS period, revision, place,
       corrects IS DISTINCT FROM previous AS is_link_wrong
FROM chained
WHERE revision <> place OR (corrects IS DISTINCT FROM previous)
ORDER BY 1, 2, 3, 4, 5
