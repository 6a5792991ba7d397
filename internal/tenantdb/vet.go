package tenantdb

import (
	"errors"
	"fmt"
	"strings"
)

// verbs are the first words a statement may have. What is absent here changes the session, the transaction, the role
// or the schema (SET, RESET, BEGIN, COMMIT, DISCARD, DO, CALL, COPY, LISTEN, PREPARE, GRANT, CREATE and the like).
var verbs = map[string]bool{
	"select": true, "with": true, "insert": true, "update": true, "delete": true, "merge": true, "values": true, "lock": true,
}

// functions are those that a statement may call, beside those of the tenant's own schema. All others are refused: among
// PostgreSQL's own are some that run their argument as SQL (ts_rewrite, query_to_xml), which could change the role, and some
// that leave what belongs to no schema (lo_create).
var functions = map[string]bool{
	"coalesce": true, "count": true, "gen_random_uuid": true, "generate_series": true, "greatest": true, "hashtextextended": true, "max": true,
	"min": true, "now": true, "nullif": true, "sum": true, "unnest": true,

	"pg_advisory_xact_lock": true, "pg_try_advisory_xact_lock": true, "pg_notify": true, "pg_sleep": true,
	"pg_column_size": true, "pg_typeof": true, "pg_current_xact_id": true, "pg_snapshot_xmin": true, "pg_current_snapshot": true,
	"pg_backend_pid": true,
}

// beforeParenthesis are the keywords that may stand before one without being a call.
var beforeParenthesis = map[string]bool{
	"all": true, "and": true, "any": true, "array": true, "as": true, "conflict": true, "exists": true, "filter": true,
	"from": true, "in": true, "materialized": true, "not": true, "on": true, "or": true, "over": true, "select": true, "then": true,
	"using": true, "values": true, "when": true, "where": true,
}

// forbidden are names that change the role or list what is in the database. Of those that begin with "pg_", the catalogs
// among them, only functions above are not.
var forbidden = map[string]bool{"set_config": true, "information_schema": true}

// vet checks the constant text of a statement when the program starts. It is the first of two locks, and the smaller:
// the other is PostgreSQL's, which runs the statement as the tenant's role.
func vet(text string) error {
	words, err := scanWords(text)
	if err != nil {
		return err
	}
	if len(words) == 0 || !verbs[words[0].text] {
		return errors.New("must begin with SELECT, WITH, INSERT, UPDATE, DELETE, MERGE, VALUES or LOCK")
	}
	for _, w := range words {
		switch {
		case forbidden[w.text] || strings.HasPrefix(w.text, "pg_") && !functions[w.text]:
			return fmt.Errorf("must not use %q", w.text)
		case w.called && !w.callable():
			return fmt.Errorf("must not call %q, which is not among the functions that tenantdb knows", w.text)
		}
	}
	return nil
}

// word is an identifier or keyword, in lower case.
type word struct {
	text   string
	called bool // a parenthesis follows
	own    bool // it is qualified by the tenant's schema
}

// callable says whether a parenthesis may follow. One letter is the alias of a list of columns: nothing to call has so
// short a name.
func (w word) callable() bool {
	return w.own || functions[w.text] || beforeParenthesis[w.text] || len(w.text) == 1
}

// scanWords lists the identifiers and keywords of text, quoted ones included, leaving out comments and string constants.
// It refuses what could end the statement or hide a word: a semicolon, dollar quoting, an unclosed quote or comment, and
// escapes in identifiers (U&"…") and strings (E'…').
func scanWords(text string) ([]word, error) {
	var words []word
	adjacent := false // nothing but space and comments has come since the last word
	for i := 0; i < len(text); {
		found, end, err := scanToken(text, i)
		if err != nil {
			return nil, err
		}
		switch {
		case found != "":
			words = append(words, word{text: strings.ToLower(found), own: strings.HasSuffix(text[:i], placeholder)})
			adjacent = true
		case text[i] == '(' && adjacent:
			words[len(words)-1].called = true
			adjacent = false
		case !isSpace(text[i]) && !isComment(text[i:]):
			adjacent = false
		}
		i = end
	}
	return words, nil
}

func isSpace(c byte) bool { return strings.IndexByte(" \t\n\r\f\v", c) >= 0 }

func isComment(rest string) bool {
	return strings.HasPrefix(rest, "--") || strings.HasPrefix(rest, "/*")
}

// scanToken reads what begins at start: a word, or something without one. end is where the next token begins.
func scanToken(text string, start int) (found string, end int, err error) {
	rest := text[start:]
	switch c := rest[0]; {
	case strings.HasPrefix(rest, "--"):
		length := strings.IndexByte(rest, '\n')
		if length < 0 {
			length = len(rest)
		}
		return "", start + length, nil
	case strings.HasPrefix(rest, "/*"):
		length := strings.Index(rest[2:], "*/")
		if length < 0 || strings.Contains(rest[2:2+length], "/*") {
			return "", 0, errors.New("has an unclosed or nested comment")
		}
		return "", start + length + 4, nil
	case c == '\'':
		end, err = closingQuote(text, start)
		return "", end + 1, err
	case c == '"':
		if end, err = closingQuote(text, start); err != nil {
			return "", 0, err
		}
		return text[start+1 : end], end + 1, nil
	case c == '{':
		if !strings.HasPrefix(rest, placeholder) {
			return "", 0, fmt.Errorf("has a brace that does not begin %q", placeholder)
		}
		return "", start + len(placeholder), nil
	case c == ';':
		return "", 0, errors.New("must be one statement, without a semicolon")
	case c == '$' && (len(rest) == 1 || rest[1] < '0' || rest[1] > '9'):
		return "", 0, errors.New("must not use dollar quoting")
	case isWordStart(c):
		return scanWord(text, start)
	}
	return "", start + 1, nil
}

func scanWord(text string, start int) (found string, end int, err error) {
	end = start + 1
	for end < len(text) && isWordPart(text[end]) {
		end++
	}
	found = text[start:end]
	if end < len(text) && (text[end] == '\'' && strings.EqualFold(found, "e") || text[end] == '&' && strings.EqualFold(found, "u")) {
		return "", 0, errors.New("must not use escape strings or escaped identifiers")
	}
	return found, end, nil
}

// closingQuote is the index of the quote that closes the one at start; doubled quotes are part of the content.
func closingQuote(text string, start int) (int, error) {
	for i := start + 1; i < len(text); i++ {
		if text[i] != text[start] {
			continue
		}
		if i+1 < len(text) && text[i+1] == text[start] {
			i++
			continue
		}
		return i, nil
	}
	return 0, errors.New("has an unclosed quote")
}

func isWordStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func isWordPart(c byte) bool {
	return isWordStart(c) || c >= '0' && c <= '9' || c == '$'
}
