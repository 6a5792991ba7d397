package issuer

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/go-jose/go-jose/v4"
)

// discovery is what OpenID Connect Discovery 1.0 requires of an issuer without endpoints for logging in.
type discovery struct {
	Issuer       string   `json:"issuer"`
	JWKSURI      string   `json:"jwks_uri"`
	ResponseType []string `json:"response_types_supported"`
	SubjectTypes []string `json:"subject_types_supported"`
	Algorithms   []string `json:"id_token_signing_alg_values_supported"`
}

// Pages are the discovery document (OpenID Connect Discovery 1.0) and the key set (RFC 7517) by their paths, below Path.
func (i *Issuer) Pages() (map[string]http.Handler, error) {
	pages := map[string]http.Handler{}
	for path, document := range map[string]any{
		Path + "/keys": jose.JSONWebKeySet{Keys: i.public()},
		Path + "/.well-known/openid-configuration": discovery{
			Issuer:       i.url,
			JWKSURI:      i.url + "/keys",
			ResponseType: []string{"id_token"},
			SubjectTypes: []string{"public"},
			Algorithms:   []string{string(jose.ES256)},
		},
	} {
		text, err := json.Marshal(document)
		if err != nil {
			return nil, fmt.Errorf("the issuer's document %s: %w", path, err)
		}
		pages[path] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "public, max-age=60")
			_, _ = w.Write(text) // fails only when the client is gone
		})
	}
	return pages, nil
}
