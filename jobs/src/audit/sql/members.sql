-- Who takes part, from when, and since when that is known. The ENROL, and the VERIFY (HI-04), with the smallest
-- (received_at, id) counts; of records with one id the earliest. Where rules depend on age, an ENROL without a birth
-- date is refused, and a VERIFY that waited longer for its ENROL than facts are parked is too.
WITH copies AS (
  SELECT member, id, op, birth_date,
         CAST(received_at AS BIGINT) AS received,
         CAST(CAST(effective_on AS INT) AS BIGINT) AS effective_day,
         row_number() OVER (PARTITION BY member, id ORDER BY received_at, op, effective_on) AS copy
  FROM facts_members
  WHERE programme = $programme AND member >= $member_from AND member < $member_below
),
enrolments AS (
  SELECT *, row_number() OVER (PARTITION BY member ORDER BY received, id) AS turn
  FROM copies
  WHERE copy = 1 AND op = 'ENROL' AND (birth_date IS NOT NULL OR NOT $needs_birth_date)
),
enrolled AS (
  SELECT member, received AS enrolled_at, effective_day AS enrolled_on,
         (received + $civil_offset) / $day_length AS enrolment_known_on,
         CAST(date_part('year', birth_date) AS BIGINT) AS birth_year,
         CAST(date_part('month', birth_date) * 100 + date_part('day', birth_date) AS BIGINT) AS birth_order
  FROM enrolments
  WHERE turn = 1
),
verifications AS (
  SELECT v.member, v.received, v.effective_day,
         row_number() OVER (PARTITION BY v.member ORDER BY v.received, v.id) AS turn
  FROM copies v
  JOIN enrolled e ON e.member = v.member
  WHERE v.copy = 1 AND v.op = 'VERIFY' AND e.enrolled_at <= v.received + $park_length
)
SELECT row_number() OVER (ORDER BY e.member) AS member_no,
       e.member, e.enrolled_at, e.enrolled_on, e.enrolment_known_on, e.birth_year, e.birth_order,
       -- From gate_on on, days earn (HI-A1); nobody knew so before gate_known_on.
       CASE WHEN $gate_is_verification THEN v.effective_day ELSE e.enrolled_on END AS gate_on,
       CASE WHEN $gate_is_verification THEN greatest(e.enrolment_known_on, (v.received + $civil_offset) / $day_length)
            ELSE e.enrolment_known_on END AS gate_known_on
FROM enrolled e
LEFT JOIN verifications v ON v.member = e.member AND v.turn = 1
