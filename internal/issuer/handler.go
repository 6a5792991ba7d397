package issuer

import (
	"encoding/json"
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

// Handler serves the discovery document (OpenID Connect Discovery 1.0) and the key set (RFC 7517) below Path.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path+"/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		document, err := json.Marshal(discovery{
			Issuer:       i.url,
			JWKSURI:      i.url + "/keys",
			ResponseType: []string{"id_token"},
			SubjectTypes: []string{"public"},
			Algorithms:   []string{string(jose.ES256)},
		})
		answer(w, document, err)
	})
	mux.HandleFunc("GET "+Path+"/keys", func(w http.ResponseWriter, r *http.Request) {
		keys, _ := i.Keys(r.Context(), "") // held in memory: never fails
		document, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
		answer(w, document, err)
	})
	return mux
}

func answer(w http.ResponseWriter, document []byte, err error) {
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=60")
	_, _ = w.Write(document) // fails only when the client is gone
}
