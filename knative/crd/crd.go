// Package crd holds the RemediationRequest CustomResourceDefinition.
package crd

import _ "embed"

// YAML is the CustomResourceDefinition, one YAML document.
//
//go:embed remediationrequests.yaml
var YAML []byte
