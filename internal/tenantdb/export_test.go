package tenantdb

import (
	"context"
	"math/bits"
)

// Unvetted makes a statement of any text, to see what the database itself refuses.
func Unvetted(text string) *Stmt { return newStmt(text) }

// Vet is the check of SQL.
func Vet(text string) error { return vet(text) }

// SessionState is what is left on an idle connection: the transaction status byte and the role.
type SessionState struct {
	TxStatus byte
	Role     string
}

// IdleSessions looks at every idle connection, below the pool, without setting a role.
func (db *DB) IdleSessions(ctx context.Context) ([]SessionState, error) {
	var states []SessionState
	for _, p := range db.pools {
		p.mu.Lock()
		for rest := p.idle; rest != 0; rest &= rest - 1 {
			pg := p.slots[bits.TrailingZeros64(rest)].conn.pg
			before := pg.TxStatus()
			results, err := pg.Exec(ctx, "select current_setting('role')").ReadAll()
			if err != nil {
				p.mu.Unlock()
				return nil, err
			}
			states = append(states, SessionState{before, string(results[0].Rows[0][0])})
		}
		p.mu.Unlock()
	}
	return states, nil
}

// PreparedStatements is how many statements the connections of a pool keep, by their own count.
func (db *DB) PreparedStatements() (most int) {
	for _, p := range db.pools {
		p.mu.Lock()
		for rest := p.idle; rest != 0; rest &= rest - 1 {
			most = max(most, len(p.slots[bits.TrailingZeros64(rest)].conn.stmts.byKey))
		}
		p.mu.Unlock()
	}
	return most
}
