-- The recorded rules. A version that was published twice is one version.
SELECT arrow_cast(programme, 'Utf8') AS programme, CAST(version AS BIGINT) AS version,
       min(arrow_cast(source, 'Utf8')) AS source
FROM facts_programmes
GROUP BY programme, version
ORDER BY 1, 2
