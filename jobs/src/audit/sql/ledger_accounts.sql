-- Double entry: every entry moves points between two accounts, and the members' accounts hold what the members see. A
-- correction downward is negative, between the same accounts; so what is issued stays the mirror of what members have.
SELECT arrow_cast(programme, 'Utf8') AS programme, arrow_cast(member, 'Utf8') AS member,
       CAST(sum(CASE WHEN debit IS NULL OR credit IS NULL OR debit = credit THEN 1 ELSE 0 END) AS BIGINT) AS one_sided,
       CAST(sum(points) AS BIGINT) AS seen,
       CAST(sum(CASE WHEN credit = 'member' THEN points ELSE 0 END - CASE WHEN debit = 'member' THEN points ELSE 0 END)
            AS BIGINT) AS held
FROM entries
GROUP BY programme, member
HAVING sum(CASE WHEN debit IS NULL OR credit IS NULL OR debit = credit THEN 1 ELSE 0 END) > 0
    OR sum(points) <> sum(CASE WHEN credit = 'member' THEN points ELSE 0 END
                        - CASE WHEN debit = 'member' THEN points ELSE 0 END)
ORDER BY 1, 2
