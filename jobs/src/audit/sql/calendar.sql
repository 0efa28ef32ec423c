-- Every civil day from 2000 to 2099, by its number (days since 1970-01-01), with the names that periods have in the
-- ledger. A week runs from Monday to Sunday (KU-A5) and has its ISO number.
WITH dates AS (
  SELECT number AS day, arrow_cast(arrow_cast(number, 'Int32'), 'Date32') AS date
  FROM (SELECT unnest(range(10957, 47482)) AS number) AS numbers
),
parts AS (
  SELECT day, date,
         CAST(date_part('year', date) AS BIGINT) AS year,
         CAST(date_part('month', date) AS BIGINT) AS month_of_year,
         CAST(date_part('day', date) AS BIGINT) AS day_of_month
  FROM dates
)
SELECT day,
       to_char(date, '%Y-%m-%d') AS day_name,
       to_char(date, '%G-W%V') AS week_name,
       to_char(date, '%Y-%m') AS month_name,
       year,
       month_of_year * 100 + day_of_month AS day_of_year_order,
       year * 12 + month_of_year AS month,
       min(day) OVER (PARTITION BY year, month_of_year) AS month_first_day,
       max(day) OVER (PARTITION BY year, month_of_year) AS month_last_day
FROM parts
