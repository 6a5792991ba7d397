-- The work summary of a period, counted from service_facts. It is the one door through which circle15_aggregate reads a
-- tenant: the role may execute this function and nothing else, so sums leave a city and rows do not.
--
-- One row has is_total, over the whole period; the others are the groups asked for, without those whose figures are all 0.
--   Flows (home_visits, cases, case_sessions, activities, groups, person_times, needs, needs_met, files): the sum of the
--     amounts with p_from <= fact_date <= p_to.
--   households_visited: the distinct households whose home visits in the period, and in the group, come to more than 0.
--     It is counted anew for the total: groups share households.
--   Stocks (stations, volunteer_teams, volunteers): the sum of the amounts up to the end of the period, and of each month
--     (or p_to, if earlier) when grouped by month: every month shows what is in being at its end.
-- What is not grouped by has NULL station and month and an empty domain; so has, for domain, what belongs to none.
-- p_stations NULL means every station; an unknown one is refused.
CREATE FUNCTION work_summary(
    p_from date, p_to date, p_by_station boolean, p_by_month boolean, p_by_domain boolean, p_stations uuid[]
) RETURNS TABLE (
    is_total boolean, station_id uuid, station_name text, division_code text, month date, domain text,
    stations bigint, households_visited bigint, home_visits bigint, cases bigint, case_sessions bigint, activities bigint,
    groups bigint, volunteer_teams bigint, volunteers bigint, person_times bigint, needs bigint, needs_met bigint, files bigint
) LANGUAGE plpgsql STABLE SECURITY DEFINER
-- The plan depends on the width of the period: a cached generic one would read a month like ten years. Compiling the query
-- costs more than it saves, and one tenant's report takes one core, not the workers of all. Figures: services/reporting.
SET plan_cache_mode = force_custom_plan
SET jit = off
SET max_parallel_workers_per_gather = 0
SET work_mem = '32MB'
AS $$
#variable_conflict use_column
DECLARE
    -- Keys that are not grouped by hold a constant rather than NULL, so that they compare.
    no_station CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    first_month CONSTANT date := date_trunc('month', p_from::timestamp)::date;
    grouped CONSTANT boolean := p_by_station OR p_by_month OR p_by_domain;
