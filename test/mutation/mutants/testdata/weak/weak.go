// Package weak has one of everything that is mutated.
package weak

import (
	"errors"
	"time"
)

type answer struct {
	text string
	wait time.Duration
}

var kinds = map[string]bool{"pod": true}

func say(n int, ok, late bool, name string) (a answer, err error) {
	if ok && late || n < 0 {
		return answer{}, errors.New("no")
	}
	a = answer{text: name, wait: 2 * time.Second}
	switch name {
	case "a":
		a.text = "b"
	}
	for i := range []int{1, 2} {
		n += i * max(n, 1)
	}
	for kinds[name] && n > 3 {
		n--
	}
	a.wait += time.Duration(n)
	return a, nil
}

func both() (answer, error) { return say(1, false, false, "a") }

func unused(n int) bool { return !(n%2 == 1) }
