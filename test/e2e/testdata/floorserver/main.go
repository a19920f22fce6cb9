// Command floorserver is the least that can do what the function does on its first
// event: the server of the Functions Framework, a Kubernetes client and an HTTP
// client, which make the same calls with bodies that are constants but for their
// names. It reads, checks, maps, decides, logs and counts nothing. A cold
// start of the function takes what this one takes, and the function's own work.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

func main() { log.Fatal(serve()) }

func serve() error {
	host, port, err := net.SplitHostPort(os.Getenv("LISTEN_ADDRESS"))
	if err != nil {
		return err
	}
	client, err := connect(os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	answer := func(w http.ResponseWriter, r *http.Request) {
		if err := settle(r, client, os.Getenv("REMEDIATION_NAMESPACE"), os.Getenv("AUDIT_SINK")); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			log.Print(err)
		}
	}
	if err := funcframework.RegisterHTTPFunctionContext(context.Background(), "/", answer); err != nil {
		return err
	}
	return funcframework.StartHostPort(host, port)
}

// connect makes a client of the RemediationRequest's API.
func connect(kubeconfig string) (rest.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	known := runtime.NewScheme()
	metav1.AddToGroupVersion(known, schema.GroupVersion{Version: "v1"})
	config.QPS = -1 // Like the function: nothing waits here.
	config.APIPath = "/apis"
	config.GroupVersion = &schema.GroupVersion{Group: "kubernaut.ai", Version: "v1alpha1"}
	config.NegotiatedSerializer = serializer.NewCodecFactory(known).WithoutConversion()
	config.AcceptContentTypes, config.ContentType = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	return rest.RESTClientFor(config)
}

// settle makes the calls of one new alert. The event's id makes it new.
func settle(r *http.Request, client rest.Interface, namespace, sink string) error {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return err
	}
	id := r.Header.Get("Ce-Id")
	fingerprint := fmt.Sprintf("%064s", id)
	filled := strings.NewReplacer("FINGERPRINT", fingerprint, "NAMESPACE", namespace, "NAME", "rr-"+id, "TIME", time.Now().UTC().Format(time.RFC3339))
	for _, call := range []*rest.Request{
		client.Get().Param("fieldSelector", "spec.signalFingerprint="+fingerprint),
		client.Post().Body([]byte(filled.Replace(request))),
		client.Get().Param("fieldSelector", "spec.signalFingerprint="+fingerprint),
	} {
		if _, err := call.Namespace(namespace).Resource("remediationrequests").DoRaw(r.Context()); err != nil {
			return err
		}
	}
	for _, event := range []string{received, created} {
		if err := post(r.Context(), sink, id, []byte(filled.Replace(event))); err != nil {
			return err
		}
	}
	return nil
}

// post posts an audit event with the headers that tell it from others.
func post(ctx context.Context, to, id string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Ce-Source", "floor")
	req.Header.Set("Ce-Id", fmt.Sprintf("%s-%x", id, sha256.Sum256(body)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("DataStorage: %s %s", resp.Status, answer)
	}
	return err
}

// The bodies are as long, and have as many fields, as those that the function sends
// for the benchmark's alert.
const (
	request = `{"apiVersion":"kubernaut.ai/v1alpha1","kind":"RemediationRequest","metadata":{"name":"NAME","namespace":"NAMESPACE",
"annotations":{"onefire/event":"18d7d1e601f4178e"},
"labels":{"app.kubernetes.io/component":"remediation","app.kubernetes.io/managed-by":"onefire","onefire/fingerprint":"20ac9e1330c3"}},
"spec":{"firingTime":"2026-01-17T11:00:00Z","receivedTime":"TIME","severity":"unknown","signalFingerprint":"FINGERPRINT","signalName":"Cold",
"signalAnnotations":{"summary":"It burns."},"signalLabels":{"alertname":"Cold","pod":"api-0"},"signalSource":"prometheus",
"signalType":"alert","targetResource":{"apiVersion":"v1","kind":"Pod","name":"api-0"},"targetType":"kubernetes",
"originalPayload":"{\"annotations\":{\"summary\":\"It burns.\"},\"endsAt\":\"2026-01-17T11:30:00Z\",\"labels\":{\"alertname\":\"Cold\",\"pod\":\"api-0\"},\"startsAt\":\"2026-01-17T11:00:00Z\",\"status\":\"firing\"}"}}`

	received = `{"event_type":"gateway.signal.received","event_action":"received","actor_id":"prometheus","actor_type":"external",
"resource_id":"FINGERPRINT","resource_type":"Signal",` + both + `"event_data":{"event_type":"gateway.signal.received",` + data
	created = `{"event_type":"gateway.crd.created","event_action":"created","actor_id":"crd-creator","actor_type":"gateway",
"resource_id":"NAMESPACE/NAME","resource_type":"RemediationRequest",` + both + `"event_data":{"event_type":"gateway.crd.created",` + data
	both = `"version":"1.0","event_timestamp":"TIME","event_category":"gateway","event_outcome":"success","correlation_id":"NAME",
"namespace":"NAMESPACE","severity":"unknown",`
	data = `"signal_name":"Cold","deduplication_status":"new","fingerprint":"FINGERPRINT","namespace":"NAMESPACE","occurrence_count":1,
"original_payload":{"annotations":{"summary":"It burns."},"endsAt":"2026-01-17T11:30:00Z","labels":{"alertname":"Cold","pod":"api-0"},"startsAt":"2026-01-17T11:00:00Z","status":"firing"},
"remediation_request":"NAMESPACE/NAME","resource_kind":"Pod","resource_name":"api-0","severity":"unknown",
"signal_annotations":{"summary":"It burns."},"signal_labels":{"alertname":"Cold","pod":"api-0"},"signal_type":"alert"}}`
)
