package tenantdb

import (
	"github.com/jackc/pgx/v5/pgconn"

	"circle15.dev/internal/tenant"
)

// stmtKey names a prepared statement of a connection. The role is part of it because a statement is parsed, and its
// rights to schemas are checked, as the role that prepared it.
type stmtKey struct {
	stmt      *Stmt
	tenant    tenant.Name
	aggregate bool
}

// prepared is a statement that a connection's server knows by name.
type prepared struct {
	key   stmtKey
	shape *shape
	desc  pgconn.StatementDescription // name, parameters and fields as pgconn wants them
	ready bool                        // the server has confirmed it

	newer, older *prepared
}

// stmtCache is the bounded set of statements a connection's server knows, forgetting the least recently used.
type stmtCache struct {
	limit   int
	byKey   map[stmtKey]*prepared
	newest  *prepared
	oldest  *prepared
	evicted []string // names the server should be told to forget
}

func newStmtCache(limit int) stmtCache {
	return stmtCache{limit: limit, byKey: make(map[stmtKey]*prepared)}
}

// get finds a statement and marks it as used now; nil if it is not prepared.
func (sc *stmtCache) get(key stmtKey) *prepared {
	p := sc.byKey[key]
	if p != nil && p != sc.newest {
		sc.unlink(p)
		sc.pushNewest(p)
	}
	return p
}

// add makes room for p and keeps it.
func (sc *stmtCache) add(p *prepared) {
	for len(sc.byKey) >= sc.limit {
		sc.remove(sc.oldest)
	}
	sc.byKey[p.key] = p
	sc.pushNewest(p)
}

// remove forgets p and has its name closed at the server with the next batch.
func (sc *stmtCache) remove(p *prepared) {
	if sc.byKey[p.key] != p {
		return
	}
	delete(sc.byKey, p.key)
	sc.unlink(p)
	sc.evicted = append(sc.evicted, p.desc.Name)
}

func (sc *stmtCache) pushNewest(p *prepared) {
	p.older, p.newer = sc.newest, nil
	if sc.newest != nil {
		sc.newest.newer = p
	} else {
		sc.oldest = p
	}
	sc.newest = p
}

func (sc *stmtCache) unlink(p *prepared) {
	if p.newer != nil {
		p.newer.older = p.older
	} else {
		sc.newest = p.older
	}
	if p.older != nil {
		p.older.newer = p.newer
	} else {
		sc.oldest = p.newer
	}
}
