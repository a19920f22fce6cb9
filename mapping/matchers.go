package mapping

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Matchers narrow which alerts become objects: those whose labels fit all of
// them. None fit every alert.
type Matchers []matcher

// matcher compares one label with a text, or with a regular expression where the
// operator has a tilde.
type matcher struct {
	name, operator, value string
	expression            *regexp.Regexp
}

// ParseMatchers reads matchers in Alertmanager's own syntax (the one of its
// routes since 0.27): team="sre",severity=~"critical|high", in braces or not. The
// empty string gives none.
//
// Alertmanager's parser itself would bring the whole of protobuf into the
// binary, a twentieth of it; a test compares the two.
func ParseMatchers(s string) (Matchers, error) {
	all, err := (&matcherText{s}).matchers()
	if err == nil && !utf8.ValidString(s) {
		err = errors.New("it is not UTF-8")
	}
	if err != nil {
		return nil, fmt.Errorf(`%q are no matchers of the form team="sre",severity=~"critical|high": %w`, s, err)
	}
	return all, nil
}

// String is the form that [ParseMatchers] reads.
func (m Matchers) String() string {
	if len(m) == 0 {
		return ""
	}
	texts := make([]string, len(m))
	for i, one := range m {
		name := one.name
		if name == "" || strings.ContainsFunc(name, reserved) {
			name = strconv.Quote(name)
		}
		texts[i] = name + one.operator + strconv.Quote(one.value)
	}
	return "{" + strings.Join(texts, ",") + "}"
}

// match tells whether labels fit. A label that an alert does not have counts as
// an empty one, as in Alertmanager.
func (m Matchers) match(labels map[string]string) bool {
	for _, one := range m {
		if !one.fits(labels[one.name]) {
			return false
		}
	}
	return true
}

func (m matcher) fits(value string) bool {
	equal := value == m.value
	if m.expression != nil {
		equal = m.expression.MatchString(value)
	}
	return equal != strings.HasPrefix(m.operator, "!")
}

// matcherText is what is still to be read of matchers.
type matcherText struct{ rest string }

// matchers reads all that there is.
func (t *matcherText) matchers() (Matchers, error) {
	all, err := t.group()
	if err != nil {
		return nil, err
	}
	if t.space(); t.rest != "" {
		return nil, fmt.Errorf("%q is left over", t.rest)
	}
	return all, nil
}

// group reads matchers with commas between them, in braces or not.
func (t *matcherText) group() (all Matchers, err error) {
	braces := t.take("{")
	for !t.ended() {
		one, err := t.matcher()
		if err != nil {
			return nil, err
		}
		if all = append(all, one); !t.take(",") {
			break
		}
	}
	if braces && !t.take("}") {
		return nil, fmt.Errorf("a closing brace or a comma is missing before %q", t.rest)
	}
	return all, nil
}

func (t *matcherText) matcher() (m matcher, err error) {
	if m.name, err = t.text(); err != nil {
		return m, fmt.Errorf("a label's name: %w", err)
	}
	for _, operator := range []string{"=~", "!~", "!=", "="} {
		if t.take(operator) {
			m.operator = operator
			break
		}
	}
	if m.operator == "" {
		return m, fmt.Errorf("one of = != =~ !~ is missing before %q", t.rest)
	}
	if m.value, err = t.text(); err != nil {
		return m, fmt.Errorf("the value of %s: %w", m.name, err)
	}
	if strings.HasSuffix(m.operator, "~") {
		m.expression, err = regexp.Compile("^(?:" + m.value + ")$")
	}
	return m, err
}

// ended tells whether there is no further matcher.
func (t *matcherText) ended() bool {
	t.space()
	return t.rest == "" || t.rest[0] == '}'
}

func (t *matcherText) space() { t.rest = strings.TrimLeftFunc(t.rest, unicode.IsSpace) }

// take reads a token if it comes next.
func (t *matcherText) take(token string) (ok bool) {
	t.space()
	t.rest, ok = strings.CutPrefix(t.rest, token)
	return ok
}

// text reads a name or a value: in double quotes, or without what is reserved.
func (t *matcherText) text() (string, error) {
	t.space()
	if !strings.HasPrefix(t.rest, `"`) {
		end := strings.IndexFunc(t.rest, reserved)
		if end < 0 {
			end = len(t.rest)
		}
		if end == 0 {
			return "", fmt.Errorf("there is none before %q", t.rest)
		}
		text := t.rest[:end]
		t.rest = t.rest[end:]
		return text, nil
	}
	quoted, err := strconv.QuotedPrefix(t.rest)
	if err != nil {
		return "", fmt.Errorf("the quotes in %q: %w", t.rest, err)
	}
	t.rest = t.rest[len(quoted):]
	text, err := strconv.Unquote(quoted)
	if err == nil && !utf8.ValidString(text) {
		err = errors.New("it is not UTF-8")
	}
	return text, err
}

// reserved tells whether a character stands only in quotes.
func reserved(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("{}!=~,\\\"'`", r) }
