package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"circle15.dev/internal/apierr"
)

// promises are the kinds of errors that the comments of the contract name, by RPC.
type promises map[string][]string

// kindsOfSome are the kinds that some RPCs return and others do not. The rest come from before the RPC (its token, its
// tenant, its size) and are not repeated in every comment.
var kindsOfSome = []apierr.Kind{
	apierr.Invalid, apierr.NotFound, apierr.AlreadyExists, apierr.Conflict, apierr.StaleETag, apierr.QuotaExceeded,
}

var (
	rpcComment = regexp.MustCompile(`((?:  //[^\n]*\n)+)  rpc (\w+)\(`)
	kindWord   = regexp.MustCompile(`[A-Z]+(?:_[A-Z]+)+|CONFLICT`)
)

func readPromises(t *testing.T) promises {
	t.Helper()
	files, err := filepath.Glob("../../proto/circle15/*/v1/*.proto")
	if err != nil {
		t.Fatal(err)
	}
	found := promises{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		service := strings.TrimSuffix(filepath.Base(file), ".proto")
		for _, rpc := range rpcComment.FindAllStringSubmatch(string(text), -1) {
			_, errors, _ := strings.Cut(rpc[1], "Errors:")
			errors, _, _ = strings.Cut(errors, "Permission:")
			found[service+"."+rpc[2]] = kindWord.FindAllString(errors, -1)
		}
	}
	for _, name := range rpcNames() {
		if _, ok := found[name]; !ok {
			t.Fatalf("%s has no comment", name)
		}
	}
	return found
}

// keep checks that an RPC which failed with the kind has named it.
func (p promises) keep(t *testing.T, rpc, what, kind string) {
	t.Helper()
	if !slices.Contains(kindsOfSome, apierr.Kind(kind)) || slices.Contains(p[rpc], kind) {
		return
	}
	t.Errorf("%s: is answered %s, which the comment of %s does not name", what, kind, rpc)
}
