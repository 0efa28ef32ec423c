-- Entry ids that occur more than once.
SELECT arrow_cast(min(programme), 'Utf8') AS programme, arrow_cast(min(member), 'Utf8') AS member,
       arrow_cast(min(rule), 'Utf8') AS rule, arrow_cast(min(period), 'Utf8') AS period, count(*) AS entries
FROM entries
GROUP BY entry_id
HAVING count(*) > 1
ORDER BY 1, 2, 3, 4
