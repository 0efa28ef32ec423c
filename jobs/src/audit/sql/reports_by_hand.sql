-- Where entries by hand earn: the reports, and each deletion with an id once more, for the manual sample of that id.
SELECT * FROM reports
UNION ALL
SELECT * REPLACE (true AS is_manual) FROM reports WHERE is_delete AND id <> ''