BEGIN
    IF EXISTS (SELECT FROM unnest(p_stations) AS p (id) WHERE NOT EXISTS (SELECT FROM stations s WHERE s.id = p.id)) THEN
        RAISE EXCEPTION 'unknown station' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN QUERY
    WITH flow AS MATERIALIZED (
        SELECT CASE WHEN p_by_station THEN f.station_id ELSE no_station END AS station,
            CASE WHEN p_by_month THEN date_trunc('month', f.fact_date::timestamp)::date ELSE first_month END AS month,
            CASE WHEN p_by_domain THEN f.domain ELSE '' END AS domain,
            f.measure, sum(f.amount) AS amount
        FROM service_facts f
        WHERE f.measure IN ('case', 'case_session', 'activity', 'group', 'person_times', 'need', 'need_met', 'file')
            AND f.fact_date BETWEEN p_from AND p_to
            AND (p_stations IS NULL OR f.station_id = ANY (p_stations))
        GROUP BY 1, 2, 3, 4
    ), visited AS MATERIALIZED (
        SELECT CASE WHEN p_by_station THEN f.station_id ELSE no_station END AS station,
            CASE WHEN p_by_month THEN date_trunc('month', f.fact_date::timestamp)::date ELSE first_month END AS month,
            CASE WHEN p_by_domain THEN f.domain ELSE '' END AS domain,
            f.household_id AS household, sum(f.amount)::integer AS visits
        FROM service_facts f
        WHERE f.measure = 'home_visit'
            AND f.fact_date BETWEEN p_from AND p_to
            AND (p_stations IS NULL OR f.station_id = ANY (p_stations))
        GROUP BY 1, 2, 3, 4
    ), stock_change AS MATERIALIZED (
        SELECT CASE WHEN p_by_station THEN f.station_id ELSE no_station END AS station,
            CASE WHEN p_by_month THEN greatest(date_trunc('month', f.fact_date::timestamp)::date, first_month)
                ELSE first_month END AS month,
            CASE WHEN p_by_domain THEN f.domain ELSE '' END AS domain,
            f.measure, sum(f.amount) AS amount
        FROM service_facts f
        WHERE f.measure IN ('stations', 'volunteer_team', 'volunteer')
            AND f.fact_date <= p_to
            AND (p_stations IS NULL OR f.station_id = ANY (p_stations))
        GROUP BY 1, 2, 3, 4
    ), stock_step AS ( -- every month of the period gets a step, if only of 0
        SELECT c.station, c.month, c.domain, c.measure, c.amount FROM stock_change c
        UNION ALL
        SELECT k.station, m.month::date, k.domain, k.measure, 0
        FROM (SELECT DISTINCT c.station, c.domain, c.measure FROM stock_change c) k
        CROSS JOIN generate_series(first_month::timestamp, p_to::timestamp, '1 month') AS m (month)
        WHERE p_by_month
    ), stock AS (
        SELECT t.station, t.month, t.domain, t.measure,
            sum(sum(t.amount)) OVER (PARTITION BY t.station, t.domain, t.measure ORDER BY t.month) AS amount
        FROM stock_step t
        GROUP BY t.station, t.month, t.domain, t.measure
    ), figure AS (
        SELECT false AS is_total, w.station, w.month, w.domain, w.measure, w.amount FROM flow w WHERE grouped
        UNION ALL
        SELECT false, v.station, v.month, v.domain, 'home_visit', sum(v.visits) FROM visited v WHERE grouped GROUP BY 2, 3, 4
        UNION ALL
        SELECT false, v.station, v.month, v.domain, 'household', count(*) FROM visited v WHERE grouped AND v.visits > 0
        GROUP BY 2, 3, 4
        UNION ALL
        SELECT false, k.station, k.month, k.domain, k.measure, k.amount FROM stock k WHERE grouped
        UNION ALL
        SELECT true, no_station, first_month, '', w.measure, sum(w.amount) FROM flow w GROUP BY w.measure
        UNION ALL
        SELECT true, no_station, first_month, '', 'home_visit', coalesce(sum(v.visits), 0) FROM visited v
        UNION ALL
        SELECT true, no_station, first_month, '', 'household', count(*)
        FROM (SELECT FROM visited v GROUP BY v.household HAVING sum(v.visits) > 0) h
        UNION ALL
        SELECT true, no_station, first_month, '', c.measure, sum(c.amount) FROM stock_change c GROUP BY c.measure
    ), summary AS (
        SELECT f.is_total, f.station, f.month, f.domain,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'stations'), 0)::bigint AS stations,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'household'), 0)::bigint AS households_visited,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'home_visit'), 0)::bigint AS home_visits,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'case'), 0)::bigint AS cases,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'case_session'), 0)::bigint AS case_sessions,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'activity'), 0)::bigint AS activities,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'group'), 0)::bigint AS groups,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'volunteer_team'), 0)::bigint AS volunteer_teams,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'volunteer'), 0)::bigint AS volunteers,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'person_times'), 0)::bigint AS person_times,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'need'), 0)::bigint AS needs,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'need_met'), 0)::bigint AS needs_met,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'file'), 0)::bigint AS files
        FROM figure f
        GROUP BY f.is_total, f.station, f.month, f.domain
        HAVING f.is_total OR bool_or(f.amount <> 0)
    )
    SELECT y.is_total, s.id, s.display_name, s.division_code,
        CASE WHEN p_by_month AND NOT y.is_total THEN y.month END, y.domain,
        y.stations, y.households_visited, y.home_visits, y.cases, y.case_sessions, y.activities, y.groups, y.volunteer_teams,
        y.volunteers, y.person_times, y.needs, y.needs_met, y.files
    FROM summary y
    LEFT JOIN stations s ON s.id = y.station
    ORDER BY y.is_total DESC, s.division_code, s.id, y.month, y.domain;
END $$;

-- The function runs as the owner of the schema, so its names must not be caught by a caller's temporary tables, which come
-- first unless pg_temp is named last; and nobody may call it but those to whom it is granted.
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION work_summary(date, date, boolean, boolean, boolean, uuid[]) SET search_path = %I, pg_temp',
        current_schema());
END $$;
REVOKE ALL ON FUNCTION work_summary(date, date, boolean, boolean, boolean, uuid[]) FROM PUBLIC;
