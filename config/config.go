// Package config turns the environment into one validated struct. Nothing else
// in Onefire reads the environment.
package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"k8s.io/apimachinery/pkg/util/validation"

	"onefire/mapping"
)

// minEventAge is the shortest MAX_EVENT_AGE but none. It is more than the source, which
// gives an event the same time for half an hour, and the Broker, which tries for a
// quarter of an hour, take together to deliver an alert that fires now.
const minEventAge = time.Hour

// Config is the whole configuration. The tag env names the variable.
type Config struct {
	Port          string `env:"PORT" envDefault:"8080"`
	ListenAddress string `env:"LISTEN_ADDRESS"`
	// MetricsAddress is where Prometheus may scrape /metrics; empty for none.
	MetricsAddress string `env:"METRICS_ADDRESS"`

	Kubeconfig   string `env:"KUBECONFIG"`
	PodNamespace string `env:"POD_NAMESPACE"`

	Placement      mapping.Placement       `env:"REMEDIATION_PLACEMENT" envDefault:"fixed"`
	Namespace      string                  `env:"REMEDIATION_NAMESPACE"`
	Fingerprint    mapping.FingerprintMode `env:"FINGERPRINT" envDefault:"alert"`
	Target         Target                  `env:"TARGET" envDefault:"labels"`
	TargetRules    mapping.TargetRules     `env:"TARGETS"`
	TargetLabels   mapping.TargetLabels    `env:"TARGET_LABELS"`
	IdentityIgnore []string                `env:"IDENTITY_IGNORE_LABELS"`
	ClusterLabel   string                  `env:"CLUSTER_LABEL" envDefault:"cluster"`
	ClusterName    string                  `env:"CLUSTER_NAME"`
	Severity       mapping.SeverityMode    `env:"SEVERITY" envDefault:"map"`
	Severities     mapping.SeverityMap     `env:"SEVERITY_MAP"`
	Scope          Selector                `env:"SCOPE"`
	HistoryLimit   int                     `env:"HISTORY_LIMIT" envDefault:"10"`
	// MaxEventAge is how old an event may be and still make something new; 0 for any age.
	MaxEventAge time.Duration `env:"MAX_EVENT_AGE" envDefault:"6h"`
	// Brake is the ConfigMap, beside the function, that pauses the making of objects while
	// it exists, or [NoBrake].
	Brake            string           `env:"BRAKE" envDefault:"onefire-brake"`
	IgnoreAlerts     []string         `env:"IGNORE_ALERTS" envDefault:"Watchdog,InfoInhibitor,TestAlert"`
	IgnoreSeverities []string         `env:"IGNORE_SEVERITIES" envDefault:"none"`
	Matchers         mapping.Matchers `env:"MATCHERS"`

	// AuditSink is the URL that audit events are posted to, or [NoAudit].
	AuditSink      string         `env:"AUDIT_SINK"`
	Sink           string         `env:"K_SINK"`
	AuditSchema    mapping.Schema `env:"AUDIT_SCHEMA" envDefault:"2026-08"`
	AuditMode      AuditMode      `env:"AUDIT_MODE" envDefault:"required"`
	AuditTokenFile string         `env:"AUDIT_TOKEN_FILE"`
	AuditCAFile    string         `env:"AUDIT_CA_FILE"`
	// CACerts are certificates in PEM, as Knative's SinkBinding gives them.
	CACerts string `env:"K_CA_CERTS"`
	// Overrides are what Knative's SinkBinding wants on every event.
	Overrides Overrides `env:"K_CE_OVERRIDES"`

	// KubernetesEvents says whether Events are written on the objects that
	// something happens to. Service is the function's own Knative Service, on
	// which are those that have no other.
	KubernetesEvents Switch `env:"KUBERNETES_EVENTS" envDefault:"on"`
	Service          string `env:"K_SERVICE"`

	// OIDCAudience is whom a sender's token must be made out to; empty: senders
	// need none. OIDCSubjects are the users that may send; empty: all of them.
	OIDCAudience string   `env:"OIDC_AUDIENCE"`
	OIDCSubjects []string `env:"OIDC_SUBJECTS"`

	// MemoryLimit is what Go's own runtime was told; here it matters only
	// whether it is set.
	MemoryLimit string `env:"GOMEMLIMIT"`

	Reply    Reply      `env:"REPLY" envDefault:"none"`
	LogLevel slog.Level `env:"LOG_LEVEL" envDefault:"info"`

	OTel
}

// Overrides is the value of K_CE_OVERRIDES.
type Overrides struct {
	Extensions map[string]string `json:"extensions"`
}

// Environment is this process's environment.
func Environment() map[string]string { return env.ToMap(os.Environ()) }

// Load reads the configuration from an environment. Its error names every
// variable that is wrong.
func Load(environment map[string]string) (Config, error) {
	var c Config
	problems := parse(environment, &c)
	c.empty(environment)
	c.complete()
	if err := summed(append(problems, c.validate()...)); err != nil {
		return Config{}, err
	}
	return c, nil
}

