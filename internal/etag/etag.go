// Package etag makes the entity tags of resources and checks If-Match against them (RFC 9110, sections 8.8.3 and
// 13.1.1). A tag is strong and stands for one revision of one resource.
package etag

import (
	"context"
	"strconv"
	"strings"

	"google.golang.org/grpc/metadata"

	"circle15.dev/internal/apierr"
)

// IfMatch is the gRPC metadata key of the precondition; the gateway fills it from the If-Match header.
const IfMatch = "if-match"

// Of is the tag of a resource's revision, with its quotes.
func Of(revision int32) string {
	return `"` + strconv.FormatInt(int64(revision), 10) + `"`
}

// Match compares the preconditions of a write with the current revision: If-Match of the request's metadata and the
// etag field of its body, each only where present; field is the JSON path of that one in the request. Errors: StaleETag
// when one names another revision, Invalid when one is malformed.
func Match(ctx context.Context, field, bodyETag string, revision int32) error {
	current := Of(revision)
	if bodyETag != "" {
		if err := check(field, bodyETag, current); err != nil {
			return err
		}
	}
	values := metadata.ValueFromIncomingContext(ctx, IfMatch)
	if len(values) == 0 {
		return nil
	}
	return check("If-Match", strings.Join(values, ","), current)
}

func check(field, condition, current string) error {
	matched, ok := Contains(condition, current, false)
	switch {
	case !ok:
		return apierr.InvalidField(field, `must be "*" or a list of quoted entity tags, as in "7"`)
	case !matched:
		return apierr.New(apierr.StaleETag, "the resource is now at etag %s; read it again", current).
			With(field, "names another revision")
	default:
		return nil
	}
}

// Contains says whether the value of an If-Match or If-None-Match header, "*" or a list of tags, names the tag. With
// weak, a weak tag equals the strong one of the same text (the comparison of If-None-Match); without, it equals none
// (that of If-Match). ok is false for a malformed value.
func Contains(header, tag string, weak bool) (matched, ok bool) {
	rest := trim(header)
	if rest == "*" {
		return true, true
	}
	tags := 0
	for rest != "" {
		if rest[0] == ',' { // RFC 9110, 5.6.1.2: recipients accept empty list elements
			rest = trim(rest[1:])
			continue
		}
		isWeak := strings.HasPrefix(rest, "W/")
		if isWeak {
			rest = rest[2:]
		}
		end := tagEnd(rest)
		if end == 0 {
			return false, false
		}
		matched = matched || rest[:end] == tag && (weak || !isWeak)
		tags++
		rest = trim(rest[end:])
		if rest != "" && rest[0] != ',' {
			return false, false
		}
	}
	return matched, tags > 0
}

// tagEnd is the length of the quoted tag at the start of s, or 0 when there is none.
func tagEnd(s string) int {
	if s == "" || s[0] != '"' {
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i + 1
		case c < 0x21 || c == 0x7f: // etagc: %x21 / %x23-7E / obs-text
			return 0
		}
	}
	return 0
}

func trim(s string) string { return strings.Trim(s, " \t") }
