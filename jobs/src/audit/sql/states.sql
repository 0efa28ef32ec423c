-- Of the reports of one identity the greatest by version, modified_at, received_at, upload id and index holds. So a
-- report holds from the day on which it is known until a greater one is; what comes already beaten never holds.
SELECT r.*, $never AS superseded_on
FROM reports r
LEFT ANTI JOIN repeats p
  ON p.source_no = r.source_no AND p.is_manual = r.is_manual AND p.id = r.id AND p.key_kind = r.key_kind
 AND p.key_from = r.key_from AND p.key_to = r.key_to
UNION ALL
SELECT r.*,
       coalesce(min(r.known_on) OVER (
         PARTITION BY r.source_no, r.is_manual, r.id, r.key_kind, r.key_from, r.key_to
         ORDER BY r.version, r.modified NULLS FIRST, r.upload_no, r.place
         ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING), $never) AS superseded_on
FROM reports r
LEFT SEMI JOIN repeats p
  ON p.source_no = r.source_no AND p.is_manual = r.is_manual AND p.id = r.id AND p.key_kind = r.key_kind
 AND p.key_from = r.key_from AND p.key_to = r.key_to
