-- The reports that are accepted on a day at least, with the identity that they speak of: the sample's id, else its kind
-- and times. Entries by hand have identities of their own, and where they earn nothing they need not be followed (G8).
-- A deletion with an id speaks of the automatic sample of that id (and, in reports_by_hand.sql, of the manual one).
SELECT member_no, source_no, upload_no, place, known_on, is_delete, version, modified, kind,
       CASE WHEN is_delete AND id <> '' THEN false ELSE is_manual END AS is_manual,
       id,
       CASE WHEN id <> '' THEN -1 ELSE kind END AS key_kind,
       CASE WHEN id <> '' THEN 0 WHEN kind = 0 THEN start_at ELSE first_day END AS key_from,
       CASE WHEN id <> '' OR kind > 0 THEN 0 ELSE end_at END AS key_to,
       first_day, last_day, start_at, end_at, midnight, steps, first_steps,
       first_day IS NOT NULL AND first_refusal IS NULL AS is_first_accepted,
       last_day > first_day AND last_refusal IS NULL AS is_last_accepted,
       -- The day on which a report that is accepted on its other day is refused.
       CASE WHEN last_day > first_day AND first_refusal IS NOT NULL THEN first_day
            WHEN last_day > first_day AND last_refusal IS NOT NULL THEN last_day END AS refused_day
FROM judged
WHERE (first_refusal IS NULL OR (last_day > first_day AND last_refusal IS NULL))
  AND (NOT is_manual OR $manual_steps_earn OR (is_delete AND id <> ''))
