package config

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// deadLetterNamespace is where Onefire is deployed: from outside of it that
	// is where its dead letters are looked for.
	deadLetterNamespace = "onefire"
	// mostDeadLetters bounds MAX_DEAD_LETTERS: a List of so many takes a few
	// megabytes.
	mostDeadLetters = 10_000
	// leastDeadLetterBytes is the room for one dead letter of the largest size,
	// and mostDeadLetterBytes half of what etcd takes by default (2 GiB), which
	// is not ours alone.
	leastDeadLetterBytes = 1 << 20
	mostDeadLetterBytes  = 1 << 30
)

// DeadLetters is the whole configuration of onefire-deadletters. The tag env
// names the variable.
type DeadLetters struct {
	Port          string `env:"PORT" envDefault:"8080"`
	ListenAddress string `env:"LISTEN_ADDRESS"`
	// MetricsAddress is where Prometheus may scrape /metrics; empty for none.
	MetricsAddress string `env:"METRICS_ADDRESS"`

	Kubeconfig   string `env:"KUBECONFIG"`
	PodNamespace string `env:"POD_NAMESPACE"`
	// Namespace is where dead letters are kept.
	Namespace string `env:"DEAD_LETTER_NAMESPACE"`

	// Max bounds how many dead letters are kept, and MaxBytes how many bytes
	// they may take as they are kept.
	Max      int   `env:"MAX_DEAD_LETTERS" envDefault:"1000"`
	MaxBytes int64 `env:"MAX_DEAD_LETTER_BYTES" envDefault:"67108864"`

	// ReplayURL is what a replay posts to.
	ReplayURL string `env:"REPLAY_URL"`
	// ReplayTokenFile holds a bearer token for it; empty for none.
	ReplayTokenFile string `env:"REPLAY_TOKEN_FILE"`

	// MemoryLimit is what Go's own runtime was told; here it matters only
	// whether it is set.
	MemoryLimit string `env:"GOMEMLIMIT"`

	LogLevel slog.Level `env:"LOG_LEVEL" envDefault:"info"`

	OTel
}

// LoadDeadLetters reads the dead-letter store's configuration from an
// environment. Its error names every variable that is wrong.
func LoadDeadLetters(environment map[string]string) (DeadLetters, error) {
	var c DeadLetters
	// A value that does not parse is named once: its zero is not also out of bounds.
	problems := parse(environment, &c)
	unread := len(problems) > 0
	c.complete()
	if err := summed(append(problems, c.validate(unread)...)); err != nil {
		return DeadLetters{}, err
	}
	return c, nil
}

// complete fills in what follows from other values.
func (c *DeadLetters) complete() {
	if c.ListenAddress == "" {
		c.ListenAddress = ":" + c.Port
	}
	for _, namespace := range []string{c.PodNamespace, deadLetterNamespace} {
		if c.Namespace == "" {
			c.Namespace = namespace
		}
	}
	if c.ReplayURL == "" {
		c.ReplayURL = "http://onefire." + c.Namespace + ".svc.cluster.local"
	}
	c.OTel.complete()
}

func (c *DeadLetters) validate(unread bool) []string {
	var problems []string
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	hostPort(wrong, source("LISTEN_ADDRESS", "PORT", ":"+c.Port == c.ListenAddress), c.ListenAddress)
	hostPort(wrong, "METRICS_ADDRESS", c.MetricsAddress)
	if len(validation.IsDNS1123Label(c.Namespace)) > 0 {
		wrong("%s: %q is not a namespace name", source("DEAD_LETTER_NAMESPACE", "POD_NAMESPACE", c.Namespace == c.PodNamespace), c.Namespace)
	}
	for _, path := range filepath.SplitList(c.Kubeconfig) {
		if _, err := os.Stat(path); err != nil {
			wrong("KUBECONFIG: %v", err)
		}
	}
	if c.Max < 1 && (c.Max != 0 || !unread) || c.Max > mostDeadLetters {
		wrong("MAX_DEAD_LETTERS: %d is not between 1 and %d", c.Max, mostDeadLetters)
	}
	if c.MaxBytes < leastDeadLetterBytes && (c.MaxBytes != 0 || !unread) || c.MaxBytes > mostDeadLetterBytes {
		wrong("MAX_DEAD_LETTER_BYTES: %d is not between %d and %d", c.MaxBytes, leastDeadLetterBytes, mostDeadLetterBytes)
	}
	httpURL(wrong, "REPLAY_URL", c.ReplayURL)
	readableFile(wrong, "REPLAY_TOKEN_FILE", c.ReplayTokenFile)
	c.OTel.validate(wrong)
	return problems
}
