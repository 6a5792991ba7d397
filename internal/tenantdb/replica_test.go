package tenantdb_test

import (
	"fmt"
	"testing"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/testenv"
)

// acknowledged is the version that the replica has acknowledged of the tenant's policy; 0 for none.
func acknowledged(t *testing.T, replica string, n tenant.Name) string {
	t.Helper()
	return adminValue(t, fmt.Sprintf(
		`select coalesce(max(version), 0) from circle15.policy_acknowledgements where replica = '%s' and schema_name = '%s'`, replica, n.Schema()))
}

func policyVersion(t *testing.T, n tenant.Name) string {
	t.Helper()
	return adminValue(t, fmt.Sprintf(`select version from circle15.policy_versions where schema_name = '%s'`, n.Schema()))
}

func bump(t *testing.T, n tenant.Name) {
	t.Helper()
	mustAdminf(t, `update %s.roles set title_en = title_en`, n.Schema())
}

func theReplica(t *testing.T, db *tenantdb.DB, name string) *tenantdb.Replica {
	t.Helper()
	all := db.Replicas(name)
	if len(all) != 1 || all[0].Cluster() != "main" {
		t.Fatalf("%d replicas for one cluster", len(all))
	}
	t.Cleanup(func() { mustAdminf(t, `delete from circle15.replicas where name = '%s'`, name) })
	return all[0]
}

func TestAReplicaAcknowledgesWhatItIsTold(t *testing.T) {
	setUp(t)
	n, other := testenv.NewTenant(t), testenv.NewTenant(t)
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 1 })
	r := theReplica(t, db, "told")
	version := adminValue(t, fmt.Sprintf(`select version from %s.policy_version`, n.Schema()))
	var number int64
	if _, err := fmt.Sscan(version, &number); err != nil {
		t.Fatal(err)
	}
	unknown, err := r.Acknowledge(t.Context(), map[string]int64{n.Schema(): number, `t_no_such", {}'\`: 7, other.Schema(): 1})
	if err != nil || !unknown {
		t.Errorf("the first time: unknown %v, error %v", unknown, err)
	}
	if unknown, err = r.Acknowledge(t.Context(), nil); err != nil || unknown {
		t.Errorf("a heartbeat: unknown %v, error %v", unknown, err)
	}
	if got := acknowledged(t, "told", n); got != version {
		t.Errorf("acknowledged version %s, want %s", got, version)
	}
	if got := acknowledged(t, "told", other); got != "1" {
		t.Errorf("acknowledged version %s of the other tenant, want 1", got)
	}
	if err := r.Forget(t.Context()); err != nil {
		t.Error(err)
	}
	if got := adminValue(t, `select count(*) from circle15.replicas where name = 'told'`); got != "0" {
		t.Error("the replica was not forgotten")
	}
	wantNothingLeft(t, db)
}

// Nobody sees an acknowledgement of everything before the replica has been told to distrust what it read, and what is
// changed after that is not part of it.
func TestEverythingIsAcknowledgedOnlyOnceNothingOlderIsTrusted(t *testing.T) {
	setUp(t)
	n := testenv.NewTenant(t)
	db := open(t, nil)
	r := theReplica(t, db, "distrustful")
	before := policyVersion(t, n)
	told := 0
	err := r.AcknowledgeAll(t.Context(), func() {
		told++
		if got := acknowledged(t, "distrustful", n); got != "0" {
			t.Errorf("version %s is acknowledged before anything was distrusted", got)
		}
		bump(t, n)
	})
	if err != nil || told != 1 {
		t.Fatalf("told %d times, error %v", told, err)
	}
	if got := acknowledged(t, "distrustful", n); got != before {
		t.Errorf("version %s is acknowledged, want %s, which was the policy's when it was looked up", got, before)
	}
	if got := policyVersion(t, n); got == before {
		t.Error("the policy was not changed")
	}
}

func TestAReplicaOfAClosedDatabaseSaysSo(t *testing.T) {
	db := open(t, nil)
	r := theReplica(t, db, "late")
	db.Close()
	_, err := r.Acknowledge(t.Context(), nil)
	wantKind(t, err, apierr.Unavailable)
	wantKind(t, r.AcknowledgeAll(t.Context(), func() { t.Error("nothing was looked up") }), apierr.Unavailable)
}
