package install

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestManifestsAreAdaptedToOneNode(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, adapt(&out, []byte(`# A comment only.
---
kind: Deployment
metadata: {name: a}
spec: {template: {spec: {containers: [{image: ko://knative.dev/eventing/cmd/broker/filter, resources: {requests: {cpu: 1, memory: 1Mi}, limits: {cpu: 2}}}]}}}
---
kind: HorizontalPodAutoscaler
---
kind: ConfigMap
metadata: {name: config-network}
data: {_example: "ko"}
`)))
	require.Equal(t, `---
kind: Deployment
metadata:
  name: a
spec:
  template:
    spec:
      containers:
      - image: dev.local/knative.dev/eventing/cmd/broker/filter:dev
        resources:
          limits: {}
          requests:
            memory: 1Mi
---
data:
  _example: ko
  ingress-class: onefire-test.ingress.networking.knative.dev
kind: ConfigMap
metadata:
  name: config-network
`, out.String())
}
