-- The uploads that are not refused as a whole, without their samples, each with its place in the order of reports
-- (received_at, then id), its source and its dates: arrival, login (IW-A3) and the day since which it is known, which
-- for a parked upload is the day that its member's enrolment came.
WITH stated AS (
  SELECT DISTINCT member, id, channel,
         CAST(received_at AS BIGINT) AS received,
         CAST(coalesce(login_at, received_at) AS BIGINT) AS login,
         coalesce(source['platform'], '') AS platform,
         coalesce(source['origin'], '') AS origin,
         coalesce(source['device'], '') AS device,
         source['device_kind'] AS device_kind
  FROM facts_uploads
  WHERE programme = $programme AND member >= $member_from AND member < $member_below
),
dated AS (
  SELECT s.*, m.member_no, m.enrolment_known_on,
         (s.received + $civil_offset) / $day_length AS arrival_day,
         (s.login + $civil_offset) / $day_length AS login_day
  FROM stated s
  JOIN members m ON m.member = s.member
  WHERE s.login <= s.received AND m.enrolled_at <= s.received + $park_length
)
SELECT member_no, member, id, channel, received, login, platform, origin, device, arrival_day, login_day,
       greatest(arrival_day, enrolment_known_on) AS known_on,
       dense_rank() OVER (ORDER BY received, id) AS upload_no,
       dense_rank() OVER (ORDER BY member_no, platform, origin, device) AS source_no,
       first_value(device_kind) OVER (PARTITION BY member_no, platform, origin, device ORDER BY received, id)
         AS source_kind
FROM dated
WHERE arrival_day - login_day <= $arrival_days_max
