package issuer

import (
	"encoding/json"
	"net/http"

	"github.com/go-jose/go-jose/v4"
)

// Handler serves the discovery document (OpenID Connect Discovery 1.0) and the key set (RFC 7517) below Path.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path+"/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer":                                i.url,
			"jwks_uri":                              i.url + "/keys",
			"response_types_supported":              []string{"id_token"},
			"subject_types_supported":               []string{"public"},
			"id_token_signing_alg_values_supported": []string{string(jose.ES256)},
		})
	})
	mux.HandleFunc("GET "+Path+"/keys", func(w http.ResponseWriter, r *http.Request) {
		keys, _ := i.Keys(r.Context(), "") // held in memory: never fails
		answer(w, jose.JSONWebKeySet{Keys: keys})
	})
	return mux
}

func answer(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=60")
	_ = json.NewEncoder(w).Encode(document) // fails only when the client is gone
}
