// Package sizes adds up the files of a folder.
package sizes

import (
	"fmt"
	"io/fs"

	"github.com/dustin/go-humanize"
)

// Total is what a folder holds.
type Total struct {
	Files int
	Bytes uint64
}

// Of adds up all regular files below the top of a file system.
func Of(folder fs.FS) (Total, error) {
	var total Total
	err := fs.WalkDir(folder, ".", func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		total.Files++
		total.Bytes += uint64(info.Size())
		return nil
	})
	return total, err
}

// String tells the total in words.
func (t Total) String() string {
	noun := "files"
	if t.Files == 1 {
		noun = "file"
	}
	return fmt.Sprintf("%s %s, %s", humanize.Comma(int64(t.Files)), noun, humanize.IBytes(t.Bytes))
}
