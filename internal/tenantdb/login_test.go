package tenantdb_test

import (
	"errors"
	"testing"

	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/testenv"
)

func TestALoginThatMayDoMoreThanTakeATenantsRoleIsRefused(t *testing.T) {
	setUp(t)
	for name, tt := range map[string]struct{ attributes, after, power string }{
		"login_super":   {"superuser noinherit", "", "is a superuser"},
		"login_roles":   {"createrole noinherit", "", "may create roles"},
		"login_dbs":     {"createdb noinherit", "", "may create databases"},
		"login_copies":  {"replication noinherit", "", "may replicate the database"},
		"login_bypass":  {"bypassrls noinherit", "", "passes over row security"},
		"login_inherit": {"inherit", "", "has the rights of all its roles at once (INHERIT)"},
		"login_owner":   {"noinherit", "create schema owned authorization login_owner", "owns schemas"},
	} {
		t.Run(tt.power, func(t *testing.T) {
			mustAdminf(t, "create role %s login password '%s' %s; grant connect on database %s to %[1]s",
				name, testenv.Password, tt.attributes, testenv.Database)
			t.Cleanup(func() { mustAdminf(t, "drop owned by %[1]s cascade; drop role %[1]s", name) })
			if tt.after != "" {
				mustAdminf(t, "%s", tt.after)
			}
			// One that would do, beside it, does not make up for it.
			clusters := map[string]string{
				"a": server.app, "main": testenv.Postgres(t).URL(name, testenv.Password, testenv.Database), "z": server.app,
			}
			directory, err := tenantdb.OpenDirectory(t.Context(), clusters)
			if err == nil {
				directory.Close()
			}
			refused, ok := errors.AsType[*tenantdb.LoginError](err)
			if want := (tenantdb.LoginError{Cluster: "main", Login: name, Power: tt.power}); !ok || *refused != want {
				t.Errorf("got %v, want %+v", err, want)
			}
		})
	}
}
