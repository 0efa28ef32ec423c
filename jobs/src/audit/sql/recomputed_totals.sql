-- Day totals as of the last close.
SELECT m.member, c.day_name AS date, t.steps
FROM totals t
JOIN members m ON m.member_no = t.member_no
JOIN calendar c ON c.day = t.day
WHERE t.holds_from <= $closed_on AND $closed_on < t.holds_until
ORDER BY 1, 2
