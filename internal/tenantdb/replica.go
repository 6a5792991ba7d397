package tenantdb

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// replicaTimeout bounds one call of a Replica, waiting for a connection included.
const replicaTimeout = 5 * time.Second

// Replica is this process in the control schema of one cluster, where it tells which versions of the tenants' policies
// it decides by. It is the one door that runs without a tenant: as the app login, which may call the three functions
// below and nothing that changes a row beside them. Errors are *apierr.Error. It is safe for concurrent use.
type Replica struct {
	name string
	pool *pool
}

// Replicas are this process, under a name that no other process has, in the control schema of each cluster.
func (db *DB) Replicas(name string) []*Replica {
	all := make([]*Replica, 0, len(db.pools))
	for _, p := range db.pools {
		all = append(all, &Replica{name, p})
	}
	return all
}

// Cluster is the name of the cluster.
func (r *Replica) Cluster() string { return r.pool.cluster }

// Acknowledge shows that the replica lives, and tells that for every request from now on it decides by the version of
// the policy given for a schema, or by a later one. Schemas and versions that the cluster does not have are ignored.
// Unknown says that the cluster knew nothing of the replica, or nothing any more: it knows only these versions then.
func (r *Replica) Acknowledge(ctx context.Context, versions map[string]int64) (unknown bool, err error) {
	schemas, numbers := make([]string, 0, len(versions)), make([]int64, 0, len(versions))
	for schema, version := range versions {
		schemas, numbers = append(schemas, schema), append(numbers, version)
	}
	known, err := r.call(ctx, "select circle15.acknowledge_policies($1, $2, $3)", nil, schemas, numbers)
	return known == "f", err
}

// AcknowledgeAll is Acknowledge of the policies of all tenants of the cluster, as they are now. Distrust is called when
// they have been looked up and before anybody sees the acknowledgement: from then on the replica must not decide by what
// it read before.
func (r *Replica) AcknowledgeAll(ctx context.Context, distrust func()) error {
	_, err := r.call(ctx, "select circle15.acknowledge_all_policies($1)", distrust)
	return err
}

// Forget removes the replica, which stops.
func (r *Replica) Forget(ctx context.Context) error {
	_, err := r.call(ctx, "select circle15.forget_replica($1)", nil)
	return err
}

// call runs one function of the control schema in a transaction of its own, with the replica's name and the arguments,
// and calls before between the function and the commit.
func (r *Replica) call(ctx context.Context, sql constantString, before func(), args ...any) (value string, err error) {
	ctx, cancel := context.WithTimeout(ctx, replicaTimeout)
	defer cancel()
	c, err := r.pool.acquire(ctx, "")
	if err != nil {
		return "", translate(err)
	}
	returned := false
	defer func() {
		c.broken = c.broken || !returned
		c.rollBack(ctx)
		r.pool.release(c, "")
	}()
	value, err = c.callAsLogin(ctx, sql, before, append([]any{r.name}, args...))
	returned = true
	if c.pg.IsClosed() {
		r.pool.suspect()
	}
	return value, translate(err)
}

func (c *conn) callAsLogin(ctx context.Context, sql constantString, before func(), args []any) (string, error) {
	params := make([][]byte, len(args))
	for i, arg := range args {
		oid, err := oidOf(arg)
		if err != nil {
			return "", err
		}
		if params[i], err = c.types.Encode(oid, pgtype.TextFormatCode, arg, nil); err != nil {
			return "", err
		}
	}
	if err := c.pg.ExecPrepared(ctx, c.beginWrite.Name, nil, nil, nil).Read().Err; err != nil {
		return "", err
	}
	result := c.pg.ExecParams(ctx, string(sql), params, nil, nil, nil).Read()
	if result.Err != nil {
		return "", result.Err
	}
	if before != nil {
		before()
	}
	if err := c.pg.ExecPrepared(ctx, c.commit.Name, nil, nil, nil).Read().Err; err != nil {
		return "", err
	}
	if len(result.Rows) != 1 || len(result.Rows[0]) != 1 {
		return "", fmt.Errorf("tenantdb: %d rows from a function that returns one", len(result.Rows))
	}
	return string(result.Rows[0][0]), nil
}

func oidOf(arg any) (uint32, error) {
	switch arg.(type) {
	case string:
		return pgtype.TextOID, nil
	case []string:
		return pgtype.TextArrayOID, nil
	case []int64:
		return pgtype.Int8ArrayOID, nil
	}
	return 0, fmt.Errorf("tenantdb: an argument of type %T", arg)
}
