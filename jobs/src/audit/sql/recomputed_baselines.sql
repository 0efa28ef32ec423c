-- Frozen baselines.
SELECT member, frozen_on_name, first_day_name, baseline_steps, is_older FROM baselines ORDER BY member
