-- The identities of which more than one report has come. The others, the most by far, need no ranking.
SELECT source_no, is_manual, id, key_kind, key_from, key_to
FROM reports
GROUP BY source_no, is_manual, id, key_kind, key_from, key_to
HAVING count(*) > 1
