package config

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"onefire/mapping"
)

const (
	// minTTL is the shortest TTL and DEAD_LETTER_TTL but off: events may be delivered
	// again for a quarter of an hour, and dead letters are there for people to see.
	minTTL = time.Hour
	// maxTTL is ten years. A longer one is a slip.
	maxTTL = 10 * 365 * 24 * time.Hour
)

// Prune is the whole configuration of `onefire prune`. The tag env names the
// variable. Where objects are is said by the same variables as for the function
// and the dead-letter store.
type Prune struct {
	Kubeconfig   string `env:"KUBECONFIG"`
	PodNamespace string `env:"POD_NAMESPACE"`

	Placement           mapping.Placement `env:"REMEDIATION_PLACEMENT" envDefault:"fixed"`
	Namespace           string            `env:"REMEDIATION_NAMESPACE"`
	DeadLetterNamespace string            `env:"DEAD_LETTER_NAMESPACE"`

	// TTL is how long an ended RemediationRequest stays, and DeadLetterTTL how long a
	// dead letter does; 0 is for ever.
	TTL           time.Duration `env:"TTL" envDefault:"168h"`
	DeadLetterTTL time.Duration `env:"DEAD_LETTER_TTL" envDefault:"720h"`

	LogLevel slog.Level `env:"LOG_LEVEL" envDefault:"info"`
}

// LoadPrune reads the configuration of `onefire prune` from an environment. Its
// error names every variable that is wrong.
func LoadPrune(environment map[string]string) (Prune, error) {
	var c Prune
	problems := parse(environment, &c)
	for _, namespace := range []string{c.PodNamespace, "default"} {
		if c.Namespace == "" {
			c.Namespace = namespace
		}
	}
	for _, namespace := range []string{c.PodNamespace, deadLetterNamespace} {
		if c.DeadLetterNamespace == "" {
			c.DeadLetterNamespace = namespace
		}
	}
	if err := summed(append(problems, c.validate()...)); err != nil {
		return Prune{}, err
	}
	return c, nil
}

func (c *Prune) validate() []string {
	var problems []string
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	oneOf(wrong, "REMEDIATION_PLACEMENT", c.Placement, mapping.PlacementFixed, mapping.PlacementSignal)
	for name, namespace := range map[string]string{"REMEDIATION_NAMESPACE": c.Namespace, "DEAD_LETTER_NAMESPACE": c.DeadLetterNamespace} {
		if len(validation.IsDNS1123Label(namespace)) > 0 {
			wrong("%s: %q is not a namespace name", source(name, "POD_NAMESPACE", namespace == c.PodNamespace), namespace)
		}
	}
	for _, path := range filepath.SplitList(c.Kubeconfig) {
		if _, err := os.Stat(path); err != nil {
			wrong("KUBECONFIG: %v", err)
		}
	}
	// A value that does not parse leaves 0 here, so it is named once.
	for name, ttl := range map[string]time.Duration{"TTL": c.TTL, "DEAD_LETTER_TTL": c.DeadLetterTTL} {
		if ttl != 0 && (ttl < minTTL || ttl > maxTTL) {
			wrong("%s: %s is not between %s and %s, and not 0, which keeps all", name, ttl, minTTL, maxTTL)
		}
	}
	return problems
}
