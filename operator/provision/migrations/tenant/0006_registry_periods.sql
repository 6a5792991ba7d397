-- What ends is counted on its last day too: a stock's -1 stands on the day after. The facts of before, and what took them
-- back, move there. Of a stock, what is negative and reverses nothing is an end; what is positive and reverses is an end
-- taken back.
UPDATE service_facts SET fact_date = fact_date + 1
WHERE measure IN ('stations', 'volunteer_team', 'volunteer') AND (amount < 0) = (reverses IS NULL);
