package config

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// Split says how many events a webhook becomes.
type Split string

// The ways to split.
const (
	// SplitAlert: one event per alert.
	SplitAlert Split = "alert"
	// SplitNotification: the webhook whole, as one event.
	SplitNotification Split = "notification"
)

const (
	// minDuration and maxDuration bound WINDOW and DELIVERY_TIMEOUT. An
	// Alertmanager that groups for less than seconds or more than hours is
	// none that anybody runs.
	minDuration = time.Second
	maxDuration = time.Hour
	// maxEventSource is in bytes: half of what the function takes.
	maxEventSource = 1 << 10
)

// sourceTaken are the attributes that an event of the source has already.
var sourceTaken = append([]string{"alertname", "severity", "namespace", "status", "partitionkey", "traceparent"}, attributes...)

// Source is the whole configuration of onefire-source. The tag env names the
// variable.
type Source struct {
	Port          string `env:"PORT" envDefault:"8080"`
	ListenAddress string `env:"LISTEN_ADDRESS"`
	// MetricsAddress is where Prometheus may scrape /metrics; empty for none.
	MetricsAddress string `env:"METRICS_ADDRESS"`

	// Sink, CACerts and Overrides are what Knative's SinkBinding gives: the URL
	// that events are posted to, certificates in PEM, extensions for all events.
	Sink      string    `env:"K_SINK"`
	CACerts   string    `env:"K_CA_CERTS"`
	Overrides Overrides `env:"K_CE_OVERRIDES"`
	// SinkTokenFile holds a bearer token for the sink, as SinkBinding gives it
	// where OIDC is on; empty for none.
	SinkTokenFile string `env:"SINK_TOKEN_FILE"`

	Split Split `env:"SPLIT" envDefault:"alert"`
	// Window is how long an alert that comes again is the same event.
	Window time.Duration `env:"WINDOW" envDefault:"30s"`
	// EventSource is the events' CloudEvents source; empty for one that has
	// the receiver's name.
	EventSource string `env:"EVENT_SOURCE"`
	// DeliveryTimeout is how long the delivery of one webhook may take.
	DeliveryTimeout time.Duration `env:"DELIVERY_TIMEOUT" envDefault:"5m"`
	// Watchdog is the alertname whose last arrival is a metric.
	Watchdog string `env:"WATCHDOG" envDefault:"Watchdog"`

	// TokenFile and BasicFile hold what Alertmanager must show: a bearer token,
	// or user:password. With both, either will do; with neither, nothing.
	TokenFile string `env:"AUTH_TOKEN_FILE"`
	BasicFile string `env:"AUTH_BASIC_FILE"`
	// CertFile and KeyFile are for HTTPS; both or neither.
	CertFile string `env:"TLS_CERT_FILE"`
	KeyFile  string `env:"TLS_KEY_FILE"`

	// MemoryLimit is what Go's own runtime was told; here it matters only
	// whether it is set.
	MemoryLimit string `env:"GOMEMLIMIT"`

	// PodNamespace is where the process runs, if it is told.
	PodNamespace string `env:"POD_NAMESPACE"`

	LogLevel slog.Level `env:"LOG_LEVEL" envDefault:"info"`

	OTel
}

// LoadSource reads the source's configuration from an environment. Its error
// names every variable that is wrong.
func LoadSource(environment map[string]string) (Source, error) {
	// A value that does not parse leaves these as they are, so it is named once.
	c := Source{Window: minDuration, DeliveryTimeout: minDuration}
	problems := parse(environment, &c)
	if c.ListenAddress == "" {
		c.ListenAddress = ":" + c.Port
	}
	c.complete()
	if err := summed(append(problems, c.validate()...)); err != nil {
		return Source{}, err
	}
	return c, nil
}

func (c *Source) validate() []string {
	var problems []string
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	hostPort(wrong, source("LISTEN_ADDRESS", "PORT", ":"+c.Port == c.ListenAddress), c.ListenAddress)
	hostPort(wrong, "METRICS_ADDRESS", c.MetricsAddress)
	if c.Sink == "" {
		wrong("K_SINK: required: the URL that events are posted to (a SinkBinding sets it)")
	}
	httpURL(wrong, "K_SINK", c.Sink)
	c.Overrides.validate(wrong, "an event of the source", sourceTaken)
	oneOf(wrong, "SPLIT", c.Split, SplitAlert, SplitNotification)
	between(wrong, "WINDOW", c.Window)
	between(wrong, "DELIVERY_TIMEOUT", c.DeliveryTimeout)
	if !reference(c.EventSource) {
		wrong("EVENT_SOURCE: %q is not a URI reference of at most %d printable ASCII characters", c.EventSource, maxEventSource)
	}
	for name, path := range map[string]string{
		"SINK_TOKEN_FILE": c.SinkTokenFile, "AUTH_TOKEN_FILE": c.TokenFile, "AUTH_BASIC_FILE": c.BasicFile, "TLS_CERT_FILE": c.CertFile, "TLS_KEY_FILE": c.KeyFile,
	} {
		readableFile(wrong, name, path)
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		wrong("%s: required with %s", source("TLS_KEY_FILE", "TLS_CERT_FILE", c.CertFile == ""), source("TLS_KEY_FILE", "TLS_CERT_FILE", c.CertFile != ""))
	}
	c.OTel.validate(wrong)
	return problems
}

func between(wrong func(string, ...any), name string, d time.Duration) {
	if d < minDuration || d > maxDuration {
		wrong("%s: %s is not between %s and %s", name, d, minDuration, maxDuration)
	}
}

// reference tells whether a text can be a CloudEvents source as it is.
func reference(s string) bool {
	_, err := url.Parse(s)
	return err == nil && len(s) <= maxEventSource && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}