// parse fills a struct whose tags env name variables, and says what in them has
// no meaning at all.
func parse[T any](environment map[string]string, c *T) []string {
	without := maps.Clone(environment)
	for _, name := range unused(environment) {
		delete(without, name)
	}
	return parseProblems(env.ParseWithOptions(c, env.Options{
		// An empty variable counts as one that is not set: manifests often
		// have both.
		Environment: without,
		FuncMap: map[reflect.Type]env.ParserFunc{
			reflect.TypeFor[mapping.SeverityMap]():  func(s string) (any, error) { return mapping.ParseSeverityMap(s) },
			reflect.TypeFor[mapping.Matchers]():     func(s string) (any, error) { return mapping.ParseMatchers(s) },
			reflect.TypeFor[mapping.TargetRules]():  func(s string) (any, error) { return mapping.ParseTargetRules(s) },
			reflect.TypeFor[mapping.TargetLabels](): func(s string) (any, error) { return mapping.ParseTargetLabels(s) },
			reflect.TypeFor[Selector]():             parseSelector,
			reflect.TypeFor[Overrides]():            parseOverrides,
			reflect.TypeFor[Milliseconds]():         parseMilliseconds,
			reflect.TypeFor[Headers]():              parseHeaders,
			reflect.TypeFor[Attributes]():           parseAttributes,
		},
	}), reflect.TypeFor[T]())
}

// summed is one error for all problems; nil for none.
func summed(problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	slices.Sort(problems)
	return fmt.Errorf("wrong configuration: %s", strings.Join(problems, "; "))
}

func parseOverrides(s string) (any, error) {
	var o Overrides
	if err := json.Unmarshal([]byte(s), &o); err != nil {
		return nil, fmt.Errorf("not JSON of the form {\"extensions\":{\"name\":\"value\"}}: %w", err)
	}
	return o, nil
}

// parseProblems names the variable, not the struct's field, for each value that
// has no meaning at all.
func parseProblems(err error, of reflect.Type) []string {
	if err == nil {
		return nil
	}
	var all env.AggregateError
	if !errors.As(err, &all) {
		return []string{err.Error()}
	}
	var problems []string
	for _, one := range all.Errors {
		var parse env.ParseError
		if errors.As(one, &parse) {
			field, _ := of.FieldByName(parse.Name)
			problems = append(problems, fmt.Sprintf("%s: %v", field.Tag.Get("env"), parse.Err))
			continue
		}
		problems = append(problems, one.Error())
	}
	return problems
}

// empty takes the defaults of those variables away whose empty value has a
// meaning of its own.
func (c *Config) empty(environment map[string]string) {
	if v, set := environment["IGNORE_ALERTS"]; set && v == "" {
		c.IgnoreAlerts = nil
	}
	if v, set := environment["IGNORE_SEVERITIES"]; set && v == "" {
		c.IgnoreSeverities = nil
	}
	if v, set := environment["CLUSTER_LABEL"]; set && v == "" {
		c.ClusterLabel = ""
	}
}

// complete fills in what follows from other values.
func (c *Config) complete() {
	if c.ListenAddress == "" {
		c.ListenAddress = ":" + c.Port
	}
	for _, namespace := range []string{c.PodNamespace, "default"} {
		if c.Namespace == "" {
			c.Namespace = namespace
		}
	}
	if c.AuditSink == "" {
		c.AuditSink = c.Sink
	}
	c.OTel.complete()
	c.OIDCSubjects = trimmed(c.OIDCSubjects)
	c.IgnoreAlerts = trimmed(c.IgnoreAlerts)
	c.IdentityIgnore = trimmed(c.IdentityIgnore)
	c.IgnoreSeverities = trimmed(c.IgnoreSeverities)
	for i, s := range c.IgnoreSeverities {
		c.IgnoreSeverities[i] = strings.ToLower(s)
	}
}

