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

// systemFunctions are the functions with the prefix "pg_" that a statement may call. The catalogs and all other such
// functions tell of other tenants or outlive the transaction.
var systemFunctions = map[string]bool{
	"pg_advisory_xact_lock": true, "pg_try_advisory_xact_lock": true, "pg_notify": true, "pg_sleep": true,
	"pg_column_size": true, "pg_typeof": true, "pg_current_xact_id": true, "pg_snapshot_xmin": true, "pg_current_snapshot": true,
	"pg_backend_pid": true,
}

// forbidden are names that change the role or the session, run SQL from a string, or list what is in the database.
var forbidden = map[string]bool{
	"set_config": true, "information_schema": true, "dblink": true, "dblink_exec": true, "dblink_connect": true,
	"query_to_xml": true, "query_to_xmlschema": true, "query_to_xml_and_xmlschema": true, "cursor_to_xml": true,
	"table_to_xml": true, "schema_to_xml": true, "database_to_xml": true, "lo_import": true, "lo_export": true,
	"ts_stat": true,
}

// vet checks the constant text of a statement when the program starts. It is the first of two locks, and the smaller:
// the other is PostgreSQL's, which runs the statement as the tenant's role.
func vet(text string) error {
	words, err := scanWords(text)
	if err != nil {
		return err
	}
	if len(words) == 0 || !verbs[words[0]] {
		return errors.New("must begin with SELECT, WITH, INSERT, UPDATE, DELETE, MERGE, VALUES or LOCK")
	}
	for _, w := range words {
		if forbidden[w] || strings.HasPrefix(w, "pg_") && !systemFunctions[w] {
			return fmt.Errorf("must not use %q", w)
		}
	}
	return nil
}

// scanWords lists the identifiers and keywords of text in lower case, quoted ones included, leaving out comments and
// string constants. It refuses what could end the statement or hide a word: a semicolon, dollar quoting, an unclosed
// quote or comment, and escapes in identifiers (U&"…") and strings (E'…').
func scanWords(text string) ([]string, error) {
	var words []string
	for i := 0; i < len(text); {
		word, end, err := scanToken(text, i)
		if err != nil {
			return nil, err
		}
		if word != "" {
			words = append(words, strings.ToLower(word))
		}
		i = end
	}
	return words, nil
}

// scanToken reads what begins at start: a word, or something without one. end is where the next token begins.
func scanToken(text string, start int) (word string, end int, err error) {
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

func scanWord(text string, start int) (word string, end int, err error) {
	end = start + 1
	for end < len(text) && isWordPart(text[end]) {
		end++
	}
	word = text[start:end]
	if end < len(text) && (text[end] == '\'' && strings.EqualFold(word, "e") || text[end] == '&' && strings.EqualFold(word, "u")) {
		return "", 0, errors.New("must not use escape strings or escaped identifiers")
	}
	return word, end, nil
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
