//go:build kube

package admission

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// hook serves an admission webhook that denies everything, with the code that its
// path names. It returns its address and its certificate.
func hook(t *testing.T) (url, ca string) {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Request struct {
				UID string `json:"uid"`
			} `json:"request"`
		}
		if r.URL.Path == "/broken" || json.NewDecoder(r.Body).Decode(&review) != nil {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		status := map[string]any{"message": "change freeze"}
		if code, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/")); err == nil {
			status["code"] = code
			status["reason"] = map[int]string{400: "BadRequest", 403: "Forbidden", 413: "RequestEntityTooLarge", 422: "Invalid"}[code]
			// It may look as much like the schema's as a webhook can make it.
			status["details"] = map[string]any{"group": "kubernaut.ai", "kind": "RemediationRequest", "name": "x", "causes": []any{
				map[string]any{"reason": "FieldValueInvalid", "message": "Invalid value", "field": "spec.severity"},
			}}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
			"response": map[string]any{"uid": review.Request.UID, "allowed": false, "status": status},
		})
	}))
	t.Cleanup(s.Close)
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return s.URL, base64.StdEncoding.EncodeToString(block)
}
