-- Sessions, referrals, follow-ups and groups can be corrected and taken back. What was taken back stays readable, with the
-- number that paper files know it by; its void_reason is not empty.
ALTER TABLE case_sessions
    ADD COLUMN void_reason text NOT NULL DEFAULT '',
    ADD COLUMN revision    integer NOT NULL DEFAULT 1,
    ADD COLUMN update_time timestamptz NOT NULL DEFAULT now();
UPDATE case_sessions SET update_time = create_time;

ALTER TABLE case_follow_ups
    ADD COLUMN void_reason text NOT NULL DEFAULT '',
    ADD COLUMN revision    integer NOT NULL DEFAULT 1,
    ADD COLUMN update_time timestamptz NOT NULL DEFAULT now();
UPDATE case_follow_ups SET update_time = create_time;

ALTER TABLE referrals
    ADD COLUMN void_reason text NOT NULL DEFAULT '',
    DROP CONSTRAINT referrals_state_known,
    ADD CONSTRAINT referrals_state_known CHECK (state IN ('SENT', 'ACCEPTED', 'DECLINED', 'COMPLETED', 'VOID'));

ALTER TABLE groups
    ADD COLUMN void_reason   text NOT NULL DEFAULT '',
    ADD COLUMN return_reason text NOT NULL DEFAULT '', -- why it last went back to the stage before
    DROP CONSTRAINT groups_stage_known,
    ADD CONSTRAINT groups_stage_known CHECK
        (stage IN ('PREPARATION', 'FORMATION', 'TRANSITION', 'MATURITY', 'ENDING', 'VOID'));

ALTER TABLE group_sessions
    ADD COLUMN void_reason text NOT NULL DEFAULT '',
    ADD COLUMN revision    integer NOT NULL DEFAULT 1,
    ADD COLUMN update_time timestamptz NOT NULL DEFAULT now();
UPDATE group_sessions SET update_time = create_time;
