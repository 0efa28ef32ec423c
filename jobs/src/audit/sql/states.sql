-- Of the reports of one identity the greatest by version, modified_at, received_at, upload id and index holds. So a
-- report holds from the day on which it is known until a greater one is; what comes already beaten never holds.
WITH spaces AS (
  SELECT * FROM reports
  UNION ALL
  SELECT member_no, source_no, upload_no, place, known_on, is_delete, version, modified, kind, true AS is_manual,
         id, key_kind, key_from, key_to, first_day, last_day, start_at, end_at, midnight, steps, first_steps,
         is_first_accepted, is_last_accepted, refused_day
  FROM reports
  WHERE $manual_steps_earn AND is_delete AND id <> ''
)
SELECT *,
       row_number() OVER (
         PARTITION BY source_no, is_manual, id, key_kind, key_from, key_to
         ORDER BY version DESC, modified DESC NULLS LAST, upload_no DESC, place DESC) AS precedence,
       coalesce(min(known_on) OVER (
         PARTITION BY source_no, is_manual, id, key_kind, key_from, key_to
         ORDER BY version DESC, modified DESC NULLS LAST, upload_no DESC, place DESC
         ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), $never) AS superseded_on
FROM spaces
