package sizes

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

func TestOfAddsUpRegularFilesOnly(t *testing.T) {
	folder := fstest.MapFS{
		"a.txt":   {Data: []byte("12345")},
		"b/c.txt": {Data: []byte("123")},
		"b/link":  {Mode: fs.ModeSymlink, Data: []byte("a.txt")},
	}

	total, err := Of(folder)

	if err != nil || total != (Total{Files: 2, Bytes: 8}) {
		t.Errorf("got %+v, %v; want 2 files of 8 bytes", total, err)
	}
}

func TestOfTellsWhenThereIsNoFolder(t *testing.T) {
	if _, err := Of(os.DirFS(filepath.Join(t.TempDir(), "missing"))); err == nil {
		t.Error("a missing folder is no error")
	}
}

func TestString(t *testing.T) {
	cases := map[string]struct {
		total Total
		want  string
	}{
		"nothing":  {Total{}, "0 files, 0 B"},
		"one file": {Total{1, 1024}, "1 file, 1.0 KiB"},
		"many":     {Total{12345, 5 << 30}, "12,345 files, 5.0 GiB"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := c.total.String(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
