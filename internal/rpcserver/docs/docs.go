// Package docs is the readable page of the REST API: Redoc (redoc/README.md), embedded, over /openapi.yaml. The page
// works offline; its content security policy lets it reach this server and nothing else.
package docs

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"net/http"
	"strings"
	"sync"
)

//go:embed page.html
var page []byte

//go:embed init.js
var initScript []byte

//go:embed redoc/redoc.standalone.js
var redoc []byte

// policy: Redoc styles by inline style elements and searches in a worker that it makes of a blob; all else is this
// server's own.
const policy = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; " +
	"img-src 'self' data:; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Pages are the handlers of the page and its parts, by path.
func Pages() map[string]http.Handler {
	return map[string]http.Handler{
		"/docs":          newFile("text/html; charset=utf-8", page),
		"/docs/init.js":  newFile("text/javascript; charset=utf-8", initScript),
		"/docs/redoc.js": newFile("text/javascript; charset=utf-8", redoc),
	}
}

// file is a file of the page, also compressed.
type file struct {
	mediaType  string
	content    []byte
	compressed func() []byte
}

func newFile(mediaType string, content []byte) file {
	return file{mediaType, content, sync.OnceValue(func() []byte { return compress(content) })}
}

func compress(content []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(content) // a bytes.Buffer takes all
	_ = w.Close()
	return out.Bytes()
}

// ServeHTTP implements http.Handler.
func (f file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", f.mediaType)
	header.Set("Content-Security-Policy", policy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-cache")
	header.Set("Vary", "Accept-Encoding")
	content := f.content
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		header.Set("Content-Encoding", "gzip")
		content = f.compressed()
	}
	_, _ = w.Write(content) // the client may be gone
}
