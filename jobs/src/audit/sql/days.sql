-- The days that may earn, with their totals at the last close: past the gate (HI-A1), once that is known.
SELECT t.member_no, m.member, t.day, t.steps, c.day_name, c.week_name, c.month,
       greatest(f.first_known_on, m.gate_known_on) AS first_known_on
FROM totals t
JOIN members m ON m.member_no = t.member_no
JOIN calendar c ON c.day = t.day
LEFT JOIN first_arrivals f ON f.member_no = t.member_no AND f.day = t.day
WHERE t.holds_from <= $closed_on AND $closed_on < t.holds_until
  AND m.gate_on <= t.day AND m.gate_known_on <= $closed_on
