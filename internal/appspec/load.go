package appspec

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// load parses the first YAML document of data into nodes; further ones are ignored, as the stock agent does.
func load(name string, data []byte) (*yaml.Node, *Error) {
	if len(data) > MaxSize {
		return nil, &Error{File: name, Message: fmt.Sprintf("it is larger than %d bytes, so it is not an AppSpec file", MaxSize)}
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, notYAML(name, data, err)
	}
	if len(document.Content) == 0 || isNull(document.Content[0]) {
		return nil, &Error{File: name, Message: "the AppSpec file is empty", Fix: `it begins with "version: 0.0" and "os: linux"`}
	}
	return document.Content[0], nil
}

// notYAML turns the library's error into one that says where and what to do.
func notYAML(name string, data []byte, err error) *Error {
	e := &Error{File: name, Message: "it is not valid YAML: " + strings.TrimPrefix(err.Error(), "yaml: "), Err: err}
	if failure := (*yaml.LoadError)(nil); errors.As(err, &failure) {
		e.Message = "it is not valid YAML: " + failure.Message
		e.Line, e.Column = failure.Mark.Line, failure.Mark.Column
	}
	if e.Line < 1 {
		e.Line = 1 // the library leaves it out when the text cannot be decoded at all
	}
	if line, column, ok := firstBadByte(data); ok {
		e.Line, e.Column = line, column
		e.Message = "it is not a text file in UTF-8"
		e.Fix = "save it as plain text in UTF-8"
		return e
	}
	e.Fix = yamlFix(sourceLine(data, e.Line), e.Message)
	return e
}

// yamlFix says what is usually wrong in such a line.
func yamlFix(line, message string) string {
	indentation := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	switch {
	case strings.Contains(indentation, "\t"):
		return "the line is indented with a tab; indent with spaces"
	case strings.Contains(message, "mapping values are not allowed"):
		return `put quotes around a value that holds ": ", and begin the keys of one level in the same column`
	case strings.Contains(message, "cannot start any token"):
		return "put quotes around the value"
	case strings.Contains(message, "depth"):
		return "an AppSpec file is nested five levels deep at most"
	case strings.Contains(message, "anchor"):
		return "put quotes around a value that begins with * or &"
	}
	return "begin the keys of one level in the same column, and close every quote and bracket"
}

// firstBadByte finds what no YAML text may hold: bytes that are not UTF-8, and control characters. A file in UTF-16 is
// recognised by its mark and not looked at.
func firstBadByte(data []byte) (line, column int, ok bool) {
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		return 0, 0, false
	}
	line, column = 1, 1
	for len(data) > 0 {
		c, size := utf8.DecodeRune(data)
		if c == utf8.RuneError && size == 1 || c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f {
			return line, column, true
		}
		column++
		if c == '\n' {
			line, column = line+1, 1
		}
		data = data[size:]
	}
	return 0, 0, false
}

// sourceLine returns line n of data, counted from 1, or "".
func sourceLine(data []byte, n int) string {
	for line := range strings.Lines(string(data)) {
		if n--; n == 0 {
			return strings.TrimRight(line, "\r\n")
		}
	}
	return ""
}
