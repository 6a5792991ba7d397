package divisions

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
	"sort"
	"strings"
	"sync"
)

//go:embed divisions.csv.gz
var compressed []byte

// table is the file's text with the position of every row. Rows are sorted by code as strings, so a lookup is a
// binary search and a name is a part of the text: 1.9 MB in all, and nothing is allocated for an answer.
type table struct {
	text  string
	lines []uint32 // where each row begins in text
}

// load decodes the table at its first use. The file is a part of the program: a bad one is a defect, and the tests
// read it whole.
var load = sync.OnceValue(func() *table {
	zip, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		panic("divisions: " + err.Error())
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		panic("divisions: " + err.Error())
	}
	return newTable(string(text))
})

// newTable indexes a CSV text of the columns code, level, name, parent, without quotes, below one header line.
func newTable(text string) *table {
	_, body, _ := strings.Cut(text, "\n")
	t := &table{text: body, lines: make([]uint32, 0, strings.Count(body, "\n"))}
	at := 0
	for line := range strings.Lines(body) {
		t.lines = append(t.lines, uint32(at))
		at += len(line)
	}
	return t
}

func (t *table) row(i int) Division {
	line, _, _ := strings.Cut(t.text[t.lines[i]:], "\n")
	code, rest, _ := strings.Cut(line, ",")
	level, rest, _ := strings.Cut(rest, ",")
	name, parent, _ := strings.Cut(rest, ",")
	return Division{Code: code, Level: Level(level), Name: name, Parent: parent}
}

func (t *table) code(i int) string {
	code, _, _ := strings.Cut(t.text[t.lines[i]:], ",")
	return code
}

// search is the first row whose code is not before the given one.
func (t *table) search(code string) int {
	return sort.Search(len(t.lines), func(i int) bool { return t.code(i) >= code })
}

func (t *table) find(code string) (Division, bool) {
	i := t.search(code)
	if i == len(t.lines) || t.code(i) != code {
		return Division{}, false
	}
	return t.row(i), true
}
