package tenantdb

import (
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"circle15.dev/internal/tenant"
)

// constantString is what SQL takes. Being unexported, no variable or expression of another package converts to it:
// only an untyped constant does, so that a statement's text can never be put together from input.
type constantString string

// placeholder stands for the tenant's quoted schema in the text of a statement.
const placeholder = "{tenant}."

// Stmt is the constant text of one SQL statement, the same for every tenant.
type Stmt struct {
	text  string
	parts []string              // the text between the placeholders
	shape atomic.Pointer[shape] // as last described by a server; nil until then
}

// SQL makes a statement of a constant text, in which "{tenant}." stands for the quoted schema of the tenant:
//
//	var getCase = tenantdb.SQL(`SELECT id, title FROM {tenant}.cases WHERE id = $1`)
//
// Like regexp.MustCompile it is for package variables, and it panics on a text that breaks the rules of vet: one
// SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES or LOCK that touches neither session, transaction, role nor catalogs.
func SQL(text constantString) *Stmt {
	if err := vet(string(text)); err != nil {
		panic("tenantdb.SQL: " + err.Error() + ": " + string(text))
	}
	return newStmt(string(text))
}

func newStmt(text string) *Stmt {
	return &Stmt{text: text, parts: strings.Split(text, placeholder)}
}

// String is the text with its placeholders: free of tenants and values, fit for logs and spans.
func (s *Stmt) String() string { return s.text }

// render is the text for one tenant.
func (s *Stmt) render(n tenant.Name) string {
	if len(s.parts) == 1 {
		return s.text
	}
	return strings.Join(s.parts, pgx.Identifier{n.Schema()}.Sanitize()+".")
}

// shape is what a server said about a statement: the types of its parameters and of its result. It never holds
// anything of a tenant, so that what one tenant's connection learned saves the others a round trip.
type shape struct {
	params  []uint32
	fields  []pgconn.FieldDescription
	formats []int16 // the wire format asked for each field
}

// sameResult says whether a result of the two shapes is read alike.
func (s *shape) sameResult(fields []pgconn.FieldDescription) bool {
	if len(s.fields) != len(fields) {
		return false
	}
	for i := range fields {
		if s.fields[i].DataTypeOID != fields[i].DataTypeOID {
			return false
		}
	}
	return true
}
