package images

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatIsInTheCommandsMayBeGivenOn(t *testing.T) {
	commands, err := filepath.Glob(filepath.Join(repository, "function/cmd/onefire*"))
	require.NoError(t, err)
	require.NotEmpty(t, commands)
	for _, dir := range commands {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			all, err := Dependencies(t.Context(), dir, Platforms)
			require.NoError(t, err)
			require.NoError(t, Check(all))
			notice := string(Notice(all))
			for _, d := range all {
				require.NotEmpty(t, d.Texts, d.Module)
				require.Contains(t, notice, d.Module)
				for file, text := range d.Texts {
					require.Contains(t, notice, strings.TrimSpace(text), "%s: %s", d.Module, file)
				}
			}
			root, err := filepath.Abs(repository)
			require.NoError(t, err)
			require.NotContains(t, notice, root, "nothing of the machine goes into an image")
			require.NotContains(t, notice, "/pkg/mod/")
			require.Equal(t, notice, string(Notice(all)))
			require.Contains(t, notice, "go1.")
			require.Contains(t, notice, "Mozilla Public License")
		})
	}
}

const (
	mit = `Copyright (c) 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`
	gpl = `This program is free software: you can redistribute it and/or modify it under the terms of the GNU General Public License as published by the Free Software Foundation, either version 3 of the License, or (at your option) any later version.

This program is distributed in the hope that it will be useful, but WITHOUT ANY WARRANTY; without even the implied warranty of MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE. See the GNU General Public License for more details.

You should have received a copy of the GNU General Public License along with this program. If not, see <https://www.gnu.org/licenses/>.
`
	clause = `"Commons Clause" License Condition v1.0

The Software is provided to you by the Licensor under the License, as defined below, subject to the following condition. Without limiting other conditions in the License, the grant of rights under the License will not include, and the License does not grant to you, the right to Sell the Software.
`
)

func TestALicenceThatIsNotAllowedIsFound(t *testing.T) {
	for reason, row := range map[string]struct {
		files map[string]string
		want  string
	}{
		"one that is allowed":          {map[string]string{"LICENSE": mit}, ""},
		"another spelling":             {map[string]string{"licence.md": mit}, ""},
		"no licence":                   {map[string]string{"README.md": mit, "license.go": "package a"}, "no licence is known"},
		"a notice alone":               {map[string]string{"NOTICE": "By somebody."}, "no licence is known"},
		"one that nobody knows":        {map[string]string{"LICENSE": "You may look at this, but you may not use it for anything."}, "unknown"},
		"one that asks for more":       {map[string]string{"LICENSE": gpl}, "GPL-3.0"},
		"one beside it that asks more": {map[string]string{"LICENSE": mit, "COPYING": gpl}, "GPL-3.0"},
		"one in a folder above":        {map[string]string{"../LICENSE": gpl, "LICENSE": mit}, "GPL-3.0"},
		"a clause that takes it back":  {map[string]string{"LICENSE": clause + "\n" + mit}, "not allowed"},
	} {
		t.Run(reason, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "package")
			require.NoError(t, os.Mkdir(dir, 0o755))
			for name, text := range row.files {
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
			}
			found := map[string]*Dependency{}
			require.NoError(t, collect(found, "example.com/m v1", root, dir))
			err := Check([]Dependency{*found["example.com/m v1"]})
			if row.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "example.com/m v1")
			require.ErrorContains(t, err, row.want)
		})
	}
}

// An image of a test's command has its repository's licence too, from above its
// module.
func TestTheOwnLicenceIsFoundAboveTheModule(t *testing.T) {
	want, err := os.ReadFile(filepath.Join(repository, "LICENSE"))
	require.NoError(t, err)
	dir, err := filepath.Abs(".")
	require.NoError(t, err)
	got, err := own(dir)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
	_, err = own("/nonexistent")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Dependencies(t.Context(), filepath.Join(repository, "test/cmd/onefire-datastorage"), Platforms[:1])
	require.NoError(t, err)
}

func TestWhatMayNotBeGivenOnIsNotPushed(t *testing.T) {
	image := &Image{Name: "x", kept: Check([]Dependency{{Module: "example.org/y v1", Licences: []string{"GPL-3.0"}}})}
	_, err := image.Push(t.Context(), "127.0.0.1:1/team", "v1")
	require.ErrorContains(t, err, "example.org/y v1: its licence GPL-3.0 is not allowed")
}
