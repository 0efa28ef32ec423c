-- fa(D): since when a day is known at all, by the first report that states something that counts.
SELECT member_no, day, min(known_on) AS first_known_on
FROM (
  SELECT member_no, first_day AS day, known_on FROM reports
  WHERE $needs_history AND NOT is_delete AND is_first_accepted AND (kind < 2 OR $merged_totals_count)
  UNION ALL
  SELECT member_no, last_day, known_on FROM reports
  WHERE $needs_history AND NOT is_delete AND is_last_accepted AND (kind < 2 OR $merged_totals_count)
) AS arrivals
GROUP BY member_no, day
