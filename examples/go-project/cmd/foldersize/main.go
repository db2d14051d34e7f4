// Command foldersize tells what folders hold: foldersize FOLDER...
package main

import (
	"fmt"
	"os"

	"example.org/foldersize/sizes"
)

func main() {
	code := 0
	for _, folder := range os.Args[1:] {
		total, err := sizes.Of(os.DirFS(folder))
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", folder, err)
			code = 1
			continue
		}
		fmt.Printf("%s: %s\n", folder, total)
	}
	os.Exit(code)
}
