// Command gen writes internal/awsapi/codedeploy.go from botocore's description of CodeDeploy.
//
// It reads codedeploy.json, a copy of that description reduced to names and shapes (see NOTICE). To take over a later
// botocore, run
//
//	go run ./gen -model PATH/TO/data/codedeploy/2014-10-06/service-2.json.gz
//
// in internal/awsapi, which renews codedeploy.json and then the Go file; NOTICE names its version.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	dir := flag.String("dir", ".", "the folder of package awsapi")
	model := flag.String("model", "", "botocore's service-2.json or service-2.json.gz, to renew the reduced copy from")
	flag.Parse()
	if err := run(*dir, *model); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(dir, botocore string) error {
	reduced := filepath.Join(dir, "gen", "codedeploy.json")
	if botocore != "" {
		if err := reduce(botocore, reduced); err != nil {
			return err
		}
	}
	data, err := os.ReadFile(reduced)
	if err != nil {
		return fmt.Errorf("read the reduced model: %w", err)
	}
	source, err := generate(data)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "codedeploy.go"), source, 0o644)
}

// reduce copies botocore's model without its documentation.
func reduce(from, to string) error {
	data, err := readModel(from)
	if err != nil {
		return fmt.Errorf("read botocore's model: %w", err)
	}
	var model Model
	if err := json.Unmarshal(data, &model); err != nil {
		return fmt.Errorf("decode %s: %w", from, err)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetIndent("", " ")
	if err := enc.Encode(model); err != nil {
		return err
	}
	return os.WriteFile(to, buf.Bytes(), 0o644)
}

func readModel(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if !strings.HasSuffix(path, ".gz") {
		return io.ReadAll(file)
	}
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(unpacked)
}