// trimmed trims a list's entries and drops the empty ones.
func trimmed(list []string) []string {
	var out []string
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (c *Config) validate() []string {
	var problems []string
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	hostPort(wrong, source("LISTEN_ADDRESS", "PORT", ":"+c.Port == c.ListenAddress), c.ListenAddress)
	hostPort(wrong, "METRICS_ADDRESS", c.MetricsAddress)
	oneOf(wrong, "REMEDIATION_PLACEMENT", c.Placement, mapping.PlacementFixed, mapping.PlacementSignal)
	oneOf(wrong, "FINGERPRINT", c.Fingerprint, mapping.ByAlert, mapping.ByResource)
	oneOf(wrong, "TARGET", c.Target, TargetLabels, TargetOwner)
	oneOf(wrong, "SEVERITY", c.Severity, mapping.SeverityMapped, mapping.SeverityRaw)
	if c.Severity == mapping.SeverityRaw {
		c.rawSeverity(wrong)
	}
	oneOf(wrong, "AUDIT_SCHEMA", c.AuditSchema, mapping.Schema202601, mapping.Schema202608)
	oneOf(wrong, "AUDIT_MODE", c.AuditMode, AuditRequired, AuditBestEffort)
	oneOf(wrong, "KUBERNETES_EVENTS", c.KubernetesEvents, On, Off)
	oneOf(wrong, "REPLY", c.Reply, ReplyNone, ReplySummary)
	if c.HistoryLimit < 0 {
		wrong("HISTORY_LIMIT: %d is negative (0 keeps all)", c.HistoryLimit)
	}
	if c.MaxEventAge != 0 && (c.MaxEventAge < minEventAge || c.MaxEventAge > maxTTL) {
		wrong("MAX_EVENT_AGE: %s is not between %s and %s, and not 0, which sets no limit", c.MaxEventAge, minEventAge, maxTTL)
	}
	if len(validation.IsDNS1123Subdomain(c.Brake)) > 0 {
		wrong("BRAKE: %q is no name of a ConfigMap, and not %s, which is none", c.Brake, NoBrake)
	}
	if len(validation.IsDNS1123Label(c.Namespace)) > 0 {
		wrong("%s: %q is not a namespace name", source("REMEDIATION_NAMESPACE", "POD_NAMESPACE", c.Namespace == c.PodNamespace), c.Namespace)
	}
	if c.AuditSink == "" {
		wrong("AUDIT_SINK: required (or K_SINK): the URL that audit events are posted to, or %s for no audit", NoAudit)
	}
	if c.AuditSink != NoAudit {
		httpURL(wrong, source("AUDIT_SINK", "K_SINK", c.AuditSink == c.Sink), c.AuditSink)
	}
	for _, path := range filepath.SplitList(c.Kubeconfig) {
		if _, err := os.Stat(path); err != nil {
			wrong("KUBECONFIG: %v", err)
		}
	}
	readableFile(wrong, "AUDIT_TOKEN_FILE", c.AuditTokenFile)
	readableFile(wrong, "AUDIT_CA_FILE", c.AuditCAFile)
	if len(c.OIDCSubjects) > 0 && c.OIDCAudience == "" {
		wrong("OIDC_SUBJECTS: needs OIDC_AUDIENCE: without it the function asks for no token")
	}
	c.Overrides.validate(wrong, "an audit event", taken)
	c.OTel.validate(wrong)
	return problems
}

// rawSeverity says what does not go with severities that stay as they came.
func (c *Config) rawSeverity(wrong func(string, ...any)) {
	if len(c.Severities) > 0 {
		wrong("SEVERITY_MAP: %q has no effect with SEVERITY=raw, which maps nothing: remove one of the two", c.Severities)
	}
	if c.AuditSchema == mapping.Schema202601 {
		wrong("SEVERITY: %q needs AUDIT_SCHEMA=%s: %s accepts critical, high, medium, low and unknown only", c.Severity, mapping.Schema202608, c.AuditSchema)
	}
}

// hostPort, httpURL and readableFile say what is wrong with a variable that is
// set.
func hostPort(wrong func(string, ...any), name, address string) {
	_, port, _ := net.SplitHostPort(address) // Of what is not host:port the port is empty.
	if _, err := strconv.ParseUint(port, 10, 16); address != "" && err != nil {
		wrong("%s: %q is not host:port with a port up to 65535", name, address)
	}
}

func readableFile(wrong func(string, ...any), name, path string) {
	if path == "" {
		return
	}
	if _, err := os.ReadFile(path); err != nil {
		wrong("%s: %v", name, err)
	}
}

// validate says what no event can be given; what has the attributes taken.
func (o Overrides) validate(wrong func(string, ...any), what string, taken []string) {
	for name := range o.Extensions {
		switch {
		case !extensionName(name):
			wrong("K_CE_OVERRIDES: %q is not a CloudEvents extension name: use lower-case letters and digits", name)
		case slices.Contains(taken, name):
			wrong("K_CE_OVERRIDES: %q is an attribute that %s has already", name, what)
		}
	}
}

// source is the variable that a value came from: second where it is that one's.
func source(first, second string, isSecond bool) string {
	if isSecond {
		return second
	}
	return first
}

// attributes are those of CloudEvents, and taken also the extensions that an
// audit event has of its own.
var (
	attributes = []string{"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data"}
	taken      = append([]string{"causationid", "partitionkey", "traceparent"}, attributes...)
)

// extensionName is the rule of the CloudEvents specification.
func extensionName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

func oneOf[T ~string](wrong func(string, ...any), name string, value T, allowed ...T) {
	if !slices.Contains(allowed, value) {
		wrong("%s: %q is not one of %q", name, value, allowed)
	}
}
