-- The states without the identities that partly_refused.sql has worked out.
SELECT s.*
FROM states s
LEFT ANTI JOIN partly_refused p
  ON p.source_no = s.source_no AND p.is_manual = s.is_manual AND p.id = s.id AND p.key_kind = s.key_kind
 AND p.key_from = s.key_from AND p.key_to = s.key_to
