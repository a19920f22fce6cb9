package datastorage

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"onefire/mapping"
)

const (
	// maxBody is the real server's default limit of a request, single or batch.
	maxBody = 5 << 20
	// maxBatch is how many events a batch may have.
	maxBatch = 500
)

//go:embed openapi-2026-01.yaml
var openapi202601 []byte

//go:embed openapi-2026-08.yaml
var openapi202608 []byte

// contract checks requests against an OpenAPI document.
type contract struct {
	schema mapping.Schema
	routes routers.Router
}

func newContract(schema mapping.Schema) (*contract, error) {
	document, ok := map[mapping.Schema][]byte{mapping.Schema202601: openapi202601, mapping.Schema202608: openapi202608}[schema]
	if !ok {
		return nil, errNoSchema(schema)
	}
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("reading the OpenAPI document: %w", err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("the OpenAPI document is not valid: %w", err)
	}
	routes, err := legacy.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("routing by the OpenAPI document: %w", err)
	}
	return &contract{schema, routes}, nil
}

// request says what in a request is outside the contract. A field or parameter that
// the contract does not name passes.
func (c *contract) request(r *http.Request) error {
	route, params, err := c.routes.FindRoute(r)
	if err != nil {
		return nil //nolint:nilerr // The router proper answers 404 and 405.
	}
	if err := openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route, Options: &openapi3filter.Options{MultiError: true},
	}); err != nil {
		return fmt.Errorf("outside the contract: %w", err)
	}
	return nil
}
