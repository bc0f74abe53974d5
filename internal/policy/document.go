package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// object is the members of a JSON object. encoding/json would take "effect" for Effect and the last of two Effects, so that
// what a document says would depend on who reads it.
type object map[string]json.RawMessage

// UnmarshalJSON implements json.Unmarshaler.
func (o *object) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return fmt.Errorf("want an object, got %.20s", data)
	}
	*o = object{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		key := name.(string) // inside an object, More and valid JSON leave nothing else
		if _, twice := (*o)[key]; twice {
			return fmt.Errorf("%s is given twice", key)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
		(*o)[key] = value
	}
	return nil
}

// unsupported says what to do instead of using an element of the language that is not there.
var unsupported = map[string]string{
	"Condition":    "this server evaluates no conditions; leave Condition out, and narrow Action and Resource instead",
	"NotPrincipal": "NotPrincipal is not supported; name in Principal who is meant",
}

// only refuses members other than those named: a misspelt NotResource would otherwise be lost in silence, and the policy say
// something else than its author meant.
func (o object) only(names ...string) error {
	for name := range o {
		switch advice := unsupported[name]; {
		case slices.Contains(names, name):
		case advice != "":
			return errors.New(advice)
		default:
			return fmt.Errorf("%q does not belong here; it may have %s", name, strings.Join(names, ", "))
		}
	}
	return nil
}

// text reads a string, "" when it is absent.
func (o object) text(name string) (s string, err error) {
	if value, ok := o[name]; ok {
		err = json.Unmarshal(value, &s)
	}
	if err != nil {
		return "", fmt.Errorf("%s must be a string", name)
	}
	return s, nil
}

// list reads a list of strings, whose brackets may be left out when it has one element.
func (o object) list(name string) (all []string, err error) {
	value, ok := o[name]
	if !ok {
		return nil, nil
	}
	if value[0] == '[' {
		err = json.Unmarshal(value, &all)
	} else {
		all = make([]string, 1)
		err = json.Unmarshal(value, &all[0])
	}
	if err != nil || slices.Contains(all, "") {
		return nil, fmt.Errorf("%s must be a string or a list of strings, and none empty", name)
	}
	return all, nil
}

// either reads an element that is given by its name or by its Not form.
func (o object) either(name, not string) (s set[string], err error) {
	listed, err := o.list(name)
	if err != nil {
		return s, err
	}
	others, err := o.list(not)
	if err != nil {
		return s, err
	}
	if (len(listed) == 0) == (len(others) == 0) {
		return s, fmt.Errorf("it needs either %s or %s", name, not)
	}
	return set[string]{listed: append(listed, others...), others: len(others) > 0}, nil
}

// statements reads the frame of a document.
func statements(text string) ([]object, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("it is %d bytes long, and may be %d; wildcards or several policies make it shorter", len(text), MaxSize)
	}
	for _, r := range text {
		if r > 0xFF || r < ' ' && r != '\t' && r != '\n' && r != '\r' {
			return nil, fmt.Errorf("the character %q is not allowed", r)
		}
	}
	var document object
	if err := decode([]byte(text), &document); err != nil {
		return nil, fmt.Errorf("not a policy in JSON: %w", err)
	}
	if err := document.only("Version", "Id", "Statement"); err != nil {
		return nil, err
	}
	version, err := document.text("Version")
	if err != nil {
		return nil, err
	}
	if version != "" && version != "2012-10-17" && version != "2008-10-17" {
		return nil, fmt.Errorf("there is no Version %q of the policy language; use 2012-10-17", version)
	}
	if _, err := document.text("Id"); err != nil {
		return nil, err
	}
	return document.statements()
}

var errNoStatement = errors.New("it has no Statement")

func (o object) statements() (all []object, err error) {
	value, ok := o["Statement"]
	switch {
	case !ok:
		return nil, errNoStatement
	case value[0] == '[':
		err = json.Unmarshal(value, &all)
	default:
		all = make([]object, 1)
		err = json.Unmarshal(value, &all[0])
	}
	if err != nil {
		return nil, fmt.Errorf("its Statement: %w", err)
	}
	if len(all) == 0 {
		return nil, errNoStatement
	}
	return all, nil
}

// decode reads one JSON value with nothing behind it.
func decode(data []byte, out any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(out); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("there is something after the JSON object")
	}
	return nil
}
