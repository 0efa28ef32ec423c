-- What the rules give, without those that give nothing.
SELECT member, rule, period, points FROM expected WHERE points <> 0 ORDER BY member, rule, period
