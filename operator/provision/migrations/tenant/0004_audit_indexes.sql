-- The audit trail is read newest first, all of it or that of one subject or record, and often of a period. Each index gives
-- one of these in its order, so that a page costs the rows on it, however long the trail is.
CREATE INDEX audit_events_time ON audit_events (at, id);
CREATE INDEX audit_events_subject ON audit_events (subject, at, id);
CREATE INDEX audit_events_resource ON audit_events (resource_id, at, id);
