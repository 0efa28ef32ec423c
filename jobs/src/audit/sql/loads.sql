-- How many samples each member has sent: what the work is divided by.
SELECT arrow_cast(member, 'Utf8') AS member, count(*) AS uploads,
       CAST(sum(coalesce(array_length(samples), 0)) AS BIGINT) AS samples
FROM facts_uploads
WHERE programme = $programme
GROUP BY member
ORDER BY 1
