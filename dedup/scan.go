package dedup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// scanner reads JSON from a stream through a small buffer. It copies the fields that the
// protocol reads and skips the rest, so it never holds an alert's payload, which is most
// of an object. The copy is JSON and is decoded with encoding/json, so the meaning of
// fields stays in one place.
type scanner struct {
	from     io.Reader
	buffer   []byte
	pos, end int
	err      error // of from, once it has returned all of its bytes
	// copied is the copy so far. name is the last field's name, as it was sent.
	copied  []byte
	copying bool
	name    []byte
	// grow is asked for more bytes before copied grows beyond room.
	room int
	grow func(bytes int) error
}

var errSyntax = errors.New("the answer is not JSON")

func newScanner(from io.Reader, more func(bytes int) error) *scanner {
	return &scanner{from: from, buffer: make([]byte, scanBuffer), grow: more}
}

// fill reads on when the buffer is used up.
func (s *scanner) fill() error {
	for s.pos == s.end {
		if s.err != nil {
			return s.err
		}
		s.pos = 0
		s.end, s.err = s.from.Read(s.buffer)
		if errors.Is(s.err, io.EOF) {
			s.err = io.ErrUnexpectedEOF
		}
	}
	return nil
}

// take advances by n bytes of the buffer.
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

// next returns the next byte that is not white space, without taking it.
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

// expect takes the next byte, which must be want.
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

// value takes any value. Only a value that is copied must be valid JSON, which
// encoding/json checks later.
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
		if err := s.fill(); errors.Is(err, io.ErrUnexpectedEOF) {
			return nil // The answer ends here. There was a byte, or next had failed.
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

// fieldName takes a field's name and the colon.
func (s *scanner) fieldName() error {
	if c, err := s.next(); c != '"' {
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

// fields calls each with the name of every field of an object. each must take the value.
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

// list calls each for every element between two brackets. each must take the element.
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

// atEnd checks that only white space is left. It reads to the end, so that the connection
// can be reused.
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

// fieldMask says which fields of a value are kept; nil keeps the whole value.
type fieldMask struct {
	fields map[string]*fieldMask
	// prefix keeps all fields whose names begin with it.
	prefix string
}

// wholeFields is a mask that keeps the whole value of each named field.
func wholeFields(names ...string) *fieldMask {
	p := &fieldMask{fields: map[string]*fieldMask{}}
	for _, name := range names {
		p.fields[name] = nil
	}
	return p
}

// find tells whether a field is kept, and which part of it. Like encoding/json it ignores
// the case of letters.
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

// copy copies the fields of a value that the mask keeps.
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

// decode copies the fields of a value that the mask keeps, and decodes the copy.
func (s *scanner) decode(p *fieldMask, into any) error {
	s.copied = s.copied[:0]
	if err := s.copy(p); err != nil {
		return fmt.Errorf("reading the API server's answer: %w", err)
	}
	return decode(s.copied, into)
}
