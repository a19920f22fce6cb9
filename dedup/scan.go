package dedup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A scanner reads JSON from a stream through a small window. It copies the parts
// that the protocol reads and skips the rest, so an alert's payload, which is most of
// an object, is never held. What it copied is JSON again and goes to encoding/json:
// the meaning of fields stays in one place.
type scanner struct {
	from     io.Reader
	buffer   []byte
	pos, end int
	err      error // of from, once it has given all that it has
	// kept is what was copied so far, name the last field's name as it was sent.
	copied  []byte
	copying bool
	name    []byte
	// more is asked for so many bytes before kept grows beyond room.
	room int
	grow func(bytes int) error
}

var errSyntax = errors.New("the answer is not JSON")

func newScanner(from io.Reader, more func(bytes int) error) *scanner {
	return &scanner{from: from, buffer: make([]byte, scanBuffer), grow: more}
}

// fill reads on when the window is used up.
func (s *scanner) fill() error {
	for s.pos == s.end {
		if s.err != nil {
			return s.err
		}
		s.pos, s.end = 0, 0
		s.end, s.err = s.from.Read(s.buffer)
		if errors.Is(s.err, io.EOF) {
			s.err = io.ErrUnexpectedEOF
		}
	}
	return nil
}

// take goes on by n bytes of the window.
func (s *scanner) take(n int) error {
	if s.copying {
		for len(s.copied)+n > s.room {
			if err := s.grow(scanBuffer); err != nil {
				return err
			}
			s.room += scanBuffer
		}
		s.copied = append(s.copied, s.buffer[s.pos:s.pos+n]...)
	}
	s.pos += n
	return nil
}

// next is the next byte that is no white space. It is not taken yet.
func (s *scanner) next() (byte, error) {
	for {
		if err := s.fill(); err != nil {
			return 0, err
		}
		switch c := s.buffer[s.pos]; c {
		case ' ', '\t', '\r', '\n':
			if err := s.take(1); err != nil {
				return 0, err
			}
		default:
			return c, nil
		}
	}
}

// expect takes the next byte, which must be that one.
func (s *scanner) expect(want byte) error {
	c, err := s.next()
	if err != nil {
		return err
	}
	if c != want {
		return errSyntax
	}
	return s.take(1)
}

// value takes a value, whatever it is. Only what is kept must be valid JSON:
// encoding/json says so later.
func (s *scanner) value() error {
	for depth := 0; ; {
		c, err := s.next()
		switch {
		case err != nil:
			return err
		case c == '"':
			err = s.text()
		case c == '{' || c == '[':
			depth++
			err = s.take(1)
		case depth > 0 && (c == '}' || c == ']'):
			depth--
			err = s.take(1)
		case depth > 0 && (c == ',' || c == ':'):
			err = s.take(1)
		default:
			err = s.literal()
		}
		if err != nil || depth == 0 {
			return err
		}
	}
}

// text takes a string.
func (s *scanner) text() error {
	if err := s.take(1); err != nil {
		return err
	}
	escaped := false
	for {
		if err := s.fill(); err != nil {
			return err
		}
		window := s.buffer[s.pos:s.end]
		for i, c := range window {
			switch {
			case escaped:
				escaped = false
			case c == '\\':
				escaped = true
			case c == '"':
				return s.take(i + 1)
			}
		}
		if err := s.take(len(window)); err != nil {
			return err
		}
	}
}

// literal takes a number, true, false or null.
func (s *scanner) literal() error {
	for n := 0; ; n++ {
		if err := s.fill(); errors.Is(err, io.ErrUnexpectedEOF) && n > 0 {
			return nil // It was all of the answer.
		} else if err != nil {
			return err
		}
		if strings.IndexByte(" \t\r\n,:{}[]\"", s.buffer[s.pos]) >= 0 {
			if n == 0 {
				return errSyntax
			}
			return nil
		}
		if err := s.take(1); err != nil {
			return err
		}
	}
}

// label takes a field's name.
func (s *scanner) fieldName() error {
	if c, err := s.next(); err != nil || c != '"' {
		return errors.Join(err, errSyntax)
	}
	kept := s.copied
	s.copied, s.copying = s.name[:0], true
	err := s.text()
	s.name, s.copied, s.copying = s.copied, kept, false
	if err != nil {
		return err
	}
	return s.expect(':')
}

// fields has each field of an object taken by what is called with its name.
func (s *scanner) fields(each func(name string) error) error {
	return s.list('{', '}', func() error {
		if err := s.fieldName(); err != nil {
			return err
		}
		name := string(s.name[1 : len(s.name)-1])
		if strings.Contains(name, `\`) {
			if err := json.Unmarshal(s.name, &name); err != nil {
				return errSyntax
			}
		}
		return each(name)
	})
}

// list has each of the things between two brackets taken.
func (s *scanner) list(open, end byte, each func() error) error {
	if err := s.expect(open); err != nil {
		return err
	}
	if c, err := s.next(); err != nil || c == end {
		if err == nil {
			err = s.take(1)
		}
		return err
	}
	for {
		if err := each(); err != nil {
			return err
		}
		c, err := s.next()
		if err != nil {
			return err
		}
		if c == end {
			return s.take(1)
		}
		if err := s.expect(','); err != nil {
			return err
		}
	}
}

// atEnd tells that nothing but white space is left. It also reads it, so that the
// connection can be used again.
func (s *scanner) atEnd() error {
	_, err := s.next()
	switch {
	case err == nil:
		return errSyntax
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil
	}
	return err
}

// part says which parts of a value are kept; nil keeps all of it.
type fieldMask struct {
	fields map[string]*fieldMask
	// prefix keeps all fields whose names begin with it.
	prefix string
}

// all keeps all of each of the fields.
func wholeFields(names ...string) *fieldMask {
	p := &fieldMask{fields: map[string]*fieldMask{}}
	for _, name := range names {
		p.fields[name] = nil
	}
	return p
}

// find tells whether a field is kept, and what of it. encoding/json takes a field
// in any case of letters for one.
func (p *fieldMask) find(name string) (of *fieldMask, ok bool) {
	if of, ok = p.fields[name]; ok {
		return of, true
	}
	if p.prefix != "" && strings.HasPrefix(name, p.prefix) {
		return nil, true
	}
	for known, of := range p.fields {
		if strings.EqualFold(known, name) {
			return of, true
		}
	}
	return nil, false
}

// copy keeps the parts of a value.
func (s *scanner) copy(p *fieldMask) error {
	c, err := s.next()
	if err != nil {
		return err
	}
	if p == nil || c != '{' {
		s.copying = true
		err := s.value()
		s.copying = false
		return err
	}
	s.copied = append(s.copied, '{')
	first := true
	err = s.fields(func(name string) error {
		of, ok := p.find(name)
		if !ok {
			return s.value()
		}
		if !first {
			s.copied = append(s.copied, ',')
		}
		first = false
		s.copied = append(append(s.copied, s.name...), ':')
		return s.copy(of)
	})
	s.copied = append(s.copied, '}')
	return err
}

// one copies the parts of a value and decodes them.
func (s *scanner) decode(p *fieldMask, into any) error {
	s.copied = s.copied[:0]
	if err := s.copy(p); err != nil {
		return fmt.Errorf("reading the API server's answer: %w", err)
	}
	return decode(s.copied, into)
}
