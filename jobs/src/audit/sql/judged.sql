-- Every sample of those uploads, with the days it touches, its steps split at midnight in proportion to duration, the
-- earlier day's rounded down (G1), and the reason for which it is refused on each of the two days, if it is.
WITH sent AS (
  SELECT member, id, samples,
         CAST(received_at AS BIGINT) AS received,
         CAST(coalesce(login_at, received_at) AS BIGINT) AS login,
         coalesce(source['platform'], '') AS platform,
         coalesce(source['origin'], '') AS origin,
         coalesce(source['device'], '') AS device
  FROM facts_uploads
  WHERE programme = $programme AND member >= $member_from AND member < $member_below
),
exploded AS (
  SELECT u.member_no, u.source_no, u.upload_no, u.arrival_day, u.login_day, u.known_on,
         unnest(s.samples) AS sample,
         unnest(range(0, CAST(array_length(s.samples) AS BIGINT))) AS place
  FROM sent s
  JOIN uploads u
    ON u.member = s.member AND u.id = s.id AND u.received = s.received AND u.login = s.login
   AND u.platform = s.platform AND u.origin = s.origin AND u.device = s.device
),
read AS (
  SELECT member_no, source_no, upload_no, arrival_day, login_day, known_on, place,
         coalesce(sample['op'], 'UPSERT') = 'DELETE' AS is_delete,
         coalesce(sample['recording'], 'AUTO') = 'MANUAL' AS is_manual,
         coalesce(sample['id'], '') AS id,
         coalesce(sample['version'], 0) AS version,
         CAST(sample['modified_at'] AS BIGINT) AS modified,
         sample['steps'] AS steps,
         CASE sample['kind'] WHEN 'INTERVAL' THEN 0 WHEN 'DAILY_TOTAL' THEN 1 WHEN 'MERGED_TOTAL' THEN 2 END AS kind,
         CAST(sample['start'] AS BIGINT) AS start_at,
         CAST(sample['end'] AS BIGINT) AS end_at,
         CAST(CAST(sample['date'] AS INT) AS BIGINT) AS date_day
  FROM exploded
),
placed AS (
  SELECT *,
         CASE WHEN kind > 0 THEN date_day
              WHEN start_at IS NOT NULL AND end_at IS NOT NULL THEN (start_at + $civil_offset) / $day_length
         END AS first_day,
         CASE WHEN kind > 0 THEN date_day
              WHEN start_at IS NOT NULL AND end_at IS NOT NULL THEN (end_at - 1 + $civil_offset) / $day_length
         END AS last_day
  FROM read
),
-- What is refused whatever the day. A deletion needs an id or times; its steps do not matter.
shaped AS (
  SELECT *,
         CASE
           WHEN first_day IS NULL AND NOT (is_delete AND id <> '') THEN 'MALFORMED'
           WHEN kind = 0 AND (end_at <= start_at OR end_at - start_at > $day_length) THEN 'MALFORMED'
           WHEN first_day < $first_day_accepted OR last_day > $last_day_accepted THEN 'MALFORMED'
           WHEN NOT is_delete AND (steps IS NULL OR steps < 0) THEN 'IMPLAUSIBLE'
           WHEN NOT is_delete AND kind > 0 AND steps > $day_steps_max THEN 'IMPLAUSIBLE'
           WHEN NOT is_delete AND kind = 0
            AND steps > $minute_steps_max * ((end_at - start_at + 59999999) / 60000000) THEN 'IMPLAUSIBLE'
           WHEN arrival_day > $arrival_ends_on THEN 'SEASON_OVER' -- KU-02
         END AS refusal,
         CASE WHEN last_day > first_day THEN last_day * $day_length - $civil_offset END AS midnight
  FROM placed
)
SELECT member_no, source_no, upload_no, place, known_on, arrival_day, is_delete, is_manual, id, version, modified, kind,
       first_day, last_day, start_at, end_at, midnight, steps,
       -- No accepted sample has so many steps that the clamp matters: it only keeps refused ones from overflowing.
       CASE WHEN midnight IS NULL THEN steps
            ELSE least(steps, 100000000) * (midnight - start_at) / (end_at - start_at) END AS first_steps,
       CASE
         WHEN refusal IS NOT NULL THEN refusal
         WHEN first_day > arrival_day THEN 'AFTER_ARRIVAL'
         WHEN first_day < $season_starts_on OR first_day > $season_ends_on THEN 'OUT_OF_SEASON' -- KU-01
         WHEN first_day > login_day OR first_day < login_day - ($backfill_days_max - 1) THEN $backfill_refusal -- IW-08
       END AS first_refusal,
       CASE
         WHEN refusal IS NOT NULL THEN refusal
         WHEN last_day > arrival_day THEN 'AFTER_ARRIVAL'
         WHEN last_day < $season_starts_on OR last_day > $season_ends_on THEN 'OUT_OF_SEASON'
         WHEN last_day > login_day OR last_day < login_day - ($backfill_days_max - 1) THEN $backfill_refusal
       END AS last_refusal
FROM shaped
