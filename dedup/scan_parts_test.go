package dedup

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// An answer that is cut off, or whose connection breaks, is an error that says so,
// wherever that happens and in whatever pieces the answer comes.
func TestHowAnAnswerEndsIsTold(t *testing.T) {
	broken := errors.New("the connection broke")
	list := `{"kind":"List","metadata":{"continue":"c"},"items":[` + whole + `, {"a": [1, 2.5 ,true]} ],"mo\u0072e":{"b":null}}`
	for end := range len(list) {
		for _, pieces := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.DataErrReader} {
			_, err := readList(pieces(strings.NewReader(list[:end])), enough, func(object) error { return nil })
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, list[:end])
			_, err = readList(pieces(io.MultiReader(strings.NewReader(list[:end]), failing{broken})), enough, func(object) error { return nil })
			require.ErrorIs(t, err, broken, list[:end])
		}
	}
	for _, read := range []func(io.Reader) error{
		func(r io.Reader) error { _, err := readObject(r, enough); return err },
		func(r io.Reader) error { _, err := readList(r, enough, func(object) error { return nil }); return err },
	} {
		err := read(io.MultiReader(strings.NewReader(`{"kind":"List","items":[]}`), failing{broken}))
		require.ErrorIs(t, err, broken, "it is read to its end")
	}
}

func TestOneValueIsTaken(t *testing.T) {
	for text, rest := range map[string]string{
		`5`: ``, `5 6`: ` 6`, `true,`: `,`, `"a\"b" c`: ` c`, `"\\" "`: ` "`, `{"a":[1,{}]}}`: `}`, `[[],[]],`: `,`, ` {} x`: ` x`, `12}`: `}`,
	} {
		for _, pieces := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
			from := pieces(strings.NewReader(text))
			s := newScanner(from, enough)
			require.NoError(t, s.value(), text)
			left, err := io.ReadAll(from)
			require.NoError(t, err)
			require.Equal(t, rest, string(s.buffer[s.pos:s.end])+string(left), text)
		}
	}
	for text, want := range map[string]error{
		``: io.ErrUnexpectedEOF, ` `: io.ErrUnexpectedEOF, `{`: io.ErrUnexpectedEOF, `"a`: io.ErrUnexpectedEOF, `"\"`: io.ErrUnexpectedEOF,
		`}`: errSyntax, `]`: errSyntax, `,`: errSyntax, `:`: errSyntax,
	} {
		require.ErrorIs(t, newScanner(strings.NewReader(text), enough).value(), want, text)
	}
	broken := errors.New("the connection broke")
	require.ErrorIs(t, newScanner(io.MultiReader(strings.NewReader("12"), failing{broken}), enough).value(), broken)
}

func TestWhatIsNoJSONIsRefused(t *testing.T) {
	for _, text := range []string{
		`{{}}`, `{[]}`, `{5}`, `{"a"}`, `{"a":5 6}`, `{"a":1 "b":2}`, `{"a";1}`, `{"\q":1}`, `{"a":1,,}`, `{"a":1,}`, `{} {}`, `{}5`, `}`, `{"a":]}`,
	} {
		_, err := readObject(strings.NewReader(text), enough)
		require.ErrorIs(t, err, errSyntax, text)
	}
	for _, text := range []string{`{"kind":"List","items":[{} {}]}`, `{"kind":"List","items":[,]}`, `[]`, `{"kind":"List","items":[]}]`} {
		_, err := readList(strings.NewReader(text), enough, func(object) error { return nil })
		require.ErrorIs(t, err, errSyntax, text)
	}
	for _, text := range []string{`{"kind":"List","items":5}`, `{"kind":"List","items":{}}`} {
		_, err := readList(strings.NewReader(text), enough, func(object) error { return nil })
		require.ErrorContains(t, err, "its items are not a list", text)
	}
	require.ErrorIs(t, newScanner(strings.NewReader("x"), enough).expect(':'), errSyntax)
}

// A copy asks for memory before it grows, one buffer at a time, and ends where none is
// left.
func TestHowMuchMemoryACopyAsksFor(t *testing.T) {
	for size, want := range map[int]int{2: 1, scanBuffer: 1, scanBuffer + 1: 2, 3 * scanBuffer: 3, 3*scanBuffer + 1: 4} {
		for _, pieces := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
			asked := 0
			s := newScanner(pieces(strings.NewReader(`"`+strings.Repeat("x", size-2)+`"`)), func(n int) error {
				require.Equal(t, scanBuffer, n)
				asked++
				return nil
			})
			s.copying = true
			require.NoError(t, s.value())
			require.Equal(t, want, asked, size)
		}
	}
	// Each of the reasons for which a copy grows may be the one for which there is no memory.
	text := `{"metadata":{"name":"` + strings.Repeat("n", scanBuffer) + `","labels":{"onefire/a":  ["` + strings.Repeat("x", scanBuffer) + `",1,{"a":2}]}}}`
	for left := range 3 {
		n := 0
		_, err := readObject(iotest.OneByteReader(strings.NewReader(text)), func(int) error {
			if n++; n > left {
				return errBusy
			}
			return nil
		})
		require.ErrorIs(t, err, errBusy, fmt.Sprint(left))
	}
}

// Memory can run out at every byte of a value.
func TestACopyEndsWhereverMemoryRunsOut(t *testing.T) {
	const tail = `", 12 ,  true, {"a" : "b\"c" , "d": [ ] } ]`
	for at := range len(tail) {
		text := `["` + strings.Repeat("x", scanBuffer-2-at) + tail
		for _, pieces := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
			asked := 0
			s := newScanner(pieces(strings.NewReader(text)), func(int) error {
				if asked++; asked == 2 { // Later there is some again.
					return errBusy
				}
				return nil
			})
			s.copying = true
			require.ErrorIs(t, s.value(), errBusy, tail[:at])
			require.LessOrEqual(t, len(s.copied), scanBuffer)
		}
	}
	s := newScanner(strings.NewReader(`{"`+strings.Repeat("n", scanBuffer)+`":1}`), func(int) error { return errBusy })
	require.ErrorIs(t, s.copy(neededFields), errBusy, "a name takes memory, too")
}

// The names of fields that are kept are copied as well, so the next value may need much.
func TestLongNamesAreAskedFor(t *testing.T) {
	name := `"onefire/` + strings.Repeat("n", 3*scanBuffer) + `":1`
	asked := 0
	s := newScanner(strings.NewReader(`{`+name+`,`+name+`}`), func(int) error { asked++; return nil })
	require.NoError(t, s.copy(&fieldMask{prefix: "onefire/"}))
	require.GreaterOrEqual(t, asked*scanBuffer, 2*len(name))
}

func TestWhichFieldsAMaskKeeps(t *testing.T) {
	inner := wholeFields("b")
	mask := &fieldMask{fields: map[string]*fieldMask{"a": inner}, prefix: "onefire/"}
	for name, row := range map[string]struct {
		of *fieldMask
		ok bool
	}{"a": {inner, true}, "A": {inner, true}, "onefire/x": {nil, true}, "b": {nil, false}, "one": {nil, false}} {
		of, ok := mask.find(name)
		require.Equal(t, row.ok, ok, name)
		require.Same(t, row.of, of, name)
	}
	_, ok := inner.find("onefire/x")
	require.False(t, ok)
}
