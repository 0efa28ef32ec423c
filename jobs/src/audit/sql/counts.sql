-- What the audit computed from.
SELECT (SELECT count(*) FROM members) AS members,
       (SELECT count(*) FROM totals WHERE holds_from <= $closed_on AND $closed_on < holds_until) AS days
