package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Setting is one variable as it takes effect.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// From is "environment", "default", or, where the value follows from
	// another one, "derived"; "unused" is a value of the environment that has no
	// effect, and empty where there is none.
	From string `json:"from,omitempty"`
}

// Effective returns all settings of the function, in the order of [Config], and
// the error that [Load] gives. With an error the values of wrong variables are
// as they were written.
func Effective(environment map[string]string) ([]Setting, error) {
	_, problem := Load(environment)
	var c Config
	parse(environment, &c) // Its problems are in Load's error.
	before := reflect.ValueOf(c)
	c.empty(environment)
	c.complete()
	value := reflect.ValueOf(c)
	idle := unused(environment)
	var settings []Setting
	for _, field := range reflect.VisibleFields(value.Type()) {
		tag, is := field.Tag, value.FieldByIndex(field.Index).Interface()
		s := Setting{Name: tag.Get("env"), Value: shown(is)}
		if s.Name == "" {
			continue // A struct of further fields.
		}
		raw := environment[s.Name]
		_, secret := is.(Headers)
		switch {
		case raw != "" && slices.Contains(idle, s.Name):
			s.Value, s.From = shown(raw), "unused"
			if secret {
				s.Value = "(hidden)"
			}
		case raw != "" && secret:
			s.Value, s.From = cmp.Or(s.Value, "(hidden)"), "environment"
		case raw != "" && problem != nil:
			s.Value, s.From = shown(raw), "environment"
		case raw != "", s.Value == "" && tag.Get("envDefault") != "": // It was set to nothing.
			s.From = "environment"
		case s.Value != shown(before.FieldByIndex(field.Index).Interface()):
			s.From = "derived"
		case s.Value != "":
			s.From = "default"
		}
		settings = append(settings, s)
	}
	return settings, problem
}

// Mapping reads only what the mapping of alerts needs from an environment: it
// asks for no audit sink, and what it returns has none that means anything.
func Mapping(environment map[string]string) (Config, error) {
	var c Config
	problems := parse(environment, &c)
	c.empty(environment)
	c.complete()
	if c.AuditSink == "" {
		c.AuditSink = NoAudit
	}
	if err := summed(append(problems, c.validate()...)); err != nil {
		return Config{}, err
	}
	return c, nil
}

// NamespaceSet tells whether an environment names the namespace of requests.
func NamespaceSet(environment map[string]string) bool {
	return environment["REMEDIATION_NAMESPACE"] != "" || environment["POD_NAMESPACE"] != ""
}

// shown is a value as its variable would be written; certificates only by size,
// and no password of a URL.
func shown(value any) string {
	switch v := value.(type) {
	case []string:
		return strings.Join(v, ",")
	case Overrides:
		if v.Extensions == nil {
			return ""
		}
		text, _ := json.Marshal(v) // Strings only.
		return string(text)
	case string:
		if strings.HasPrefix(v, "-----BEGIN") {
			return fmt.Sprintf("PEM, %d bytes", len(v))
		}
		return Redacted(v)
	default:
		return fmt.Sprint(v)
	}
}
