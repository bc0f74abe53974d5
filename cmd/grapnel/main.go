// Command grapnel is the control plane and its command line.
package main

import (
	"os"

	"grapnel/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) }
