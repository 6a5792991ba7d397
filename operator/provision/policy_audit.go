package provision

// What is done to a tenant's policy from here stands in its audit trail beside what its people do: who is the operator or
// the command that acts, and the method is one of these in the place of an RPC's name.
const (
	policyWritten = "circle15.provision/WritePolicy" // roles and rules; the record is the whole policy, so none is named
	roleGiven     = "circle15.provision/GiveRole"    // the record is the grant
	roleTaken     = "circle15.provision/TakeRole"
)

// auditPolicy records that roles and rules were written.
func auditPolicy(schema string) statement {
	return statement{
		`INSERT INTO ` + ident(schema, "audit_events") + ` (subject, method, resource_id, outcome) VALUES ($1, $2, '', 'OK')`,
		[]any{GrantedBy, policyWritten},
	}
}

// audited is the change, a DELETE or INSERT of role_grants AS g, that also records every grant which it touches.
func audited(schema, by, method, change string) string {
	return `WITH touched AS (` + change + ` RETURNING g.id)
		INSERT INTO ` + ident(schema, "audit_events") + ` (subject, method, resource_id, outcome)
		SELECT ` + literal(by) + `, ` + literal(method) + `, id::text, 'OK' FROM touched`
}
